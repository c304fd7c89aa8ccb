//! Where the texts go.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;
use serde_json::{Value, json};

use super::texts::{PASSWORD, Text, texts};
use crate::interfaces;
use crate::juju::metadata::{Metadata, OptionKind, Role};
use crate::juju::{Event, Outcome, Relation, State};

/// Where a text was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Into a key of a databag of the other side.
    Databag {
        /// Our endpoint.
        endpoint: String,
        /// `app` or `unit`.
        bag: String,
        /// The key.
        key: String,
    },
    /// Into an option.
    Option(String),
}

impl Place {
    /// All places that one hook command reads at once.
    pub fn bag(&self) -> (String, String) {
        match self {
            Self::Databag { endpoint, bag, .. } => (endpoint.clone(), bag.clone()),
            Self::Option(name) => (name.clone(), String::new()),
        }
    }
}

/// One thing that somebody else has written.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Where.
    pub place: Place,
    /// What is special about it.
    pub about: String,
    /// What; of a databag always a text.
    pub value: Value,
}

#[derive(Deserialize)]
struct Interface {
    databags: BTreeMap<String, BTreeMap<String, Schema>>,
}

#[derive(Deserialize)]
struct Schema {
    #[serde(default)]
    properties: BTreeMap<String, Value>,
}

/// Values that are JSON, and of which at most one has the right type.
const OTHER_TYPES: [&str; 9] = ["null", "true", "7", "-0.5e300", "\"\"", "[]", "{}", "[[{}]]", "{\"url\": [null]}"];

/// Everything for every key of a databag that the other side of an endpoint may write.
pub fn of_databags(metadata: &Metadata) -> Vec<Case> {
    let mut cases = Vec::new();
    for (endpoint, declared) in &metadata.endpoints {
        let side = if declared.role == Role::Provider { "requirer" } else { "provider" };
        for (bag, schema) in databags(&declared.interface).remove(side).unwrap_or_default() {
            for (key, schema) in schema.properties {
                let place = Place::Databag { endpoint: endpoint.clone(), bag: bag.clone(), key };
                let values = values(&schema);
                cases.extend(values.into_iter().map(|(about, value)| Case { place: place.clone(), about, value }));
            }
        }
    }
    cases
}

/// Everything for every option, as far as Juju takes it for its type.
pub fn of_options(metadata: &Metadata) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, option) in &metadata.options {
        let values: Vec<(String, Value)> = match option.kind {
            OptionKind::String => {
                let texts = texts().into_iter().filter(|text| can_be_stored(&text.text));
                texts.map(|Text { about, text }| (about.to_owned(), json!(text))).chain([named(json!(""))]).collect()
            }
            OptionKind::Int => [i64::MIN, -65536, -1, 0, 65536, i64::MAX].map(|value| named(json!(value))).into(),
            OptionKind::Float => [f64::MIN, -1.0, 0.0, f64::MAX].map(|value| named(json!(value))).into(),
            OptionKind::Boolean => [true, false].map(|value| named(json!(value))).into(),
            OptionKind::Secret => {
                ["secret:", "secret:00000000000000000000", "secret:a b\n\"'%$"].map(|value| named(json!(value))).into()
            }
        };
        let place = Place::Option(name.clone());
        cases.extend(values.into_iter().map(|(about, value)| Case { place: place.clone(), about, value }));
    }
    cases
}

fn named(value: Value) -> (String, Value) {
    (value.to_string(), value)
}

/// A database of a controller has no place for a NUL, but JSON has one for its escape.
fn can_be_stored(text: &str) -> bool {
    !text.contains('\0')
}

/// The databags of an interface; none of one that nobody has described, and that no charm of ours speaks yet.
fn databags(interface: &str) -> BTreeMap<String, BTreeMap<String, Schema>> {
    let Some(path) = interfaces::description(interface) else {
        return BTreeMap::new();
    };
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let interface: Interface =
        serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    interface.databags
}

/// Everything that a key with this schema gets: the texts as they are, and in the place of each text of its JSON.
fn values(schema: &Value) -> Vec<(String, Value)> {
    let mut values = Vec::new();
    for text in texts() {
        if can_be_stored(&text.text) {
            values.push((format!("{}, bare", text.about), json!(text.text)));
        }
        if let Some(content) = schema.get("contentSchema") {
            for (about, value) in inside(content, &text) {
                values.push((format!("{}, {about}", text.about), json!(value.to_string())));
            }
        }
    }
    if schema.get("contentSchema").is_some() {
        let deep = "[".repeat(100_000);
        values.extend(OTHER_TYPES.map(|value| (format!("{value} in place of it"), json!(value))));
        values.push(("very deep JSON".to_owned(), json!(deep)));
    }
    values
}

/// A JSON value of this schema, once for each place where a text can go.
fn inside(schema: &Value, text: &Text) -> Vec<(String, Value)> {
    match schema["type"].as_str() {
        Some("object") => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            let mut all = vec![("as a key".to_owned(), json!({ text.text.clone(): 1 }))];
            for (name, property) in properties.clone() {
                for (about, value) in inside(property, text) {
                    let mut object = example(schema);
                    object[name] = value;
                    all.push((format!("in {name} {about}"), object));
                }
            }
            all
        }
        Some("array") => {
            let items = inside(&schema["items"], text);
            items.into_iter().map(|(about, value)| (format!("in a list {about}"), json!([value]))).collect()
        }
        Some("string") if schema["format"] == "uri" => {
            let text = &text.text;
            let url = |about: &str, url: String| (about.to_owned(), json!(url));
            vec![
                url("as a URL", text.clone()),
                url("as a host", format!("https://{text}/")),
                url("as what follows the host", format!("https://h.example/{text}?{text}#{text}")),
                url("as a user", format!("https://{text}:{PASSWORD}@h.example/")),
            ]
        }
        _ => vec![("as a text".to_owned(), json!(text.text))],
    }
}

/// A value of this schema that nobody would object to.
fn example(schema: &Value) -> Value {
    match schema["type"].as_str() {
        Some("object") => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            properties.map(|(name, property)| (name.clone(), example(property))).collect()
        }
        Some("array") => json!([]),
        Some("string") if schema["format"] == "uri" => json!("https://h.example/"),
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        _ => json!("a"),
    }
}

impl Case {
    /// The state in which somebody has written it, and the hook that tells of it.
    pub fn put(&self, state: &State) -> (Event, State) {
        let mut state = state.clone();
        match &self.place {
            Place::Option(name) => {
                state.config.insert(name.clone(), self.value.clone());
                (Event::config_changed(), state)
            }
            Place::Databag { endpoint, bag, key } => {
                let value = self.value.as_str().unwrap_or_default().to_owned();
                let relation = related(&mut state, endpoint);
                if bag == "app" {
                    relation.remote_app_data.insert(key.clone(), value);
                    return (Event::relation_changed_by_app(relation.id), state);
                }
                let unit = format!("{}/0", relation.remote_app);
                relation.remote_units.entry(unit.clone()).or_default().insert(key.clone(), value);
                (Event::relation_changed(relation.id, unit), state)
            }
        }
    }

    /// Whether the hook has read where it was put. Options are always read.
    pub fn is_read(&self, state: &State, outcome: &Outcome) -> bool {
        let Place::Databag { endpoint, bag, .. } = &self.place else { return true };
        let relation = state.relation_of(endpoint);
        let whose = if bag == "app" { relation.remote_app.clone() } else { format!("{}/0", relation.remote_app) };
        outcome.calls_of("relation-get").any(|call| {
            let args = &call.invocation.args;
            args.contains(&whose)
                && args.iter().any(|arg| *arg == relation.full_id() || *arg == relation.id.to_string())
        })
    }

    /// What a status about it begins with.
    pub fn subject(&self) -> &str {
        match &self.place {
            Place::Databag { endpoint, .. } => endpoint,
            Place::Option(name) => name,
        }
    }
}

/// The relation of an endpoint, which is made if there is none.
fn related<'a>(state: &'a mut State, endpoint: &str) -> &'a mut Relation {
    let position = state.relations.iter().position(|relation| relation.endpoint == endpoint);
    let position = position.unwrap_or_else(|| {
        let id = state.relations.iter().map(|relation| relation.id).max().unwrap_or(0) + 1;
        state.relations.push(Relation::new(id, endpoint, "peer").remote_unit(0));
        state.relations.len() - 1
    });
    &mut state.relations[position]
}
