//! The rules for Loki, and what a dashboard asks it: labels that are there, and, with the real Loki, rules that fire.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use charm_core::alert_rules::AlertRules;
use charm_core::topology::Topology;
use charm_tests::loki::Loki;
use falcosidekick_charm::observability::{dashboard, logs};
use regex::Regex;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::CHARMS;
use crate::metrics::targets;

/// The labels that alerts have in Loki: those that were recorded, of Falco's Juju topology, and the one that is always
/// added.
const OF_ALERTS: [&str; 11] = [
    "hostname",
    "juju_application",
    "juju_charm",
    "juju_model",
    "juju_model_uuid",
    "juju_unit",
    "priority",
    "rule",
    "sidekick_model",
    "source",
    "tags",
];

/// The labels that the log of Falcosidekick has in Loki.
const OF_LOG: [&str; 9] = [
    "charm",
    "job",
    "juju_application",
    "juju_charm",
    "juju_model",
    "juju_model_uuid",
    "juju_unit",
    "pebble_service",
    "product",
];

static SELECTOR: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"\{((?:[a-z_]+(?:=~|!~|!=|=)"[^"]*",?)+)\}"#).unwrap());
static MATCHER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"([a-z_]+)(?:=~|!~|!=|=)"[^"]*""#).unwrap());
static GROUPING: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bby \(([^)]*)\)").unwrap());

/// When a rule fires.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    alert: String,
    labels: Value,
    fires: Vec<String>,
    #[serde(default)]
    quiet: Vec<String>,
}

fn topology() -> Topology {
    CHARMS[1].topology()
}

fn rules() -> AlertRules {
    let of_log: AlertRules = serde_json::from_value(logs::alert_rules(&topology())).unwrap();
    of_log.and(logs::detection_rules(&topology()))
}

fn cases() -> Vec<Case> {
    serde_yaml::from_str(include_str!("loki.yaml")).unwrap()
}

/// What is wrong with an expression.
fn problems(expression: &str) -> Vec<String> {
    let selectors: Vec<_> = SELECTOR.captures_iter(expression).map(|found| found[1].to_owned()).collect();
    let mut problems = Vec::new();
    if selectors.len() != 1 {
        problems.push(format!("{} selectors", selectors.len()));
    }
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for selector in &selectors {
        let is_log = selector.contains("pebble_service=");
        known.extend(if is_log { &OF_LOG[..] } else { &OF_ALERTS[..] });
        let must = if is_log { "juju_application=" } else { "sidekick_model=" };
        if !selector.contains(must) {
            problems.push(format!("no {must}"));
        }
        let labels = MATCHER.captures_iter(selector).map(|found| found[1].to_owned());
        problems
            .extend(labels.filter(|label| !known.contains(label.as_str())).map(|label| format!("no label {label}")));
    }
    let grouped = GROUPING
        .captures_iter(expression)
        .flat_map(|found| found[1].split(',').map(|label| label.trim().to_owned()).collect::<Vec<_>>());
    problems.extend(grouped.filter(|label| !known.contains(label.as_str())).map(|label| format!("no label {label}")));
    problems
}

#[test]
fn rules_for_loki_and_queries_of_the_dashboard_use_labels_that_are_there() {
    for (alert, expression) in rules().expressions() {
        assert_eq!(problems(expression), [""; 0], "{alert}: {expression}");
    }
    let dashboard: Value = serde_json::from_str(dashboard::DASHBOARD).unwrap();
    let mut count = 0;
    for target in targets(&dashboard, "loki") {
        let expression = target["expr"].as_str().unwrap();
        // Whatever is chosen of log lines is chosen with =~.
        assert_eq!(problems(&expression.replace("=~", "=")), [""; 0], "{expression}");
        count += 1;
    }
    assert!(count > 3, "only {count} queries");
    for (wrong, text) in [
        (r#"{sidekick_model="m",container="x"}"#, "no label container"),
        (r#"{rule="x"}"#, "no sidekick_model="),
        (r#"sum by (x) (rate({sidekick_model="m"}[1m]))"#, "no label x"),
    ] {
        assert_eq!(problems(wrong), [text]);
    }
}

#[test]
fn the_labels_of_alerts_were_recorded() {
    let recording: Value = crate::json(include_str!("../recordings/falcosidekick/loki_full.json"));
    let body = recording["sink_requests"][0]["body"].as_str().unwrap();
    let pushed: Value = serde_json::from_str(body.trim()).unwrap();
    for label in ["hostname", "priority", "rule", "source", "tags", "juju_model"] {
        assert!(pushed["streams"][0]["stream"][label].is_string(), "{label}: {pushed}");
    }
}

#[test]
fn every_alert_for_loki_has_a_case_in_which_it_fires() {
    let names: BTreeSet<String> = rules().expressions().map(|(name, _)| name.to_owned()).collect();
    let fired: BTreeSet<String> =
        cases().into_iter().filter(|case| !case.fires.is_empty()).map(|case| case.alert).collect();
    assert_eq!(fired, names);
}

/// Each line stands in a stream of its own, so that each of them alone has to make the alert fire, or not.
#[test]
#[ignore = "needs the real Loki: make test-alerts"]
fn every_alert_of_loki_fires_when_it_should_and_is_quiet_when_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let loki = Loki::start(folder.path()).unwrap_or_else(|problem| panic!("{problem}"));
    let rules = rules();
    for (number, case) in cases().into_iter().enumerate() {
        let (_, expression) = rules.expressions().find(|(name, _)| *name == case.alert).expect("a rule of this name");
        for (lines, is_to_fire) in [(&case.fires, true), (&case.quiet, false)] {
            for (place, line) in lines.iter().enumerate() {
                let mut labels = case.labels.clone();
                // What tells one try from another, in a label that the rule passes on.
                let unit = format!("falcosidekick-k8s/{}", 1000 * number + 2 * place + usize::from(is_to_fire));
                labels["juju_unit"] = json!(unit);
                push(&loki, &labels, line, if case.alert == "FalcoDetectionFlood" { 1200 } else { 1 });
                let wanted = labels_of_one(expression, &unit);
                let fires = || !loki.query(&wanted).unwrap().as_array().unwrap().is_empty();
                let begin = Instant::now();
                // It is there to be asked for a moment after it was taken.
                let seen = format!("{{juju_unit=\"{unit}\"}}");
                while loki.query(&seen).unwrap().as_array().unwrap().is_empty() {
                    assert!(begin.elapsed() < Duration::from_secs(60), "{seen} does not arrive");
                    thread::sleep(Duration::from_millis(50));
                }
                assert_eq!(fires(), is_to_fire, "{}: {line}: {wanted}", case.alert);
            }
        }
    }
    let dashboard: Value = serde_json::from_str(dashboard::DASHBOARD).unwrap();
    for target in targets(&dashboard, "loki") {
        let expression = target["expr"].as_str().unwrap().replace("$__auto", "5m").replace("$__range", "1h");
        let expression = ["$juju_model_uuid", "$juju_model", "$juju_application", "$juju_unit", "$falco_application"]
            .iter()
            .chain(&["$priority", "$rule"])
            .fold(expression, |expression, variable| expression.replace(variable, ".*"));
        let found = loki.query(&expression.replace("$search", "")).unwrap();
        assert!(!found.as_array().unwrap().is_empty(), "with nothing chosen, everything is shown: {expression}");
    }
}

/// The expression for the streams of one unit only.
fn labels_of_one(expression: &str, unit: &str) -> String {
    expression.replacen('{', &format!("{{juju_unit={unit:?},"), 1)
}

fn push(loki: &Loki, labels: &Value, line: &str, count: u64) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    let values: Vec<Value> =
        (0..count).map(|number| json!([(now + u128::from(number)).to_string(), format!("{line} {number}")])).collect();
    let body = json!({"streams": [{"stream": labels, "values": values}]}).to_string();
    let mut stream = TcpStream::connect(loki.address()).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST /loki/api/v1/push HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 204 "), "{answer}");
}
