//! How severe an event is, in the words of Falco, which both charms take in their options. Pure.

use std::str::FromStr;

use serde::Serialize;

/// How severe an event is; the more severe one is greater. Falco has more words for some of these; the charms take one
/// for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// The least severe.
    #[default]
    Debug,
    /// Severity 6 of syslog.
    Informational,
    /// Severity 5.
    Notice,
    /// Severity 4.
    Warning,
    /// Severity 3.
    Error,
    /// Severity 2.
    Critical,
    /// Severity 1.
    Alert,
    /// The most severe.
    Emergency,
}

impl Priority {
    /// All of them, the least severe first.
    pub const ALL: [Self; 8] = [
        Self::Debug,
        Self::Informational,
        Self::Notice,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Alert,
        Self::Emergency,
    ];

    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Informational => "informational",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }
}

impl FromStr for Priority {
    type Err = &'static str;

    /// The error follows the quoted text.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // `info` is taken in some places and not in others.
        Self::ALL
            .into_iter()
            .find(|priority| priority.word() == text)
            .ok_or("is not one of emergency, alert, critical, error, warning, notice, informational, debug")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_and_written_as_itself_and_no_other_is_taken() {
        for priority in Priority::ALL {
            assert_eq!(priority.word().parse(), Ok(priority));
            assert_eq!(serde_json::to_value(priority).unwrap(), priority.word());
        }
        assert!(Priority::ALL.is_sorted() && Priority::Emergency > Priority::default());
        for text in ["", "info", "Error", "xerrory", "loud"] {
            assert!(text.parse::<Priority>().is_err(), "{text}");
        }
    }
}
