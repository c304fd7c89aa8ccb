//! `cos_agent`: what an observability agent on the same machine collects from a charm.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{DatabagError, RelationData};
use crate::digest::Digest;
use crate::relation::Databag;

const CONFIG: &str = "config";

/// What the provider, the one that is observed, publishes in the databag of each of its units: one JSON object. A
/// reader drops all of it when one of the fields that are lists or objects is missing or null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Groups of rules for Prometheus, `{}` for none.
    pub metrics_alert_rules: Value,
    /// Groups of rules for Loki, `{}` for none.
    pub log_alert_rules: Value,
    /// Dashboards, each as [`crate::dashboard::encode`] makes it. One that cannot be decoded fails the reader.
    pub dashboards: Vec<String>,
    /// Whether the provider shares a machine with others. No reader asks any more.
    pub subordinate: Option<bool>,
    /// What to scrape.
    pub metrics_scrape_jobs: Vec<ScrapeJob>,
    /// Slots of snaps to take logs from, `snap:slot`.
    pub log_slots: Vec<String>,
    /// By which protocols the provider would send traces.
    pub tracing_protocols: Option<Vec<String>>,
}

/// One thing to scrape. The reader adds the labels of the topology.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrapeJob {
    /// The path of the metrics.
    pub metrics_path: String,
    /// Where to ask, in Prometheus' form.
    pub static_configs: Vec<StaticConfig>,
    /// Unique on the machine of the reader.
    pub job_name: String,
}

/// Addresses that are scraped alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticConfig {
    /// `host:port` of each.
    pub targets: Vec<String>,
}

impl ScrapeJob {
    /// Metrics at `/metrics` of a port of this machine. The name tells one port from another, also in the history of
    /// the series.
    pub fn of_port(application: &str, port: u16) -> Self {
        let metrics_path = "/metrics".to_owned();
        let static_configs = vec![StaticConfig { targets: vec![format!("localhost:{port}")] }];
        let digest = Digest::of(json!([metrics_path, static_configs]).to_string());
        let job_name = format!("{application}_default_{}", &digest.as_str()[..8]);
        Self { metrics_path, static_configs, job_name }
    }
}

impl RelationData for Provider {
    fn read(databag: &Databag) -> Result<Option<Self>, DatabagError> {
        let Some(value) = databag.get(CONFIG) else {
            return Ok(None);
        };
        let provider =
            serde_json::from_str(value).map_err(|error| DatabagError::new(CONFIG, value, error.to_string()))?;
        Ok(Some(provider))
    }

    fn write(&self) -> Databag {
        [(CONFIG, json!(self).to_string())].into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_a_reader_insists_on_is_never_left_out_or_null() {
        let nothing = Provider {
            metrics_alert_rules: json!({}),
            log_alert_rules: json!({}),
            dashboards: Vec::new(),
            subordinate: None,
            metrics_scrape_jobs: Vec::new(),
            log_slots: Vec::new(),
            tracing_protocols: None,
        };
        let written: Value = serde_json::from_str(nothing.write().get(CONFIG).unwrap()).unwrap();
        for (field, empty) in [
            ("metrics_alert_rules", json!({})),
            ("log_alert_rules", json!({})),
            ("dashboards", json!([])),
            ("metrics_scrape_jobs", json!([])),
            ("log_slots", json!([])),
        ] {
            assert_eq!(written[field], empty, "{field}");
        }
        assert_eq!(Provider::read(&nothing.write()), Ok(Some(nothing)));
    }

    #[test]
    fn another_port_is_another_job() {
        let job = ScrapeJob::of_port("falco", 8765);
        assert_eq!(job.static_configs[0].targets, ["localhost:8765"]);
        assert_eq!(job, ScrapeJob::of_port("falco", 8765));
        assert_ne!(job.job_name, ScrapeJob::of_port("falco", 8766).job_name);
        assert!(job.job_name.starts_with("falco_default_"));
    }

    #[test]
    fn nothing_published_is_not_an_error_and_half_of_it_is() {
        assert_eq!(Provider::read(&Databag::default()), Ok(None));
        for value in ["{}", "[]", "null", "x", r#"{"dashboards": null}"#] {
            assert!(Provider::read(&[(CONFIG, value)].into_iter().collect()).is_err(), "{value}");
        }
    }
}
