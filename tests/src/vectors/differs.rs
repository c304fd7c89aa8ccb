//! The list of what comes out differently than in the vectors, with what is right and why.
//!
//! `differs` has one entry for each reason. An entry names its vectors, several at once by the beginning of their names
//! and `*`, or says of which kind they are (`where`). Those of a kind or with a beginning need not all differ. `ours`
//! has the right value at each place. In it, `{port}` is the port that the vector has as option, `{address}` the one
//! under which others reach the unit, `{own}` that of the unit itself, and `{app}`, `{unit}`, `{model}` and `{uuid}` are what they are called; what is
//! `unchanged` is as it was before the hook.
//!
//! `not-run` has the vectors in whose place this revision cannot be put at all. `not-mended` has those that say of
//! themselves that they are wrong, and where nothing that our charm does shows what is right.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::format::Vector;
use super::places::Seen;

/// The list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Differs {
    /// What differs.
    pub differs: Vec<Entry>,
    /// What cannot be run.
    #[serde(default)]
    pub not_run: Vec<Vectors>,
    /// Mistakes of the Python charm about which nothing is tested.
    #[serde(default)]
    pub not_mended: Vec<Vectors>,
}

/// Some places at which some vectors differ for one reason.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Why.
    pub reason: String,
    /// The names of the vectors.
    #[serde(default)]
    pub vectors: Vec<String>,
    /// Or their kind.
    pub r#where: Option<Kind>,
    /// What is right, by place.
    pub ours: Seen,
}

/// A kind of vectors: those of which everything here is true.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// Of this charm.
    pub charm: String,
    /// With a relation of this endpoint.
    pub related: Option<String>,
    /// Without one.
    pub unrelated: Option<String>,
    /// With this option set.
    pub option: Option<String>,
    /// With this status after the hook; `unknown` if nobody has set one.
    pub status: Option<String>,
    /// With a hook that failed.
    #[serde(default)]
    pub failed: bool,
}

/// Some vectors of which the same is true.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vectors {
    /// Why.
    pub reason: String,
    /// Their names.
    pub vectors: Vec<String>,
}

impl Kind {
    /// Whether a vector is of this kind.
    pub fn has(&self, vector: &Vector) -> bool {
        let Self { charm, related, unrelated, option, status, failed } = self;
        *charm == vector.charm
            && related.as_ref().is_none_or(|endpoint| vector.relates(endpoint))
            && unrelated.as_ref().is_none_or(|endpoint| !vector.relates(endpoint))
            && option.as_ref().is_none_or(|option| vector.input.config.contains_key(option))
            && status
                .as_ref()
                .is_none_or(|status| vector.output.as_ref().is_some_and(|output| output.unit_status.name == *status))
            && (!failed || vector.hook_error.is_some())
    }
}

impl Differs {
    /// Reads the list of this repository.
    pub fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/differs.yaml");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

impl Entry {
    /// The name in it that means this vector.
    pub fn naming(&self, vector: &str) -> Option<&String> {
        self.vectors.iter().find(|name| match name.strip_suffix('*') {
            Some(beginning) => vector.starts_with(beginning),
            None => *name == vector,
        })
    }

    /// What is right at a place of a vector: `place` as the list has it, `key` with the number of the relation.
    pub fn right(&self, place: &str, key: &str, vector: &Vector, before: &Seen) -> Value {
        match self.ours.get(place) {
            Some(Value::String(text)) if text == "unchanged" => before.get(key).cloned().unwrap_or(Value::Null),
            Some(value) => expand(value, vector),
            None => Value::Null,
        }
    }
}

fn expand(value: &Value, vector: &Vector) -> Value {
    match value {
        Value::String(text) => json!(fill_in(text, vector)),
        Value::Array(items) => items.iter().map(|item| expand(item, vector)).collect(),
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), expand(value, vector))).collect(),
        other => other.clone(),
    }
}

fn fill_in(text: &str, vector: &Vector) -> String {
    let input = &vector.input;
    let network = input.networks.iter().find(|network| network.binding == "http-endpoint");
    let address = network.and_then(|network| network.ingress.first()).cloned().unwrap_or_default();
    let own = network.and_then(|network| network.bind.first()).cloned().unwrap_or_else(|| "10.1.0.10".to_owned());
    let values = [
        ("{own}", own),
        ("{port}", input.config.get("port").map(ToString::to_string).unwrap_or_default()),
        ("{address}", address),
        ("{app}", vector.app.clone()),
        ("{unit}", vector.unit.clone()),
        ("{model}", input.model.name.clone()),
        ("{uuid}", input.model.uuid.clone()),
    ];
    values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
}
