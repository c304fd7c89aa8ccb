//! What the observability agent of the machine gets from this unit: what to scrape, alert rules and a dashboard. Pure.
//!
//! Every unit publishes, leader or not, since an agent sees only the units on its own machine.

use charm_core::alert_rules::AlertRules;
use charm_core::dashboard;
use charm_core::interfaces::RelationData;
use charm_core::interfaces::cos_agent::{Provider, ScrapeJob};
use charm_core::relation::Databag;
use charm_core::topology::Topology;
use serde_json::json;

const ALERT_RULES: &str = include_str!("../../../charms/falco/alert-rules/falco.yaml");

/// The dashboard that shows all units of all applications of this charm.
pub const DASHBOARD: &str = include_str!("../../../charms/falco/dashboards/falco.json");

/// The databag of this unit, whose Falco serves its metrics on this port of the loopback address.
pub fn databag(topology: &Topology, port: u16) -> Databag {
    let provider = Provider {
        metrics_alert_rules: json!(alert_rules(topology)),
        log_alert_rules: json!({}),
        dashboards: vec![dashboard::encode(DASHBOARD).expect("a test encodes it")],
        subordinate: None,
        metrics_scrape_jobs: vec![ScrapeJob::of_port(&topology.application, port)],
        log_slots: Vec::new(),
        tracing_protocols: None,
    };
    provider.write()
}

/// The alert rules of this application.
pub fn alert_rules(topology: &Topology) -> AlertRules {
    AlertRules::of_application(ALERT_RULES, topology).expect("a test reads them")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(unit: &str) -> Topology {
        Topology { application: "watch".into(), unit: unit.into(), ..Topology::default() }
    }

    #[test]
    fn the_job_asks_where_falco_answers_and_is_named_after_the_application() {
        let provider = Provider::read(&databag(&topology("watch/0"), 9999)).unwrap().unwrap();
        let [job] = provider.metrics_scrape_jobs.as_slice() else { panic!("one job") };
        assert_eq!(job.static_configs[0].targets, ["localhost:9999"]);
        assert!(job.job_name.starts_with("watch_default_"), "{}", job.job_name);
        assert_eq!(provider.dashboards.len(), 1);
    }

    #[test]
    fn all_units_of_an_application_publish_the_same() {
        assert_eq!(databag(&topology("watch/0"), 1), databag(&topology("watch/1"), 1));
    }

    #[test]
    fn a_databag_stays_far_below_the_limits_of_juju() {
        let databag = databag(&topology("watch/0"), 1);
        let longest = databag.iter().map(|(_, value)| value.len()).max().unwrap();
        assert!(longest < 64 * 1024, "{longest} bytes");
    }
}
