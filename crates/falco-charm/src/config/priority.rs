//! How severe a rule is. Pure.

use std::str::FromStr;

use serde::Serialize;

/// How severe a rule is. Falco has more words for some of these; the charm takes one for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// The most severe.
    Emergency,
    /// Severity 1.
    Alert,
    /// Severity 2.
    Critical,
    /// Severity 3.
    Error,
    /// Severity 4.
    Warning,
    /// Severity 5.
    Notice,
    /// Severity 6.
    Informational,
    /// The least severe: every rule is loaded.
    #[default]
    Debug,
}

impl FromStr for Priority {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "emergency" => Self::Emergency,
            "alert" => Self::Alert,
            "critical" => Self::Critical,
            "error" => Self::Error,
            "warning" => Self::Warning,
            "notice" => Self::Notice,
            "informational" => Self::Informational,
            "debug" => Self::Debug,
            _ => {
                return Err("is not one of emergency, alert, critical, error, warning, notice, informational, debug");
            }
        })
    }
}
