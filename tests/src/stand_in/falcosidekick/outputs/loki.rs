//! What Loki gets: one stream with one line.

use std::collections::BTreeMap;

use super::client::Delivery;
use crate::stand_in::falcosidekick::event::Event;
use crate::stand_in::falcosidekick::json;
use crate::stand_in::falcosidekick::priority::Priority;
use crate::stand_in::falcosidekick::settings::Settings;

/// The request for an event.
pub fn delivery(event: &Event, settings: &Settings) -> Delivery {
    let line = if settings.text("loki.format") == "json" { event.json() } else { event.output.clone() };
    let labels = labels(event, settings);
    let labels: Vec<String> =
        labels.iter().map(|(key, value)| format!("{}:{}", json::text(key), json::text(value))).collect();
    let nanoseconds = event.time.map(|time| time.as_nanosecond().to_string()).unwrap_or_default();
    let body = format!(
        "{{\"streams\":[{{\"stream\":{{{}}},\"values\":[[{},{}]]}}]}}\n",
        labels.join(","),
        json::text(&nanoseconds),
        json::text(&line)
    );
    let mut headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    let (user, key) = (settings.text("loki.user"), settings.text("loki.apikey"));
    if !user.is_empty() && !key.is_empty() {
        headers.push(super::client::basic_auth(user, key));
    }
    if !settings.text("loki.tenant").is_empty() {
        headers.push(("X-Scope-Orgid".to_owned(), settings.text("loki.tenant").to_owned()));
    }
    headers.extend(settings.map("loki.customheaders"));
    Delivery { method: "POST".into(), headers, body: Some(body), address: None }
}

fn labels(event: &Event, settings: &Settings) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let own = settings.map("customfields").into_keys().chain(settings.map("templatedfields").into_keys());
    for field in own {
        if let Some(text) = event.text(&field) {
            labels.insert(label(&field), text.replace('"', ""));
        }
    }
    for field in settings.text("loki.extralabels").split(',').map(str::trim).filter(|field| !field.is_empty()) {
        if let Some(text) = event.text(field) {
            labels.insert(label(field), text.replace('"', ""));
        }
    }
    labels.insert("rule".into(), event.rule.clone());
    labels.insert("source".into(), event.source.clone());
    labels.insert("priority".into(), event.priority.map_or("", Priority::title).to_owned());
    for field in ["k8s.ns.name", "k8s.pod.name"] {
        if let Some(text) = event.text(field) {
            labels.insert(label(field), text.to_owned());
        }
    }
    if !event.hostname.is_empty() {
        labels.insert("hostname".into(), event.hostname.clone());
    }
    if !event.tags.is_empty() {
        labels.insert("tags".into(), event.tags.join(","));
    }
    labels
}

fn label(field: &str) -> String {
    field.replace('.', "_").replace(['[', ']'], "")
}
