//! The three counters of Falcosidekick, and the labels of the one for events.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::Value;

use super::enrich::Additions;
use super::event::Event;
use super::log;
use super::settings::Settings;

const EVENTS: &str = "falcosecurity_falcosidekick_falco_events_total";
const INPUTS: &str = "falcosecurity_falcosidekick_inputs_total";
const OUTPUTS: &str = "falcosecurity_falcosidekick_outputs_total";
const BUILT_IN: [&str; 7] = ["hostname", "rule", "priority", "priority_raw", "source", "k8s_ns_name", "k8s_pod_name"];

/// Counters.
#[derive(Debug)]
pub struct Metrics {
    extra_labels: Vec<String>,
    started: Timestamp,
    counters: Mutex<BTreeMap<(&'static str, String), u64>>,
}

/// Ends a request without an answer, as a panic in Go's handler does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panic(pub String);

impl Metrics {
    /// Checks the labels. The error is the panic of the program at its start.
    pub fn new(settings: &Settings, additions: &Additions) -> Result<Self, String> {
        let templates = settings.map("templatedfields");
        let fields = additions.fields.iter().map(|(name, _)| name);
        let names: Vec<&String> = fields.chain(templates.keys()).collect();
        let mut labels: Vec<String> = BUILT_IN.map(str::to_owned).to_vec();
        for name in &names {
            check_label("Custom field", name, &mut labels);
        }
        let text = settings.text("prometheus.extralabels");
        let extra_labels: Vec<String> =
            text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
        for name in &extra_labels {
            check_label("Extra field", name, &mut labels);
        }
        for name in names.iter().filter(|name| !is_label(&label(name))) {
            log::error(&format!("Custom field '{name}' is not a valid OTLP metric attribute name"));
        }
        let mut sorted = labels.clone();
        sorted.sort();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(format!(
                "panic: descriptor Desc{{fqName: \"{EVENTS}\", help: \"\", constLabels: {{}}, variableLabels: {{{}}}}} is \
                 invalid: duplicate label names in constant and variable labels for metric \"{EVENTS}\"",
                labels.join(",")
            ));
        }
        Ok(Self { extra_labels, started: Timestamp::now(), counters: Mutex::default() })
    }

    /// Counts a request.
    pub fn input(&self, accepted: bool) {
        let status = if accepted { "accepted" } else { "rejected" };
        self.count(INPUTS, &[("source", "requests"), ("status", status)]);
    }

    /// Counts a delivery.
    pub fn output(&self, destination: &str, good: bool) {
        self.count(OUTPUTS, &[("destination", destination), ("status", if good { "ok" } else { "error" })]);
    }

    /// Counts an event, whether it is going to be accepted or not.
    pub fn event(&self, event: &Event, additions: &Additions) -> Result<(), Panic> {
        let number = event.priority.map_or(0, super::priority::Priority::number).to_string();
        let mut labels = BTreeMap::from([
            ("hostname".to_owned(), if event.hostname.is_empty() { "unknown".into() } else { event.hostname.clone() }),
            ("rule".to_owned(), event.rule.clone()),
            ("priority".to_owned(), number),
            ("priority_raw".to_owned(), event.priority.map(|word| word.title().to_lowercase()).unwrap_or_default()),
            ("source".to_owned(), event.source.clone()),
            ("k8s_ns_name".to_owned(), only_text(event, "k8s.ns.name")?),
            ("k8s_pod_name".to_owned(), only_text(event, "k8s.pod.name")?),
        ]);
        let names =
            additions.fields.iter().map(|(name, _)| name).chain(additions.templates.iter().map(|(name, _)| name));
        for name in names.filter(|name| is_label(&label(name))) {
            labels.insert(label(name), event.text(name).unwrap_or_default().to_owned());
        }
        let expected = labels.len() + self.extra_labels.iter().filter(|name| is_label(&label(name))).count();
        for name in &self.extra_labels {
            labels.insert(label(name), event.text(name).unwrap_or_default().to_owned());
        }
        if labels.len() != expected {
            let got: Vec<String> = labels.iter().map(|(key, value)| format!("{key:?}:{value:?}")).collect();
            return Err(Panic(format!(
                "inconsistent label cardinality: expected {expected} label values but got {} in prometheus.Labels{{{}}}",
                labels.len(),
                got.join(", ")
            )));
        }
        let labels: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        self.count(EVENTS, &labels);
        Ok(())
    }

    /// The text of `/metrics`. Only the counters of Falcosidekick itself and when it began: the rest tells about a Go
    /// program, which this is not.
    pub fn text(&self) -> String {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        let mut last = "";
        for ((name, labels), count) in counters.iter() {
            if *name != last {
                // Writing to a text cannot fail.
                let _ = writeln!(text, "# HELP {name} \n# TYPE {name} counter");
                last = name;
            }
            let _ = writeln!(text, "{name}{{{labels}}} {count}");
        }
        let started = self.started.as_duration().as_secs_f64();
        let _ = writeln!(text, "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {started}");
        text
    }

    fn count(&self, name: &'static str, labels: &[(&str, &str)]) {
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escape(value))).collect();
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        *counters.entry((name, labels.join(","))).or_default() += 1;
    }
}

/// Adds a label, or logs why not.
fn check_label(kind: &str, name: &str, labels: &mut Vec<String>) {
    let label = label(name);
    if is_label(&label) {
        labels.push(label);
    } else {
        log::error(&format!("Prometheus - {kind} '{name}' is not a valid prometheus label"));
    }
}

fn label(name: &str) -> String {
    name.replace('.', "_")
}

fn is_label(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Falcosidekick takes it for granted that these two fields are text.
fn only_text(event: &Event, field: &str) -> Result<String, Panic> {
    let found = match event.fields.get(field) {
        None | Some(Value::Null) => return Ok(String::new()),
        Some(Value::String(text)) => return Ok(text.clone()),
        Some(Value::Number(_)) => "json.Number",
        Some(Value::Bool(_)) => "bool",
        Some(Value::Array(_)) => "[]interface {}",
        Some(Value::Object(_)) => "map[string]interface {}",
    };
    Err(Panic(format!("interface conversion: interface {{}} is {found}, not string")))
}
