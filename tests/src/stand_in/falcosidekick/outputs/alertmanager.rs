//! What Alertmanager gets: one alert, with every field that is text or a number as a label.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::Value;

use super::client::Delivery;
use crate::stand_in::falcosidekick::event::Event;
use crate::stand_in::falcosidekick::json;
use crate::stand_in::falcosidekick::priority::Priority;
use crate::stand_in::falcosidekick::settings::Settings;

/// The request for an event.
pub fn delivery(event: &Event, settings: &Settings) -> Delivery {
    let annotations = annotations(event, settings);
    let body = format!(
        "[{{\"labels\":{},\"annotations\":{},\"endsAt\":{}}}]\n",
        object(&labels(event, settings)),
        object(&annotations),
        json::text(&ends_at(event, settings))
    );
    let mut headers = vec![("Content-Type".to_owned(), "application/json; charset=utf-8".to_owned())];
    headers.extend(settings.map("alertmanager.customheaders"));
    Delivery { method: "POST".into(), headers, body: Some(body), address: None }
}

fn object(entries: &BTreeMap<String, String>) -> String {
    let entries: Vec<String> =
        entries.iter().map(|(key, value)| format!("{}:{}", json::text(key), json::text(value))).collect();
    format!("{{{}}}", entries.join(","))
}

fn labels(event: &Event, settings: &Settings) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (field, value) in &event.fields {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => continue,
        };
        labels.insert(label(field), value);
    }
    let priority = event.priority.map_or("", Priority::title);
    for (name, value) in [
        ("source", "falco"),
        ("rule", &event.rule),
        ("alertname", &event.rule),
        ("eventsource", &event.source),
        ("priority", priority),
        ("severity", severity(priority)),
    ] {
        labels.insert(name.to_owned(), value.to_owned());
    }
    if !event.hostname.is_empty() {
        labels.insert("hostname".to_owned(), event.hostname.clone());
    }
    if !event.tags.is_empty() {
        labels.insert("tags".to_owned(), event.tags.join(","));
    }
    labels.extend(settings.map("alertmanager.extralabels"));
    labels
}

fn annotations(event: &Event, settings: &Settings) -> BTreeMap<String, String> {
    let own = [("info", &event.output), ("description", &event.output), ("summary", &event.rule)];
    let own = own.map(|(name, value)| (name.to_owned(), value.clone()));
    own.into_iter().chain(settings.map("alertmanager.extraannotations")).collect()
}

/// The zero time of Go is what Alertmanager takes for "not said".
fn ends_at(event: &Event, settings: &Settings) -> String {
    let seconds = settings.number("alertmanager.expiresafter");
    let end = event.time.filter(|_| seconds > 0).map(|time| time + SignedDuration::from_secs(seconds));
    end.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |end| end.to_string())
}

fn severity(priority: &str) -> &'static str {
    match priority {
        "Emergency" | "Alert" | "Critical" => "critical",
        "Error" | "Warning" => "warning",
        _ => "information",
    }
}

/// `proc.args[0]` is `proc_args_0`, and `a-b/c` is `a_b_c`.
fn label(field: &str) -> String {
    let plain: String = field.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect();
    plain.trim_end_matches('_').to_owned()
}
