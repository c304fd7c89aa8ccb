//! What hook commands print: Go's JSON, Go's YAML, and Juju's own "smart" form.

mod json;
mod read;
mod yaml;

pub use json::to_json;
pub use read::read_settings;
pub use yaml::to_yaml;

/// A value as a hook command hands it to its printer.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any number; the agent reads configuration as these.
    Float(f64),
    /// Text, not always UTF-8.
    Text(Vec<u8>),
    /// A time in Go's YAML, text everywhere else: never quoted.
    Stamp(String),
    /// A list.
    List(Vec<Self>),
    /// A map; printed sorted.
    Map(Vec<(String, Self)>),
    /// A struct; printed in this order.
    Fields(Vec<(&'static str, Self)>),
}

impl Value {
    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into().into_bytes())
    }

    /// A list of texts.
    pub fn texts(texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    /// A map of texts.
    pub fn bag<'a>(bag: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        Self::Map(bag.into_iter().map(|(key, value)| (key.clone(), Self::text(value))).collect())
    }

    /// A value as Go reads it from JSON for a configuration: every number a float.
    pub fn from_config(value: &serde_json::Value) -> Self {
        Self::from_json(value, |number| Self::Float(number.as_f64().unwrap_or_default()))
    }

    /// A value of action parameters, which keep whole numbers.
    pub fn from_params(value: &serde_json::Value) -> Self {
        Self::from_json(value, |number| {
            number.as_i64().map_or_else(|| Self::Float(number.as_f64().unwrap_or_default()), Self::Integer)
        })
    }

    fn from_json(value: &serde_json::Value, number: fn(&serde_json::Number) -> Self) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(value) => number(value),
            serde_json::Value::String(text) => Self::text(text),
            serde_json::Value::Array(list) => {
                Self::List(list.iter().map(|item| Self::from_json(item, number)).collect())
            }
            serde_json::Value::Object(map) => {
                Self::Map(map.iter().map(|(key, item)| (key.clone(), Self::from_json(item, number))).collect())
            }
        }
    }
}

/// The names that `--format` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text for shells.
    Smart,
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}

impl Format {
    /// Finds the format; case counts.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "smart" => Some(Self::Smart),
            "yaml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    /// Prints a value.
    pub fn print(self, value: &Value) -> Vec<u8> {
        match self {
            Self::Smart => smart(value),
            Self::Yaml => to_yaml(value),
            Self::Json => {
                let mut out = to_json(value).into_bytes();
                out.push(b'\n');
                out
            }
        }
    }
}

fn smart(value: &Value) -> Vec<u8> {
    match value {
        Value::Bool(true) => b"True\n".to_vec(),
        Value::Bool(false) => b"False\n".to_vec(),
        Value::Text(text) if text.is_empty() => Vec::new(),
        Value::Text(text) => line(text),
        Value::List(list) if list.iter().all(|item| matches!(item, Value::Text(_))) => {
            list.iter().flat_map(|item| if let Value::Text(text) = item { line(text) } else { Vec::new() }).collect()
        }
        other => to_yaml(other),
    }
}

fn line(text: &[u8]) -> Vec<u8> {
    let mut out = text.to_vec();
    out.push(b'\n');
    out
}
