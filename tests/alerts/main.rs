//! The alert rules and dashboards of the charms: Prometheus takes them, they fire when they should and are quiet when
//! they should, and every metric in them is one that the workload really has.
//!
//! What needs promtool is ignored without it; `make test-alerts` brings it along.

mod metrics;
mod promtool;

use charm_core::alert_rules::AlertRules;
use charm_core::topology::Topology;

/// A charm that brings alert rules.
struct Charm {
    name: &'static str,
    rules: fn(&Topology) -> AlertRules,
    dashboards: &'static [&'static str],
    /// When its alerts fire.
    cases: &'static str,
    /// A recording of all metrics of its workload.
    recording: &'static str,
}

const CHARMS: [Charm; 1] = [Charm {
    name: "falco",
    rules: falco_charm::cos_agent::alert_rules,
    dashboards: &[falco_charm::cos_agent::DASHBOARD],
    cases: include_str!("falco.yaml"),
    recording: include_str!("../recordings/falco/metrics_full.json"),
}];

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
