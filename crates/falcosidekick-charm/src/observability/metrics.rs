//! What Prometheus is told: where Falcosidekick counts, what of it to keep, and which alerts go with it. Pure.

use charm_core::alert_rules::AlertRules;
use charm_core::interfaces::prometheus_scrape::{Provider, ScrapeJob};
use charm_core::topology::Topology;
use charm_core::x509::{self, Certificate};
use serde_json::{Value, json};

use crate::decide;
use crate::facts::Facts;
use crate::listener::Listener;
use crate::names::METRICS_ENDPOINT;
use crate::plan::Publish;
use crate::tls;

const RULES: &str = include_str!("../../../../charms/falcosidekick-k8s/alert-rules/metrics.yaml");
const CERTIFICATE_RULES: &str = include_str!("../../../../charms/falcosidekick-k8s/alert-rules/certificate.yaml");

/// Stand in the rule about the certificate for times.
const OVERDUE: &str = "%%certificate_overdue%%";
const END: &str = "%%certificate_end%%";

/// The one metric that has a series for each place in which a rule was broken.
pub const EVENTS: &str = "falcosecurity_falcosidekick_falco_events_total";

/// In how many series the places of a rule end up. More of them are told apart better, and cost more.
pub const ORIGINS: u64 = 64;

/// What has to change in the databags of who scrapes.
pub fn publish(facts: &Facts, listener: Listener, certificate: Option<&Certificate>) -> Vec<Publish> {
    let provider = || Provider {
        topology: facts.topology.clone(),
        jobs: vec![job(listener)],
        alert_rules: json!(alert_rules(&facts.topology, certificate)),
    };
    decide::publish(METRICS_ENDPOINT, &facts.observers.told_scrapers, |_, _| provider().write())
}

/// Metrics are always in clear text, and on the port of alerts unless that is for TLS.
fn job(listener: Listener) -> ScrapeJob {
    ScrapeJob { metric_relabel_configs: relabelling(), ..ScrapeJob::of_port(listener.metrics_port()) }
}

/// The alert rules of this application. `certificate`: the one that is served.
pub fn alert_rules(topology: &Topology, certificate: Option<&Certificate>) -> AlertRules {
    let read = |yaml: &str| AlertRules::of_application(yaml, topology).expect("a test reads them");
    let rules = read(RULES);
    let Some(certificate) = certificate else { return rules };
    let end = x509::time_text(certificate.not_after);
    let yaml = CERTIFICATE_RULES.replace(OVERDUE, &tls::overdue_time(certificate).to_string()).replace(END, &end);
    rules.and(read(&yaml))
}

/// Keeps the number of series within bounds. Falcosidekick counts events for each host and each pod, and never forgets
/// one: with pods that come and go, that has filled the memory of more than one Prometheus.
///
/// Names of hosts and pods are dropped. But series that are the same without them would all be taken for one, of which
/// Prometheus keeps whichever comes first, so a number of few values takes their place: the sum over it is what was
/// counted, save for two places of the same number and rule.
fn relabelling() -> Vec<Value> {
    let places = ["hostname", "k8s_ns_name", "k8s_pod_name"];
    let source: Vec<&str> = ["__name__"].into_iter().chain(places).collect();
    vec![
        json!({
            "source_labels": source, "regex": format!("{EVENTS};(.*)"), "target_label": "__tmp_origin",
            "replacement": "$1", "action": "replace",
        }),
        json!({
            "source_labels": ["__tmp_origin"], "modulus": ORIGINS, "target_label": "origin", "action": "hashmod",
        }),
        // Whatever is not counted for a place has no origin.
        json!({
            "source_labels": ["__tmp_origin"], "regex": "", "target_label": "origin", "replacement": "",
            "action": "replace",
        }),
        json!({ "regex": "hostname|k8s_pod_name|__tmp_origin", "action": "labeldrop" }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(listener: Listener) -> String {
        job(listener).static_configs[0].targets[0].clone()
    }

    #[test]
    fn metrics_are_scraped_where_they_are_in_clear_text_in_every_unit() {
        let (port, metrics) = ("3000".parse().unwrap(), "2810".parse().unwrap());
        assert_eq!(target(Listener::plain(port)), "*:3000");
        assert_eq!(target(Listener::tls(port, metrics)), "*:2810");
    }

    #[test]
    fn hosts_and_pods_are_dropped_from_what_is_counted_for_them() {
        let text = json!(relabelling()).to_string();
        assert!(text.contains(r#"{"action":"labeldrop","regex":"hostname|k8s_pod_name|__tmp_origin"}"#), "{text}");
        assert!(text.contains(&format!("{EVENTS};(.*)")), "{text}");
    }

    #[test]
    fn the_certificate_has_a_rule_with_its_own_time_and_without_one_there_is_none() {
        let name = "FalcosidekickCertificateNearEnd";
        let topology = Topology::default();
        let find = |rules: AlertRules| rules.expressions().find(|rule| rule.0 == name).map(|rule| rule.1.to_owned());
        assert_eq!(find(alert_rules(&topology, None)), None);
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(["a".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2026, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2026, 1, 21);
        let certificate = Certificate::from_pem(&parameters.self_signed(&key).unwrap().pem()).unwrap();
        let end = certificate.not_after;
        let expected = format!("vector(time()) >= {}", end - 24 * 60 * 60);
        assert_eq!(find(alert_rules(&topology, Some(&certificate))), Some(expected), "a day before, of twenty");
    }
}
