//! What Prometheus' own promtool says of the rules.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{CHARMS, Charm};

/// When alerts fire: see the head of `falco.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    healthy: BTreeMap<String, String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    about: String,
    #[serde(default)]
    series: BTreeMap<String, Option<String>>,
    fires: BTreeMap<String, Vec<String>>,
}

/// Everything that fires, with the unit it fires for.
const FIRING: &str = r#"count by (alertname, juju_unit) (ALERTS{alertstate="firing"})"#;

impl Charm {
    fn cases(&self) -> Cases {
        serde_yaml::from_str(self.cases).unwrap_or_else(|error| panic!("the cases of {}: {error}", self.name))
    }

    /// `metric{more="labels"}` with those that the observability agent adds.
    fn series(&self, series: &str) -> String {
        let (metric, more) = series.split_once('{').unwrap_or((series, "}"));
        let more = more.trim_end_matches('}');
        let topology = self.topology();
        let labels = topology.labels().into_iter().filter(|(name, _)| *name != "juju_charm");
        let labels = labels.chain([("job", "job"), ("instance", "localhost:8765")]);
        let added = labels.filter(|(name, _)| !more.contains(&format!("{name}=")));
        let added: Vec<String> = added.map(|(name, value)| format!("{name}={value:?}")).collect();
        let separator = if more.is_empty() { "" } else { "," };
        format!("{metric}{{{more}{separator}{}}}", added.join(","))
    }

    /// The cases in the form that promtool takes.
    fn unit_tests(&self) -> Value {
        let Cases { healthy, cases } = self.cases();
        let tests: Vec<Value> = cases
            .iter()
            .map(|case| {
                let mut series: BTreeMap<&String, &String> = healthy.iter().collect();
                for (name, values) in &case.series {
                    match values {
                        Some(values) => drop(series.insert(name, values)),
                        None => drop(series.remove(name).expect("only a healthy series can be taken away")),
                    }
                }
                let series: Vec<Value> = series
                    .into_iter()
                    .map(|(name, values)| json!({"series": self.series(name), "values": values}))
                    .collect();
                let expressions: Vec<Value> = case.fires.iter().map(|(time, alerts)| firing(time, alerts)).collect();
                json!({"name": case.about, "interval": "1m", "input_series": series, "promql_expr_test": expressions})
            })
            .collect();
        json!({"rule_files": ["rules.json"], "evaluation_interval": "1m", "tests": tests})
    }
}

fn firing(time: &str, alerts: &[String]) -> Value {
    let samples: Vec<Value> = alerts
        .iter()
        .map(|alert| {
            let labels = match alert.split_once(' ') {
                Some((name, unit)) => format!("{{alertname={name:?},juju_unit={unit:?}}}"),
                None => format!("{{alertname={alert:?}}}"),
            };
            json!({"labels": labels, "value": 1})
        })
        .collect();
    json!({"expr": FIRING, "eval_time": time, "exp_samples": samples})
}

/// Runs promtool in a folder. YAML takes JSON, so that is what the files hold.
fn promtool(arguments: &[&str], folder: &Path) {
    let program = std::env::var_os("PROMTOOL").expect("PROMTOOL names the program: make test-alerts");
    let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

fn folder_of(charm: &Charm) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name, value: Value| std::fs::write(folder.path().join(name), value.to_string()).unwrap();
    write("rules.json", json!((charm.rules)(&charm.topology())));
    write("tests.json", charm.unit_tests());
    folder
}

#[test]
#[ignore = "needs promtool: make test-alerts"]
fn prometheus_takes_the_rules() {
    for charm in &CHARMS {
        promtool(&["check", "rules", "rules.json"], folder_of(charm).path());
    }
}

#[test]
#[ignore = "needs promtool: make test-alerts"]
fn every_alert_fires_when_it_should_and_is_quiet_when_it_should() {
    for charm in &CHARMS {
        promtool(&["test", "rules", "tests.json"], folder_of(charm).path());
    }
}

#[test]
fn every_alert_has_a_case_in_which_it_fires() {
    for charm in &CHARMS {
        let rules = (charm.rules)(&charm.topology());
        let alerts: BTreeSet<String> = rules.expressions().map(|(alert, _)| alert.to_owned()).collect();
        let cases = charm.cases().cases;
        let firing = cases.iter().flat_map(|case| case.fires.values().flatten());
        let fired: BTreeSet<String> = firing.filter_map(|alert| alert.split(' ').next()).map(str::to_owned).collect();
        assert_eq!(fired, alerts, "{}", charm.name);
    }
}
