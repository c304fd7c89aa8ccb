//! `prometheus_scrape`: what a Prometheus, or an agent that scrapes for one, collects from a charm on the same network.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{DatabagError, RelationData};
use crate::names::UnitName;
use crate::relation::Databag;
use crate::topology::Topology;

const METADATA: &str = "scrape_metadata";
const JOBS: &str = "scrape_jobs";
const RULES: &str = "alert_rules";

const ADDRESS: &str = "prometheus_scrape_unit_address";
const NAME: &str = "prometheus_scrape_unit_name";

/// What the provider, the one that is scraped, publishes in the databag of its application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Who is scraped. A reader fails on a UUID that is not of version 4.
    pub topology: Topology,
    /// What to scrape.
    pub jobs: Vec<ScrapeJob>,
    /// Groups of rules for Prometheus, `{}` for none.
    pub alert_rules: Value,
}

/// One thing to scrape of every unit. The reader makes one job of it for each unit, adds the labels of the topology, and
/// leaves out keys that it does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrapeJob {
    /// The path of the metrics.
    pub metrics_path: String,
    /// Where to ask, in Prometheus' form.
    pub static_configs: Vec<StaticConfig>,
    /// What to change about the labels of what was scraped, in Prometheus' form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metric_relabel_configs: Vec<Value>,
}

/// Addresses that are scraped alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticConfig {
    /// `*:port` for that port of every unit.
    pub targets: Vec<String>,
}

impl ScrapeJob {
    /// Metrics at `/metrics` of a port of every unit.
    pub fn of_port(port: u16) -> Self {
        let static_configs = vec![StaticConfig { targets: vec![format!("*:{port}")] }];
        Self { metrics_path: "/metrics".to_owned(), static_configs, metric_relabel_configs: Vec::new() }
    }
}

impl Provider {
    /// What to set. Nobody of ours reads it back, so this is no [`RelationData`].
    pub fn write(&self) -> Databag {
        let metadata = serde_json::to_string(&self.topology).expect("a struct of texts is JSON");
        let jobs = json!(self.jobs).to_string();
        [(METADATA, metadata), (JOBS, jobs), (RULES, self.alert_rules.to_string())].into_iter().collect()
    }
}

/// What each unit of the provider publishes of itself, as bare text. A unit without it is not scraped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderUnit {
    /// Where the unit is reached.
    pub address: IpAddr,
    /// Its name.
    pub name: UnitName,
}

impl RelationData for ProviderUnit {
    fn read(databag: &Databag) -> Result<Option<Self>, DatabagError> {
        let (Some(address), Some(name)) = (databag.get(ADDRESS), databag.get(NAME)) else {
            return Ok(None);
        };
        Ok(Some(Self {
            address: address.parse().map_err(|_| DatabagError::new(ADDRESS, address, "it is not an IP address"))?,
            name: name.parse().map_err(|_| DatabagError::new(NAME, name, "it is not the name of a unit"))?,
        }))
    }

    fn write(&self) -> Databag {
        [(ADDRESS, self.address.to_string()), (NAME, self.name.to_string())].into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_for_every_unit_and_says_only_what_it_has_to_say() {
        let job = ScrapeJob::of_port(2810);
        assert_eq!(
            json!([job]).to_string(),
            r#"[{"metrics_path":"/metrics","static_configs":[{"targets":["*:2810"]}]}]"#
        );
    }

    #[test]
    fn all_three_keys_are_written_also_when_there_is_nothing_to_say() {
        let provider = Provider { topology: Topology::default(), jobs: Vec::new(), alert_rules: json!({}) };
        let databag = provider.write();
        assert_eq!((databag.get(JOBS), databag.get(RULES)), (Some("[]"), Some("{}")));
        assert!(databag.get(METADATA).is_some(), "a reader fails without it");
    }

    #[test]
    fn a_unit_is_known_by_address_and_name_and_half_of_it_is_nothing_yet() {
        let unit = ProviderUnit { address: "fd00::1".parse().unwrap(), name: "a/0".parse().unwrap() };
        assert_eq!(ProviderUnit::read(&unit.write()), Ok(Some(unit)));
        assert_eq!(ProviderUnit::read(&[(ADDRESS, "10.1.2.3")].into_iter().collect()), Ok(None));
        assert!(ProviderUnit::read(&[(ADDRESS, "x"), (NAME, "a/0")].into_iter().collect()).is_err());
    }
}
