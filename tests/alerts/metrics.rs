//! Every metric and label in an expression is one that was seen, and every selector says whose metric it wants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::{CHARMS, Charm};

/// The labels that the observability agent and Prometheus add to what is scraped.
const ADDED: [&str; 7] =
    ["instance", "job", "juju_application", "juju_charm", "juju_model", "juju_model_uuid", "juju_unit"];

/// What an alert rule has to say of the application it is for.
const MATCHERS: [&str; 3] = ["juju_model=", "juju_model_uuid=", "juju_application="];

/// What a dashboard has to say, so that its variables choose.
const CHOICES: [&str; 4] = [
    "juju_model=~\"$juju_model\"",
    "juju_model_uuid=~\"$juju_model_uuid\"",
    "juju_application=~\"$juju_application\"",
    "juju_unit=~\"$juju_unit\"",
];

static SELECTOR: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^}]*)\}").unwrap());
static MATCHER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"([a-z0-9_]+)\s*(?:=~|!~|!=|=)\s*"[^"]*""#).unwrap());
static GROUPING: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(?:by|on|ignoring|without|group_left|group_right)\s*\(([^)]*)\)").unwrap());
static METRIC: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(?:up|go_\w+|process_\w+|falcosecurity_\w+)\b").unwrap());
static SAMPLE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"([a-z0-9_]+)="[^"]*""#).unwrap());

/// The labels of each recorded metric. `up` is Prometheus' own.
fn recorded(charm: &Charm) -> BTreeMap<String, BTreeSet<String>> {
    let text = (charm.metrics)();
    let lines = text.lines();
    let mut metrics = BTreeMap::from([("up".to_owned(), BTreeSet::new())]);
    for line in lines.filter(|line| !line.starts_with('#')) {
        let metric = line.split(['{', ' ']).next().unwrap();
        let labels = SAMPLE.captures_iter(line).map(|found| found[1].to_owned());
        metrics.entry(metric.to_owned()).or_default().extend(labels);
    }
    metrics
}

/// What is wrong with an expression.
fn problems(expression: &str, recorded: &BTreeMap<String, BTreeSet<String>>, wanted: &[&str]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut labels: BTreeSet<&str> = ADDED.into();
    let mut selected = 0;
    for found in SELECTOR.captures_iter(expression) {
        let (metric, matchers) = (&found[1], &found[2]);
        selected += 1;
        let Some(known) = recorded.get(metric) else {
            problems.push(format!("nobody has seen the metric {metric}"));
            continue;
        };
        labels.extend(known.iter().map(String::as_str));
        for matcher in MATCHER.captures_iter(matchers) {
            if !known.contains(&matcher[1]) && !ADDED.contains(&&matcher[1]) {
                problems.push(format!("{metric} has no label {}", &matcher[1]));
            }
        }
        problems.extend(
            wanted.iter().filter(|wanted| !matchers.contains(**wanted)).map(|wanted| format!("{metric}: no {wanted}")),
        );
    }
    for grouping in GROUPING.captures_iter(expression) {
        let unknown =
            grouping[1].split(',').map(str::trim).filter(|label| !label.is_empty() && !labels.contains(label));
        problems.extend(unknown.map(|label| format!("nothing here has the label {label}")));
    }
    // A metric without braces is one that nobody selected.
    let without_matchers = MATCHER.replace_all(expression, "");
    if METRIC.find_iter(&without_matchers).count() != selected {
        problems.push("a metric has no selector, or a selector is of something else".to_owned());
    }
    problems
}

#[test]
fn alert_rules_use_metrics_that_exist_and_name_their_application() {
    for charm in &CHARMS {
        let recorded = recorded(charm);
        for (alert, expression) in (charm.rules)(&charm.topology()).expressions() {
            assert_eq!(problems(expression, &recorded, &MATCHERS), [""; 0], "{alert}: {expression}");
        }
    }
}

#[test]
fn dashboards_use_metrics_that_exist_and_what_is_chosen_in_them() {
    for charm in &CHARMS {
        let recorded = recorded(charm);
        for dashboard in charm.dashboards {
            let dashboard: Value = serde_json::from_str(dashboard).unwrap();
            let mut count = 0;
            for target in targets(&dashboard, "prometheus") {
                let expression = target["expr"].as_str().unwrap();
                assert_eq!(problems(expression, &recorded, &CHOICES), [""; 0], "{expression}");
                count += 1;
            }
            assert!(count > 5, "only {count} expressions");
        }
    }
}

/// The queries of a dashboard to this kind of data source.
pub fn targets<'a>(dashboard: &'a Value, kind: &str) -> impl Iterator<Item = &'a Value> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets.filter(move |target| target["datasource"]["type"] == kind)
}

#[test]
fn dashboards_have_what_grafana_and_its_charm_need() {
    for charm in &CHARMS {
        for dashboard in charm.dashboards {
            let dashboard: Value = serde_json::from_str(dashboard).unwrap();
            let uid = dashboard["uid"].as_str().unwrap();
            assert!(uid.len() == 40 && uid.chars().all(|c| c.is_ascii_hexdigit()), "{uid}");
            assert!(dashboard["version"].is_u64(), "without a version, an older dashboard could win");
            let panels = dashboard["panels"].as_array().unwrap();
            let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
            assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
            for panel in panels.iter().filter(|panel| panel["type"] != "row") {
                let source = panel["datasource"]["uid"].as_str().unwrap();
                assert!(charm.variables.iter().any(|name| source == format!("${{{name}}}")), "{}", panel["title"]);
                assert!(panel["description"].as_str().is_some_and(|text| text.len() > 10), "{}", panel["title"]);
            }
            let variables = dashboard["templating"]["list"].as_array().unwrap();
            let names: Vec<&str> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
            assert_eq!(names, charm.variables);
            for variable in variables.iter().filter(|variable| variable["type"] != "datasource") {
                let hides = variable["current"]["value"].as_str().is_some_and(|text| !text.is_empty());
                let everything = variable["type"] == "textbox" || variable["current"]["value"][0] == "$__all";
                assert!(everything && !hides, "nothing is hidden before somebody chooses: {variable}");
            }
        }
    }
}

#[test]
fn a_metric_a_label_or_a_selector_that_is_wrong_is_found() {
    let recorded = recorded(&CHARMS[0]);
    let matchers = r#"juju_model="m",juju_model_uuid="u",juju_application="a""#;
    let good =
        format!("rate(falcosecurity_scap_n_evts_total{{{matchers}}}[5m]) unless on (juju_unit) up{{{matchers}}}");
    assert_eq!(problems(&good, &recorded, &MATCHERS), [""; 0]);
    for (wrong, text) in [
        (good.replace("n_evts", "events"), "nobody has seen the metric falcosecurity_scap_events_total"),
        (good.replace("{juju_model=\"m\",", "{"), "up: no juju_model="),
        (good.replace("{juju_model=", "{cpu=\"0\",juju_model="), "up has no label cpu"),
        (good.replace("on (juju_unit)", "on (unit)"), "nothing here has the label unit"),
        (good.replace(&format!("up{{{matchers}}}"), "up"), "a metric has no selector"),
    ] {
        let found = problems(&wrong, &recorded, &MATCHERS);
        assert!(found.iter().any(|found| found.contains(text)), "{text}: {found:?}");
    }
}
