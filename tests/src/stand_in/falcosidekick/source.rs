//! Where values come from: the file, the environment and defaults, with the rules of the library that Falcosidekick
//! uses (viper).
//!
//! Keys are case-insensitive and a dot in a key goes one level down. A variable can only set a key that has a default
//! or stands in the file, and one that is named like a whole block hides the block's keys in the file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::fields::{self, FIELDS, Field, Kind};
use super::scalar::Scalar;
use crate::stand_in::yaml::{self, Node, Value};

/// A value in the file.
#[derive(Clone, Debug, PartialEq)]
pub enum Leaf {
    /// One value.
    One(Scalar),
    /// A list.
    Many(Vec<Node>),
}

/// Everything that values can come from.
#[derive(Clone, Debug, Default)]
pub struct Source {
    file: BTreeMap<String, Leaf>,
    environment: BTreeMap<String, String>,
}

impl Source {
    /// Reads the file. The error is what is logged before defaults are used.
    pub fn read(path: Option<&Path>, environment: BTreeMap<String, String>) -> (Self, Option<String>) {
        let mut source = Self { file: BTreeMap::new(), environment };
        let Some(path) = path else { return (source, None) };
        match read_file(path) {
            Ok(file) => {
                source.file = file;
                (source, None)
            }
            Err(error) => (source, Some(error)),
        }
    }

    /// The value of a known field; `None` when nobody gives one.
    pub fn value(&self, field: &Field) -> Option<Leaf> {
        let known = field.default.is_some() || self.file.contains_key(field.key);
        let from_environment = self.variable(field.key).filter(|_| known);
        if let Some(text) = from_environment {
            return Some(Leaf::One(Scalar::Text(text.clone())));
        }
        if self.is_hidden(field.key) {
            return None;
        }
        let default = || field.default.map(|text| Leaf::One(Scalar::Text(text.to_owned())));
        self.file.get(field.key).cloned().or_else(default)
    }

    /// The entries of a map in the file: what is below `key`, one level down, and whether it has more levels.
    pub fn entries(&self, key: &str) -> BTreeMap<String, Entry> {
        let mut entries = BTreeMap::new();
        if self.is_hidden(&format!("{key}.x")) {
            return entries;
        }
        let start = format!("{key}.");
        for (full, leaf) in &self.file {
            let Some(rest) = full.strip_prefix(&start) else { continue };
            match rest.split_once('.') {
                None => {
                    entries.insert(rest.to_owned(), Entry::Leaf(leaf.clone()));
                }
                Some((name, below)) => {
                    let words = format!("map[{below}:{}]", go_value(leaf));
                    entries.insert(name.to_owned(), Entry::Map(words));
                }
            }
        }
        entries
    }

    /// A scalar or a list that stands where a whole block belongs.
    pub fn in_place_of_block(&self, block: &str) -> Option<&Leaf> {
        self.file.get(block)
    }

    /// The variable for a key, if it is set and not empty.
    pub fn variable(&self, key: &str) -> Option<&String> {
        let name = key.replace('.', "_").to_uppercase();
        self.environment.get(&name).filter(|value| !value.is_empty())
    }

    /// Blocks in the file that are outputs of Falcosidekick which this stand-in knows nothing about.
    pub fn unknown_outputs(&self) -> BTreeSet<&'static str> {
        let blocks = self.file.keys().map(|key| key.split('.').next().unwrap_or(key));
        blocks.filter_map(|block| fields::OTHER_OUTPUTS.iter().find(|other| **other == block).copied()).collect()
    }

    /// A variable named exactly like a block above the key.
    fn is_hidden(&self, key: &str) -> bool {
        let ends = key.match_indices('.').map(|(end, _)| end);
        ends.into_iter().any(|end| self.variable(&key[..end]).is_some())
    }
}

/// One entry of a map.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A value.
    Leaf(Leaf),
    /// A map in the map, in Go's words.
    Map(String),
}

/// What Go prints for a value.
fn go_value(leaf: &Leaf) -> String {
    match leaf {
        Leaf::One(Scalar::Text(text) | Scalar::Time(text)) => text.clone(),
        Leaf::One(Scalar::Bool(value)) => value.to_string(),
        Leaf::One(other) => other.text().unwrap_or_default(),
        Leaf::Many(items) => {
            let items: Vec<&str> = items.iter().filter_map(Node::text).collect();
            format!("[{}]", items.join(" "))
        }
    }
}

/// viper only looks at the folder and the name without its ending, and takes the first ending that it knows.
fn read_file(path: &Path) -> Result<BTreeMap<String, Leaf>, String> {
    let prefix = "Error when reading config file : ";
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let found = ["json", "toml", "yaml", "yml"]
        .into_iter()
        .map(|ending| folder.join(format!("{stem}.{ending}")))
        .find(|candidate| candidate.is_file());
    let Some(found) = found else {
        return Err(format!("{prefix}Config File \"{stem}\" Not Found in \"[{}]\"", folder.display()));
    };
    let text = std::fs::read_to_string(&found).map_err(|error| format!("{prefix}{}", open_error(&found, &error)))?;
    let parsed = parse(&found, &text).map_err(|words| format!("{prefix}While parsing config: {words}"))?;
    let mut file = BTreeMap::new();
    if let Some(root) = parsed {
        flatten(&root, "", &mut file);
    }
    Ok(file)
}

/// JSON is YAML as far as configurations go; TOML is not, and nobody here needs it.
fn parse(path: &Path, text: &str) -> Result<Option<Node>, String> {
    if path.extension().is_some_and(|ending| ending == "toml") {
        return Err("(stand-in) TOML is not supported".into());
    }
    let root = yaml::parse(text).map_err(|error| {
        // Go counts the lines of its scanner from 1 and those of its parser from 0.
        let scanner = error.problem.contains("found character") || error.problem.contains("could not find expected");
        let line = if scanner { error.line } else { error.line - 1 };
        format!("yaml: line {line}: {}", error.problem)
    })?;
    match root.as_ref().and_then(first_duplicate) {
        Some(words) => Err(format!("yaml: unmarshal errors:\n  {words}")),
        None => Ok(root),
    }
}

fn first_duplicate(node: &Node) -> Option<String> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (key, value) in node.entries() {
        let name = key.text().unwrap_or_default();
        let line = key.mark.line + 1;
        if let Some(first) = seen.insert(name, line) {
            return Some(format!("line {line}: mapping key {name:?} already defined at line {first}"));
        }
        if let Some(words) = first_duplicate(value) {
            return Some(words);
        }
    }
    node.items().iter().find_map(first_duplicate)
}

fn flatten(node: &Node, prefix: &str, into: &mut BTreeMap<String, Leaf>) {
    for (key, value) in node.entries() {
        let key = format!("{prefix}{}", key.text().unwrap_or_default().to_lowercase());
        match &value.value {
            Value::Mapping(_) => flatten(value, &format!("{key}."), into),
            Value::Sequence(items) => {
                into.insert(key, Leaf::Many(items.clone()));
            }
            Value::Scalar { .. } => {
                let scalar = Scalar::of(value).unwrap_or(Scalar::Null);
                // What is nothing is as good as not there.
                if scalar != Scalar::Null {
                    into.insert(key, Leaf::One(scalar));
                }
            }
        }
    }
}

/// `open <path>: <reason>` in Go's words.
pub fn open_error(path: &Path, error: &std::io::Error) -> String {
    let reason = match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory",
        std::io::ErrorKind::PermissionDenied => "permission denied",
        std::io::ErrorKind::IsADirectory => "is a directory",
        _ => return format!("open {}: {error}", path.display()),
    };
    format!("open {}: {reason}", path.display())
}

/// Whether a path can be given on the command line; the error is what is printed.
pub fn check_argument(path: &str) -> Result<PathBuf, String> {
    let found = PathBuf::from(path);
    if !found.exists() {
        return Err(format!("path '{path}' does not exist, try --help"));
    }
    if found.is_dir() {
        let name = found.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        return Err(format!("'{name}' is a directory, try --help"));
    }
    Ok(found)
}

/// Values that do not fit, in mapstructure's words.
pub fn unmarshal_error(errors: &[String]) -> String {
    let lines: Vec<String> = errors.iter().map(|error| format!("* {error}")).collect();
    format!("Error unmarshalling config : {} error(s) decoding:\n\n{}", errors.len(), lines.join("\n"))
}

/// Blocks of known fields.
pub fn blocks() -> BTreeMap<&'static str, &'static str> {
    FIELDS
        .iter()
        .filter_map(|field| Some((field.key.rsplit_once('.')?.0, field.go.rsplit_once('.')?.0)))
        .chain(FIELDS.iter().filter(|field| field.kind == Kind::Map).map(|field| (field.key, field.go)))
        .collect()
}
