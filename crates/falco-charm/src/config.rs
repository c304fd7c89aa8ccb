//! The options, checked. Pure.

use std::fmt;
use std::str::FromStr;

use charm_core::Status;
use charm_core::config::{Kind, Problem, Problems, RawConfig};
use serde::Serialize;

const PRIORITY: &str = "priority";
const METRICS_PORT: &str = "metrics-port";
const REPOSITORY: &str = "custom-config-repository";
const REPOSITORY_KEY: &str = "custom-config-repo-ssh-key";

/// The port that Falco uses when nobody says otherwise.
const DEFAULT_METRICS_PORT: u16 = 8765;

/// Every option, as `charmcraft.yaml` has to declare it.
pub const OPTIONS: [(&str, Kind); 4] =
    [(PRIORITY, Kind::Text), (METRICS_PORT, Kind::Integer), (REPOSITORY, Kind::Text), (REPOSITORY_KEY, Kind::Secret)];

/// What the operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The lowest priority of a rule that is loaded.
    pub priority: Priority,
    /// Where Falco serves its metrics, on loopback.
    pub metrics_port: Port,
    /// Options that are set and not served yet. They do not keep Falco from running.
    pub unserved: Vec<&'static str>,
}

impl Config {
    /// Checks all options. Every problem is told at once.
    pub fn parse(raw: &RawConfig) -> Result<Self, Status> {
        let mut problems = Problems::default();
        let priority = problems.catch(raw.get::<Priority>(PRIORITY)).flatten().unwrap_or(Priority::Debug);
        let metrics_port =
            problems.catch(raw.get::<Port>(METRICS_PORT)).flatten().unwrap_or(Port(DEFAULT_METRICS_PORT));
        let is_set = |option: &&'static str| matches!(raw.get::<String>(option), Ok(Some(text)) if !text.is_empty());
        let unserved = [REPOSITORY, REPOSITORY_KEY].into_iter().filter(is_set).collect();
        if problems.is_empty() { Ok(Self { priority, metrics_port, unserved }) } else { Err(problems.into()) }
    }

    /// The remark about an option that is not served.
    pub fn unserved_remark(option: &str) -> Status {
        let text = format!("{option}: this revision does not serve it, default rules are in use; reset the option");
        Status::Blocked(text)
    }
}

/// The text of a problem that concerns the port, not its value.
pub fn port_taken(port: Port) -> Status {
    let text =
        format!("port {port} of this machine is taken by another program; stop that program or choose another port");
    Problem::new(METRICS_PORT, text).into()
}

/// How severe a rule is. Falco has more words for some of these; the charm takes one for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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

/// A TCP port that a process can listen on: 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Port(u16);

impl Port {
    /// The number.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl FromStr for Port {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().ok().filter(|port| *port != 0).map(Self).ok_or("is not a port (1-65535)")
    }
}

impl fmt::Display for Port {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    fn parse<T: Into<serde_json::Value> + Clone>(options: &[(&str, T)]) -> Result<Config, Status> {
        Config::parse(&options.iter().map(|(name, value)| (*name, value.clone())).collect())
    }

    #[test]
    fn without_options_every_rule_is_loaded_and_the_usual_port_is_taken() {
        let config = parse::<&str>(&[]).unwrap();
        assert_eq!(config, Config { priority: Priority::Debug, metrics_port: Port(8765), unserved: Vec::new() });
    }

    #[test]
    fn good_values_are_taken() {
        assert_eq!(parse(&[("priority", "critical")]).unwrap().priority, Priority::Critical);
        assert_eq!(parse(&[("metrics-port", 65535)]).unwrap().metrics_port, Port(65535));
    }

    #[test]
    fn bad_values_block_with_the_option_the_value_and_what_is_right() {
        for (name, value, text) in [
            ("priority", "loud", "priority: \"loud\" is not one of emergency"),
            ("priority", "", "priority: \"\" is not one of"),
            ("priority", "Debug", "priority: \"Debug\" is not one of"),
            ("metrics-port", "0", "metrics-port: \"0\" is not a port (1-65535)"),
            ("metrics-port", "65536", "metrics-port: \"65536\" is not a port"),
            ("metrics-port", "-1", "metrics-port: \"-1\" is not a port"),
        ] {
            let Err(Status::Blocked(message)) = parse(&[(name, value)]) else { panic!("{name}={value} was taken") };
            assert!(message.starts_with(text), "{message}");
        }
    }

    #[test]
    fn all_bad_values_are_told_at_once() {
        let Err(Status::Blocked(message)) = parse(&[("priority", "loud"), ("metrics-port", "no")]) else { panic!() };
        assert!(message.contains("priority: ") && message.contains("; metrics-port: "), "{message}");
    }

    #[test]
    fn options_that_wait_for_a_later_revision_do_not_keep_falco_from_running() {
        let config = parse(&[("custom-config-repository", "git+ssh://git@example.com/rules")]).unwrap();
        assert_eq!(config.unserved, ["custom-config-repository"]);
    }

    #[derive(Deserialize)]
    struct Charmcraft {
        config: Options,
    }

    #[derive(Deserialize)]
    struct Options {
        options: BTreeMap<String, Declared>,
    }

    #[derive(Deserialize)]
    struct Declared {
        #[serde(rename = "type")]
        kind: String,
        default: Option<serde_json::Value>,
    }

    #[test]
    fn charmcraft_yaml_declares_exactly_these_options_with_these_types_and_defaults() {
        let charmcraft: Charmcraft =
            serde_yaml::from_str(include_str!("../../../charms/falco/charmcraft.yaml")).unwrap();
        let declared = charmcraft.config.options;
        let kinds: BTreeMap<&str, &str> =
            declared.iter().map(|(name, option)| (name.as_str(), option.kind.as_str())).collect();
        let asked = OPTIONS.map(|(name, kind)| match kind {
            Kind::Text => (name, "string"),
            Kind::Integer => (name, "int"),
            Kind::Switch => (name, "boolean"),
            Kind::Secret => (name, "secret"),
        });
        assert_eq!(kinds, asked.into_iter().collect());
        let defaults = declared.into_iter().filter_map(|(name, option)| Some((name, option.default?)));
        assert_eq!(Config::parse(&defaults.collect()), Config::parse(&RawConfig::default()));
    }
}
