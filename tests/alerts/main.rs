//! The alert rules and dashboards of the charms: Prometheus takes them, they fire when they should and are quiet when
//! they should, and every metric in them is one that the workload really has. The same of the rules for Loki.
//!
//! What needs promtool or Loki is ignored without it; `make test-alerts` brings them along.

mod logs;
mod metrics;
mod promtool;
mod scrape;

use charm_core::alert_rules::AlertRules;
use charm_core::topology::Topology;
use charm_core::x509::Certificate;
use falcosidekick_charm::observability;
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;

/// A charm that brings alert rules.
struct Charm {
    name: &'static str,
    rules: fn(&Topology) -> AlertRules,
    dashboards: &'static [&'static str],
    /// When its alerts fire.
    cases: &'static str,
    /// All metrics of its workload, as they were recorded.
    metrics: fn() -> String,
    /// The data sources of its dashboards, and the variables by which one chooses in them.
    variables: &'static [&'static str],
}

const CHARMS: [Charm; 2] = [
    Charm {
        name: "falco",
        rules: falco_charm::cos_agent::alert_rules,
        dashboards: &[falco_charm::cos_agent::DASHBOARD],
        cases: include_str!("falco.yaml"),
        metrics: || {
            let recording = json(include_str!("../recordings/falco/metrics_full.json"));
            let lines = recording["metrics"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
            lines.collect::<Vec<_>>().join("\n")
        },
        variables: &["prometheusds", "juju_model", "juju_model_uuid", "juju_application", "juju_unit"],
    },
    Charm {
        name: "falcosidekick-k8s",
        rules: |topology| observability::metrics::alert_rules(topology, Some(&certificate())),
        dashboards: &[observability::dashboard::DASHBOARD],
        cases: include_str!("falcosidekick-k8s.yaml"),
        metrics: || {
            let recording = json(include_str!("../recordings/falcosidekick/metrics_exposition.json"));
            let texts = recording["exchanges"].as_array().unwrap().iter();
            let mut text = texts.map(|exchange| exchange["response"]["body"].as_str().unwrap());
            text.next_back().unwrap().to_owned()
        },
        variables: &[
            "prometheusds",
            "lokids",
            "juju_model",
            "juju_model_uuid",
            "juju_application",
            "juju_unit",
            "falco_application",
            "priority",
            "rule",
            "search",
        ],
    },
];

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// One that ends 31 hours after the beginning of time, where promtool begins.
fn certificate() -> Certificate {
    let mut parameters = CertificateParams::new(["a".to_owned()]).unwrap();
    parameters.not_before = time::OffsetDateTime::UNIX_EPOCH;
    parameters.not_after = time::OffsetDateTime::UNIX_EPOCH + time::Duration::hours(31);
    let key = KeyPair::generate().unwrap();
    Certificate::from_pem(&parameters.self_signed(&key).unwrap().pem()).unwrap()
}

impl Charm {
    /// One application of it, whose model does not matter.
    fn topology(&self) -> Topology {
        Topology {
            model: "prod".into(),
            model_uuid: "12345678-1234-4234-8234-123456789abc".into(),
            application: self.name.into(),
            unit: format!("{}/0", self.name),
            charm_name: self.name.into(),
        }
    }
}

#[test]
fn the_databag_for_the_agent_of_falco_is_valid() {
    let databag = falco_charm::cos_agent::databag(&CHARMS[0].topology(), 8765);
    let databag = databag.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    charm_tests::interfaces::check("cos_agent", "provider", "unit", &databag).unwrap();
}
