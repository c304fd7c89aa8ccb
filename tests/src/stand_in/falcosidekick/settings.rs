//! The configuration with types, read the way mapstructure reads it: what does not fit is reported and left at its zero
//! value.

use std::collections::BTreeMap;

use super::fields::{FIELDS, Field, Kind};
use super::log;
use super::scalar::Scalar;
use super::source::{Entry, Leaf, Source, blocks, unmarshal_error};

/// A converted value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Converted {
    Text(String),
    Number(i64),
    Switch(bool),
    List(Vec<String>),
    Map(BTreeMap<String, String>),
}

/// All values.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    values: BTreeMap<&'static str, Converted>,
}

impl Settings {
    /// Reads everything and logs what does not fit.
    pub fn read(source: &Source) -> Self {
        let mut settings = Self::default();
        let mut errors = Vec::new();
        for (block, go) in blocks() {
            if let Some(leaf) = source.in_place_of_block(block) {
                errors.extend(misplaced(block, go, leaf));
            }
        }
        for field in FIELDS {
            let block = field.key.rsplit_once('.').map(|(block, _)| block);
            if block.is_some_and(|block| source.in_place_of_block(block).is_some()) {
                continue;
            }
            match convert(source, field, &mut errors) {
                Some(value) => settings.values.insert(field.key, value),
                None => None,
            };
        }
        if !errors.is_empty() {
            log::error(&unmarshal_error(&errors));
        }
        settings.read_variables(source);
        settings
    }

    /// Text; nothing when it could not be read.
    pub fn text(&self, key: &str) -> &str {
        match self.values.get(key) {
            Some(Converted::Text(text)) => text,
            _ => "",
        }
    }

    /// A number; 0 when it could not be read.
    pub fn number(&self, key: &str) -> i64 {
        match self.values.get(key) {
            Some(Converted::Number(number)) => *number,
            _ => 0,
        }
    }

    /// A switch; off when it could not be read.
    pub fn switch(&self, key: &str) -> bool {
        matches!(self.values.get(key), Some(Converted::Switch(true)))
    }

    /// A list.
    pub fn list(&self, key: &str) -> &[String] {
        match self.values.get(key) {
            Some(Converted::List(list)) => list,
            _ => &[],
        }
    }

    /// A map.
    pub fn map(&self, key: &str) -> BTreeMap<String, String> {
        match self.values.get(key) {
            Some(Converted::Map(map)) => map.clone(),
            _ => BTreeMap::new(),
        }
    }

    /// The variables that have parsers of their own. They replace what the file says.
    fn read_variables(&mut self, source: &Source) {
        for key in ["customtags", "tlsserver.notlspaths"] {
            let field = FIELDS.iter().find(|field| field.key == key);
            if let (Some(text), Some(field)) = (source.variable(key), field) {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                self.values.insert(field.key, Converted::List(parts.map(str::to_owned).collect()));
            }
        }
        for key in ["customfields", "templatedfields", "loki.customheaders", "webhook.customheaders"] {
            let Some(text) = source.variable(key) else { continue };
            let mut map = BTreeMap::new();
            for pair in text.split(',') {
                // A value with a colon makes more than two parts, and those pairs are dropped.
                let parts: Vec<&str> = pair.split(':').collect();
                let [name, value] = parts.as_slice() else { continue };
                match value.strip_prefix('%') {
                    None => drop(map.insert((*name).to_owned(), (*value).to_owned())),
                    Some(variable) => match std::env::var(variable) {
                        Ok(found) => drop(map.insert((*name).to_owned(), found)),
                        Err(_) => log::error(&format!("Can't find env var {variable} for custom fields")),
                    },
                }
            }
            if let Some(field) = FIELDS.iter().find(|field| field.key == key) {
                self.values.insert(field.key, Converted::Map(map));
            }
        }
    }
}

/// A scalar or a list in the place of a block.
fn misplaced(block: &str, go: &str, leaf: &Leaf) -> Option<String> {
    let is_map = FIELDS.iter().any(|field| field.key == block && matches!(field.kind, Kind::Map | Kind::NumberMap));
    match leaf {
        Leaf::One(scalar) => Some(format!("'{go}' expected a map, got '{}'", scalar.go_type())),
        Leaf::Many(items) if is_map => items
            .first()
            .and_then(Scalar::of)
            .map(|first| format!("'{go}[0]' expected a map, got '{}'", first.go_type())),
        Leaf::Many(_) => Some(format!("'{go}' expected a map, got 'slice'")),
    }
}

fn convert(source: &Source, field: &Field, errors: &mut Vec<String>) -> Option<Converted> {
    let go = field.go;
    if matches!(field.kind, Kind::Map | Kind::NumberMap) {
        return Some(Converted::Map(convert_map(source, field, errors)));
    }
    let leaf = source.value(field)?;
    let converted = match (field.kind, leaf) {
        (Kind::List, Leaf::Many(items)) => {
            let texts = items.iter().filter_map(Scalar::of).filter_map(|scalar| scalar.text().ok());
            Ok(Converted::List(texts.collect()))
        }
        (Kind::List, Leaf::One(scalar)) => scalar.text().map(|text| {
            let parts = text.split(',').map(str::to_owned);
            Converted::List(parts.filter(|part| !part.is_empty()).collect())
        }),
        (_, Leaf::Many(_)) => Err(format!("'{go}' expected type 'string', got unconvertible type '[]interface {{}}'")),
        (Kind::Int, Leaf::One(scalar)) => scalar
            .number("ParseInt")
            .map(Converted::Number)
            .map_err(|words| format!("cannot parse '{go}' as int: {words}")),
        (Kind::Uint, Leaf::One(scalar)) => scalar
            .number("ParseUint")
            .map(Converted::Number)
            .map_err(|words| format!("cannot parse '{go}' as uint: {words}")),
        (Kind::Bool, Leaf::One(scalar)) => {
            scalar.switch().map(Converted::Switch).map_err(|words| format!("cannot parse '{go}' as bool: {words}"))
        }
        (Kind::Text | Kind::Map | Kind::NumberMap, Leaf::One(scalar)) => {
            scalar.text().map(Converted::Text).map_err(|words| format!("'{go}' {words}"))
        }
    };
    converted.map_err(|error| errors.push(error)).ok()
}

fn convert_map(source: &Source, field: &Field, errors: &mut Vec<String>) -> BTreeMap<String, String> {
    let go = field.go;
    let mut map = BTreeMap::new();
    for (name, entry) in source.entries(field.key) {
        if field.kind == Kind::NumberMap && name.parse::<i64>().is_err() {
            errors.push(format!(
                "cannot parse '{go}[{name}]' as int: strconv.ParseInt: parsing {name:?}: invalid syntax"
            ));
            continue;
        }
        let text = match &entry {
            Entry::Leaf(Leaf::One(scalar)) => scalar.text(),
            Entry::Leaf(Leaf::Many(_)) => Err("expected type 'string', got unconvertible type '[]interface {}'".into()),
            Entry::Map(words) => Err(format!(
                "expected type 'string', got unconvertible type 'map[string]interface {{}}', value: '{words}'"
            )),
        };
        match text {
            Ok(text) => drop(map.insert(name, text)),
            Err(words) => errors.push(format!("'{go}[{name}]' {words}")),
        }
    }
    map
}
