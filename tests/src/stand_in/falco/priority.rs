//! The eight priorities of Falco, most severe first.

/// How severe something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// 0
    Emergency,
    /// 1
    Alert,
    /// 2
    Critical,
    /// 3
    Error,
    /// 4
    Warning,
    /// 5
    Notice,
    /// 6
    Informational,
    /// 7
    #[default]
    Debug,
}

const ALL: [(Priority, &str); 8] = [
    (Priority::Emergency, "Emergency"),
    (Priority::Alert, "Alert"),
    (Priority::Critical, "Critical"),
    (Priority::Error, "Error"),
    (Priority::Warning, "Warning"),
    (Priority::Notice, "Notice"),
    (Priority::Informational, "Informational"),
    (Priority::Debug, "Debug"),
];

impl Priority {
    /// Reads a word in any case; `info` is a short form.
    pub fn parse(word: &str) -> Option<Self> {
        let wanted = if word.eq_ignore_ascii_case("info") { "Informational" } else { word };
        ALL.iter().find(|(_, name)| name.eq_ignore_ascii_case(wanted)).map(|(priority, _)| *priority)
    }

    /// The word in alerts.
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(priority, _)| *priority == self).map_or("", |(_, name)| name)
    }

    /// The number in metrics and in syslog.
    pub fn syslog(self) -> usize {
        ALL.iter().position(|(priority, _)| *priority == self).unwrap_or_default()
    }
}
