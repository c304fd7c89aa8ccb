//! The real Prometheus, and what the charms on the other side of a relation make of a databag for it.
//!
//! Those charms are played, as far as this goes: jobs are taken over as they were published, with the labels that a
//! reader adds. Whatever is wrong in a databag is wrong in Prometheus.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::juju::{Relation, State};
use crate::ports::free_port;
use crate::programs;
use crate::server::Server;

/// A running Prometheus. It ends when this is dropped.
#[derive(Debug)]
pub struct Prometheus(Server);

/// One address that is scraped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `up`, `down`, or `unknown` before the first scrape.
    pub health: String,
    /// Why it is down.
    pub error: String,
    /// What every series of it is labelled with.
    pub labels: BTreeMap<String, String>,
}

impl Prometheus {
    /// Where the program is: in a package unpacked by `tests/tools/debian`, whose folder `PROMETHEUS_ROOT` names.
    pub fn program() -> Result<PathBuf, String> {
        let root = programs::given("PROMETHEUS_ROOT")
            .ok_or("PROMETHEUS_ROOT has to name the folder that tests/tools/debian prometheus prints")?;
        Ok(root.join("usr/bin/prometheus"))
    }

    /// Starts this Prometheus with these jobs, each of which is scraped every second.
    pub fn start(program: &Path, folder: &Path, jobs: &[Value]) -> Result<Self, String> {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        // JSON is YAML.
        let configuration = json!({
            "global": { "scrape_interval": "1s", "scrape_timeout": "1s" },
            "scrape_configs": jobs,
        });
        let path = folder.join("prometheus.yaml");
        fs::write(&path, configuration.to_string()).map_err(|error| error.to_string())?;
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new(program);
        command
            .env_clear()
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"));
        let mut server = Server::start("prometheus", &mut command, address, folder)?;
        server.wait_for_page("/-/ready")?;
        Ok(Self(server))
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        self.0.address()
    }

    /// What it scrapes.
    pub fn targets(&self) -> Result<Vec<Target>, String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let answer = self.api("/api/v1/targets?state=active")?;
        let targets = answer["activeTargets"].as_array().into_iter().flatten();
        Ok(targets
            .map(|target| {
                let labels = target["labels"].as_object().into_iter().flatten();
                Target {
                    health: text(&target["health"]),
                    error: text(&target["lastError"]),
                    labels: labels.map(|(name, value)| (name.clone(), text(value))).collect(),
                }
            })
            .collect())
    }

    /// The result of a query at this moment: samples with their labels.
    pub fn query(&self, promql: &str) -> Result<Value, String> {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("query", promql).finish();
        Ok(self.api(&format!("/api/v1/query?{query}"))?["result"].take())
    }

    fn api(&self, target: &str) -> Result<Value, String> {
        let (status, body) = self.0.get(target, &[])?;
        if status != 200 {
            return Err(format!("{target}: {status} {body}"));
        }
        let mut answer: Value = serde_json::from_str(&body).map_err(|error| format!("{target}: {error}"))?;
        Ok(answer["data"].take())
    }
}

/// What the observability agent on the machine of a unit makes of the unit's databag.
pub fn jobs_by_cos_agent(state: &State, unit: &str) -> Vec<Value> {
    let Some(relation) = related(state, "cos-agent") else { return Vec::new() };
    let config = relation.local_unit_data.get("config").map_or("null", String::as_str);
    let config: Value = serde_json::from_str(config).unwrap_or_default();
    let mut jobs = config["metrics_scrape_jobs"].as_array().cloned().unwrap_or_default();
    for job in &mut jobs {
        label(job, &juju_labels(state, unit));
    }
    jobs
}

/// What Prometheus' charm makes of the databags of an application on the same network, for one of its units.
pub fn jobs_by_metrics_endpoint(state: &State, unit: &str) -> Vec<Value> {
    let Some(relation) = related(state, "metrics-endpoint") else { return Vec::new() };
    let read = |key: &str| -> Value {
        let text = relation.local_app_data.get(key).map_or("null", String::as_str);
        serde_json::from_str(text).unwrap_or_default()
    };
    let own = |key: &str| relation.local_unit_data.get(key).map(String::as_str);
    let Some(address) = own("prometheus_scrape_unit_address") else { return Vec::new() };
    let published = read("scrape_metadata");
    let mut labels = juju_labels(state, own("prometheus_scrape_unit_name").unwrap_or(unit));
    for (label, key) in [
        ("juju_model", "model"),
        ("juju_model_uuid", "model_uuid"),
        ("juju_application", "application"),
        ("juju_charm", "charm_name"),
    ] {
        labels.insert(label.to_owned(), published[key].as_str().unwrap_or_default().to_owned());
    }
    let mut jobs = read("scrape_jobs").as_array().cloned().unwrap_or_default();
    for (number, job) in jobs.iter_mut().enumerate() {
        job["job_name"] = format!("{unit}-{number}").into();
        for target in targets(job) {
            *target = target.as_str().unwrap_or_default().replacen('*', address, 1).into();
        }
        label(job, &labels);
    }
    jobs
}

fn related<'a>(state: &'a State, endpoint: &str) -> Option<&'a Relation> {
    state.relations.iter().find(|relation| relation.endpoint == endpoint)
}

/// The labels of a unit as the agent beside it knows them.
fn juju_labels(state: &State, unit: &str) -> BTreeMap<String, String> {
    let application = unit.split('/').next().unwrap_or_default();
    [
        ("juju_model", state.model.name.as_str()),
        ("juju_model_uuid", state.model.uuid.as_str()),
        ("juju_application", application),
        ("juju_unit", unit),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn label(job: &mut Value, labels: &BTreeMap<String, String>) {
    for config in job["static_configs"].as_array_mut().into_iter().flatten() {
        config["labels"] = json!(labels);
    }
}

fn targets(job: &mut Value) -> impl Iterator<Item = &mut Value> {
    let configs = job["static_configs"].as_array_mut().into_iter().flatten();
    configs.filter_map(|config| config.get_mut("targets")?.as_array_mut()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_for_every_unit_gets_the_address_and_the_labels_of_one() {
        let mut relation = Relation::new(3, "metrics-endpoint", "prometheus");
        for (key, value) in [
            (
                "scrape_metadata",
                r#"{"model": "m", "model_uuid": "u", "application": "a", "unit": "a/1", "charm_name": "c"}"#,
            ),
            ("scrape_jobs", r#"[{"metrics_path": "/metrics", "static_configs": [{"targets": ["*:2810"]}]}]"#),
        ] {
            relation.local_app_data.insert(key.into(), value.into());
        }
        let state = |relation: &Relation| State::kubernetes().relation(relation.clone());
        assert!(jobs_by_metrics_endpoint(&state(&relation), "a/0").is_empty(), "nobody has said where a/0 is");
        relation.local_unit_data.insert("prometheus_scrape_unit_address".into(), "10.1.2.3".into());
        relation.local_unit_data.insert("prometheus_scrape_unit_name".into(), "a/0".into());
        let labels = json!({"juju_model": "m", "juju_model_uuid": "u", "juju_application": "a", "juju_charm": "c", "juju_unit": "a/0"});
        assert_eq!(
            jobs_by_metrics_endpoint(&state(&relation), "a/0"),
            [json!({
                "job_name": "a/0-0",
                "metrics_path": "/metrics",
                "static_configs": [{ "targets": ["10.1.2.3:2810"], "labels": labels }],
            })]
        );
    }
}
