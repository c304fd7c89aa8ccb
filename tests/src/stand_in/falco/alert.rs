//! An alert in the two forms in which Falco sends it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value as Json;

use super::event::{Event, FieldValue, host_name, iso};
use super::priority::Priority;
use super::rules::Rule;
use super::settings::Settings;

/// An alert, ready to be sent.
#[derive(Clone, Debug)]
pub struct Alert {
    /// How severe.
    pub priority: Priority,
    /// JSON or text, without a line end.
    pub line: String,
}

/// The keys in the order in which Falco writes them: by name.
#[derive(Serialize)]
struct Document<'a> {
    hostname: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_fields: Option<BTreeMap<String, Json>>,
    priority: &'static str,
    rule: &'a str,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<&'a [String]>,
    time: String,
}

/// The alert of a rule about an event.
pub fn of_rule(rule: &Rule, event: &Event, settings: &Settings) -> Alert {
    let message = rule.format.text(event);
    let output = format!("{}: {} {message}", event.clock(), rule.priority.name());
    if !settings.json {
        return Alert { priority: rule.priority, line: output };
    }
    let mut fields = BTreeMap::from([("evt.time".to_owned(), Json::from(event.nanoseconds()))]);
    for (name, value) in rule.format.values(event) {
        fields.entry(name).or_insert_with(|| value.as_ref().map_or(Json::Null, FieldValue::json));
    }
    for (name, format) in &rule.extra {
        let text = format.text(event);
        if !text.is_empty() {
            fields.insert(name.clone(), Json::from(text));
        }
    }
    let document = Document {
        hostname: host_name(),
        message: settings.json_message.then_some(message),
        output: settings.json_output.then_some(output.as_str()),
        output_fields: settings.json_fields.then_some(fields),
        priority: rule.priority.name(),
        rule: &rule.name,
        source: &rule.source,
        tags: settings.json_tags.then_some(rule.tags.as_slice()),
        time: iso(event.time),
    };
    Alert { priority: rule.priority, line: to_line(&document) }
}

/// An alert of Falco about itself: no tags, no extra fields.
pub fn internal(rule: &str, priority: Priority, output: &str, settings: &Settings) -> Alert {
    if !settings.json {
        return Alert { priority, line: output.to_owned() };
    }
    let document = Document {
        hostname: host_name(),
        message: settings.json_message.then(|| output.to_owned()),
        output: settings.json_output.then_some(output),
        output_fields: settings.json_fields.then(BTreeMap::new),
        priority: priority.name(),
        rule,
        source: "internal",
        tags: None,
        time: iso(Timestamp::now()),
    };
    Alert { priority, line: to_line(&document) }
}

fn to_line(document: &Document<'_>) -> String {
    // Text, numbers and maps of them cannot fail to become JSON.
    serde_json::to_string(document).unwrap_or_default()
}
