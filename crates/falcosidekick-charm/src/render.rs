//! What Falcosidekick and Pebble read, from types. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use charm_core::digest::Digest;
use charm_core::interfaces::loki_push_api;
use charm_core::pebble::Layer;
use charm_core::pebble::layer::{Check, HttpCheck, Level, OnEnd, Service, Startup};
use charm_core::topology::Topology;
use charm_core::yaml;
use serde::Serialize;

use crate::listener::Listener;
use crate::names::{CHECK, SERVICE};

/// Tells which configuration the process runs with. Falcosidekick reads its configuration once.
const DIGEST_VARIABLE: &str = "CHARM_CONFIG_DIGEST";

/// Kubernetes describes every application of the namespace in variables. Of applications called like these outputs it
/// makes variables that Falcosidekick takes for the ports of the outputs. It does not look at empty ones.
const FOREIGN_VARIABLES: [&str; 4] = ["KUBELESS_PORT", "LOGSTASH_PORT", "SYSLOG_PORT", "TIMESCALEDB_PORT"];

/// The labels by which Juju's observability charms find things. They are those of the Falco unit, which sends them with
/// each alert.
const TOPOLOGY_LABELS: &str = "juju_unit,juju_charm,juju_model,juju_model_uuid,juju_application";

#[derive(Serialize)]
struct Configuration<'a> {
    listenaddress: &'a str,
    listenport: u16,
    customfields: BTreeMap<&'a str, &'a str>,
    loki: Loki<'a>,
}

#[derive(Serialize)]
struct Loki<'a> {
    hostport: &'a str,
    endpoint: &'a str,
    format: &'a str,
    extralabels: &'a str,
}

/// The configuration file.
pub fn configuration(listener: Listener, topology: &Topology, loki: &loki_push_api::Provider) -> String {
    let configuration = Configuration {
        listenaddress: "", // all addresses, of both kinds
        listenport: listener.port,
        // An alert without a field is refused, and Falco's alarm about its own rules has none. The name is one that no
        // alert has, because a field from here takes the place of the alert's.
        customfields: BTreeMap::from([("sidekick_model", topology.model.as_str())]),
        loki: Loki {
            // The two are joined as they are, so that scheme, path and query of the URL stay as published.
            hostport: loki.url.as_str(),
            endpoint: "",
            format: "json",
            extralabels: TOPOLOGY_LABELS,
        },
    };
    yaml::quoted(&configuration).expect("a struct of texts and numbers is JSON")
}

/// The command of the service.
pub fn command(program: &str, config_path: &str) -> String {
    format!("{} -c {}", shell_word(program), shell_word(config_path))
}

/// The layer.
pub fn layer(listener: Listener, command: String, configuration: &str) -> Layer {
    let digest = Digest::of_all([command.as_str(), configuration]);
    let mut environment: BTreeMap<_, _> = FOREIGN_VARIABLES.map(|name| (name.to_owned(), String::new())).into();
    environment.insert(DIGEST_VARIABLE.to_owned(), digest.to_string());
    let service = Service {
        summary: "Falcosidekick".to_owned(),
        startup: Some(Startup::Enabled),
        command,
        environment,
        on_check_failure: BTreeMap::from([(CHECK.to_owned(), OnEnd::Restart)]),
        ..Service::default()
    };
    let check = Check {
        level: Some(Level::Ready),
        // A restart that is asked for in the first second of a process is lost, so the threshold has to be reached much
        // later.
        period: Some(Duration::from_secs(10)),
        threshold: Some(3),
        http: Some(HttpCheck { url: listener.local_url("/healthz"), ..HttpCheck::default() }),
        ..Check::default()
    };
    Layer {
        services: BTreeMap::from([(SERVICE.to_owned(), service)]),
        checks: BTreeMap::from([(CHECK.to_owned(), check)]),
        ..Layer::default()
    }
}

/// A word for Pebble, which reads commands as a shell does, without variables and patterns.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use charm_core::interfaces::RelationData;

    use super::*;

    fn listener() -> Listener {
        Listener::plain("2801".parse().unwrap())
    }

    fn loki(url: &str) -> loki_push_api::Provider {
        loki_push_api::Provider { url: url.parse().unwrap() }
    }

    fn topology() -> Topology {
        Topology { model: "010".to_owned(), ..Topology::default() }
    }

    fn text_of(configuration: &serde_yaml::Value, path: [&str; 2]) -> String {
        let value = &configuration[path[0]][path[1]];
        value.as_str().unwrap_or_else(|| panic!("{path:?} is no text: {value:?}")).to_owned()
    }

    #[test]
    fn texts_that_look_like_something_else_stay_texts() {
        let written = configuration(listener(), &topology(), &loki("https://h/"));
        let read: serde_yaml::Value = serde_yaml::from_str(&written).unwrap();
        assert_eq!(text_of(&read, ["customfields", "sidekick_model"]), "010");
        assert_eq!(read["listenaddress"].as_str(), Some(""));
        assert_eq!(read["listenport"].as_u64(), Some(2801));
    }

    #[test]
    fn a_push_url_keeps_its_scheme_path_and_query() {
        let url = "https://loki.example.com/model-loki-0/loki/api/v1/push?tenant=a&b=%24";
        let read: serde_yaml::Value =
            serde_yaml::from_str(&configuration(listener(), &topology(), &loki(url))).unwrap();
        assert_eq!(text_of(&read, ["loki", "hostport"]), url);
        assert_eq!(text_of(&read, ["loki", "endpoint"]), "", "the default would be appended");
    }

    #[test]
    fn a_hostile_url_stays_inside_its_text() {
        let hostile = "http://h/\"'}\n{{ $x }}%zz#: {a: b}\u{85}\u{7f}";
        let databag = [("endpoint", serde_json::json!({ "url": hostile }).to_string())].into_iter().collect();
        let provider = loki_push_api::Provider::read(&databag).unwrap().unwrap();
        let written = configuration(listener(), &topology(), &provider);
        let read: serde_yaml::Value = serde_yaml::from_str(&written).unwrap();
        assert_eq!(text_of(&read, ["loki", "hostport"]), provider.url.as_str());
        assert_eq!(read.as_mapping().unwrap().len(), 4, "{written}");
        assert_eq!(read["loki"].as_mapping().unwrap().len(), 4, "{written}");
    }

    #[test]
    fn no_secret_of_the_url_stands_in_the_layer() {
        let written = configuration(listener(), &topology(), &loki("http://user:hunter2@h/"));
        let layer = layer(listener(), command("/app/falcosidekick", "/c.yaml"), &written);
        assert!(written.contains("hunter2"));
        assert!(!serde_json::to_string(&layer).unwrap().contains("hunter2"));
    }

    #[test]
    fn every_difference_in_configuration_or_command_is_a_difference_of_the_service() {
        let service = |command: &str, configuration: &str| {
            layer(listener(), command.to_owned(), configuration).services[SERVICE].clone()
        };
        assert_eq!(service("a", "b"), service("a", "b"));
        assert_ne!(service("a", "b"), service("a", "c"));
        assert_ne!(service("a", "b"), service("c", "b"));
    }

    #[test]
    fn words_of_a_command_hold_together() {
        assert_eq!(command("/app/falcosidekick", "/etc/f.yaml"), "/app/falcosidekick -c /etc/f.yaml");
        assert_eq!(command("/my app/f", "/it's #1"), r"'/my app/f' -c '/it'\''s #1'");
    }
}
