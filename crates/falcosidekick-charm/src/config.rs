//! The options, checked. Pure.

use std::str::FromStr;

use charm_core::Status;
use charm_core::config::{Kind, Problem, Problems, RawConfig};

use crate::fields::{CUSTOM_FIELDS, CUSTOM_TAGS, TEMPLATED_FIELDS};
use crate::kubernetes::access::{Access, EXTERNAL_ACCESS, LOAD_BALANCER_ANNOTATIONS};
use crate::outputs::{MINIMUM_PRIORITY, OUTPUTS, OUTPUTS_SECRET};

const PORT: &str = "port";
const METRICS_PORT: &str = "metrics-port";

/// Not only read here: a status names it as well.
pub const ALLOW_PLAIN_HTTP: &str = "allow-plain-http";

/// The port that everybody who knows Falcosidekick expects.
const DEFAULT_PORT: u16 = 2801;

/// Where everybody who knows Falcosidekick expects health and metrics while alerts come in over TLS.
const DEFAULT_METRICS_PORT: u16 = 2810;

/// Every option, as `charmcraft.yaml` has to declare it. Those about what is added to events and where they go are read
/// in [`crate::sinks`].
pub const OPTIONS: [(&str, Kind); 11] = [
    (PORT, Kind::Integer),
    (METRICS_PORT, Kind::Integer),
    (ALLOW_PLAIN_HTTP, Kind::Switch),
    (CUSTOM_FIELDS, Kind::Text),
    (CUSTOM_TAGS, Kind::Text),
    (EXTERNAL_ACCESS, Kind::Text),
    (LOAD_BALANCER_ANNOTATIONS, Kind::Text),
    (MINIMUM_PRIORITY, Kind::Text),
    (OUTPUTS, Kind::Text),
    (OUTPUTS_SECRET, Kind::Secret),
    (TEMPLATED_FIELDS, Kind::Text),
];

/// What the operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where alerts are received.
    pub port: Port,
    /// Where health and metrics are while alerts are received over TLS.
    pub metrics_port: Port,
    /// Whether they may be received in clear text.
    pub allow_plain_http: bool,
}

impl Config {
    /// Checks all options. Every problem is told at once.
    pub fn parse(raw: &RawConfig) -> Result<Self, Status> {
        let mut problems = Problems::default();
        let port = problems.catch(raw.get(PORT)).flatten().unwrap_or(Port(DEFAULT_PORT));
        let metrics_port = problems.catch(raw.get(METRICS_PORT)).flatten().unwrap_or(Port(DEFAULT_METRICS_PORT));
        if port == metrics_port {
            let text = format!("\"{}\" is {PORT} as well, and Falcosidekick needs two", metrics_port.0);
            problems.push(Problem::new(METRICS_PORT, text));
        }
        let allow_plain_http = problems.catch(raw.get(ALLOW_PLAIN_HTTP)).flatten().unwrap_or(false);
        // They are facts as well, as Kubernetes is asked only if they say so.
        drop(Access::parse(raw, &mut problems));
        if problems.is_empty() { Ok(Self { port, metrics_port, allow_plain_http }) } else { Err(problems.into()) }
    }
}

/// A TCP port that Falcosidekick can listen on: 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        match text.parse() {
            Ok(0) | Err(_) => Err("is not a port (1-65535)"),
            Ok(port) => Ok(Self(port)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<T: Into<serde_json::Value> + Clone>(options: &[(&str, T)]) -> Result<Config, Status> {
        Config::parse(&options.iter().map(|(name, value)| (*name, value.clone())).collect())
    }

    #[test]
    fn without_options_the_usual_port_is_taken_and_plain_http_is_not_allowed() {
        let usual = Config { port: Port(2801), metrics_port: Port(2810), allow_plain_http: false };
        assert_eq!(parse::<&str>(&[]), Ok(usual));
    }

    #[test]
    fn good_values_are_taken() {
        assert_eq!(parse(&[("port", 1)]).unwrap().port, Port(1));
        assert_eq!(parse(&[("port", 65535)]).unwrap().port, Port(65535));
        assert!(parse(&[("allow-plain-http", true)]).unwrap().allow_plain_http);
    }

    #[test]
    fn bad_values_block_with_the_option_the_value_and_what_is_right() {
        for (name, value, text) in [
            ("port", "0", "port: \"0\" is not a port (1-65535)"),
            ("port", "65536", "port: \"65536\" is not a port (1-65535)"),
            ("port", "-1", "port: \"-1\" is not a port (1-65535)"),
            ("port", "", "port: \"\" is not a port (1-65535)"),
            ("port", "2810", "metrics-port: \"2810\" is port as well"),
            ("metrics-port", "2801", "metrics-port: \"2801\" is port as well"),
            ("metrics-port", "0", "metrics-port: \"0\" is not a port (1-65535)"),
            ("allow-plain-http", "perhaps", "allow-plain-http: \"perhaps\" "),
        ] {
            let Err(Status::Blocked(message)) = parse(&[(name, value)]) else { panic!("{name}={value} was taken") };
            assert!(message.starts_with(text), "{message}");
        }
    }

    #[test]
    fn all_bad_values_are_told_at_once() {
        let Err(Status::Blocked(message)) = parse(&[("port", "0"), ("allow-plain-http", "no")]) else { panic!() };
        assert!(message.starts_with("port: ") && message.contains("; allow-plain-http: "), "{message}");
    }
}
