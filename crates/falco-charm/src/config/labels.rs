//! Labels that the operator wants on every alert. Pure.
//!
//! They become fields beside those of the rules, and Falco reads their values as formats. One that it cannot read makes
//! **every** rule fail to load, with words about the rule, so that everything it might stumble over is refused here.

use std::str::FromStr;

/// What an alert has already, in Falco's JSON or as a label of the receivers it passes through.
const TAKEN: [&str; 13] = [
    "hostname",
    "k8s_node_name",
    "k8s_ns_name",
    "k8s_pod_name",
    "message",
    "output",
    "output_fields",
    "priority",
    "priority_raw",
    "rule",
    "source",
    "tags",
    "time",
];

/// Beginnings of the names that both charms put on alerts.
const OURS: [&str; 2] = ["juju_", "sidekick_"];

/// The longest name and value, in characters. Receivers have limits of this order.
const LONGEST: usize = 256;

/// `key=value` pairs in one option, parted by commas or ends of lines, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(pub Vec<(String, String)>);

impl FromStr for Labels {
    type Err = String;

    /// The error follows the quoted text.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut labels: Vec<(String, String)> = Vec::new();
        for entry in text.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty()) {
            let (key, value) = entry.split_once('=').ok_or_else(|| format!("has {entry:?}, which is not key=value"))?;
            let (key, value) = (key.trim_end(), value.trim_start());
            check_key(key)?;
            check_value(value).map_err(|wrong| format!("has a value for {key} that {wrong}"))?;
            if labels.iter().any(|(other, _)| other == key) {
                return Err(format!("has the key {key} twice"));
            }
            labels.push((key.to_owned(), value.to_owned()));
        }
        Ok(Self(labels))
    }
}

/// Names that Falco, Prometheus and Loki all take. Falco's own fields have a dot in them, so that none is one of those.
fn check_key(key: &str) -> Result<(), String> {
    let is_name = |key: &str| {
        key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if !is_name(key) || key.len() > LONGEST {
        return Err(format!("has the key {key:?}, which is not letters, digits and _, with no digit first"));
    }
    let lower = key.to_ascii_lowercase();
    if TAKEN.contains(&lower.as_str()) || OURS.iter().any(|prefix| lower.starts_with(prefix)) {
        return Err(format!("has the key {key}, which alerts have already; choose another"));
    }
    Ok(())
}

fn check_value(value: &str) -> Result<(), &'static str> {
    if value.is_empty() {
        Err("is empty, which Falco leaves out")
    } else if value.contains('%') {
        Err("has a % in it, which Falco reads as the beginning of a field")
    } else if value.starts_with('*') {
        Err("begins with *, which Falco takes away")
    } else if value.contains(char::is_control) {
        Err("has a control character in it")
    } else if value.chars().count() > LONGEST {
        Err("is longer than 256 characters")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_parted_by_commas_and_lines_and_keep_their_order() {
        let Labels(labels) = "team=blue, site = Zürich 2\r\n url=https://h/?a=\"b\"&c=${d},\n".parse().unwrap();
        let wanted = [("team", "blue"), ("site", "Zürich 2"), ("url", "https://h/?a=\"b\"&c=${d}")];
        assert_eq!(labels, wanted.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert_eq!(" \n".parse(), Ok(Labels::default()));
    }

    #[test]
    fn what_would_break_every_rule_is_refused() {
        for (text, words) in [
            ("load=100%", "a % in it"),
            ("load=%proc.name", "a % in it"),
            ("a=b,a=c", "the key a twice"),
            ("a=*b", "begins with *"),
            ("a=b\tc", "control"),
        ] {
            let error = text.parse::<Labels>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn what_would_not_arrive_or_hide_something_is_refused() {
        let long = format!("a={}", "x".repeat(257));
        for (text, words) in [
            ("team", "not key=value"),
            ("a=", "is empty"),
            ("=b", "the key \"\""),
            ("9a=b", "no digit first"),
            ("my-team=b", "letters, digits"),
            ("fd.name=b", "letters, digits"),
            ("juju_unit=x", "have already"),
            ("JUJU_X=x", "have already"),
            ("sidekick_model=x", "have already"),
            ("rule=x", "have already"),
            (&long, "longer than"),
        ] {
            let error = text.parse::<Labels>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
