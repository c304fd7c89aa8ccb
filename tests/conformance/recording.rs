//! A recording, and the real values that stand in the place of its placeholders.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// One recorded run.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Name of the case.
    pub name: String,
    /// Everything in the file.
    pub value: Value,
}

fn folder(program: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings").join(program)
}

/// All recordings of a program.
pub fn names(program: &str) -> BTreeSet<String> {
    let folder = folder(program);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect()
}

impl Recording {
    /// Reads a recording.
    pub fn load(program: &str, name: &str) -> Self {
        let path = folder(program).join(format!("{name}.json"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { name: name.to_owned(), value }
    }

    /// Text under a key, or nothing.
    pub fn text(&self, key: &str) -> &str {
        self.value[key].as_str().unwrap_or_default()
    }

    /// Texts under a key, or none.
    pub fn texts(&self, key: &str) -> Vec<String> {
        texts(&self.value[key])
    }

    /// The entries of a list under a key, or none.
    pub fn items(&self, key: &str) -> &[Value] {
        self.value[key].as_array().map_or(&[], Vec::as_slice)
    }

    /// The texts of a map under a key, or none.
    pub fn map(&self, key: &str) -> BTreeMap<String, String> {
        let entries = self.value[key].as_object().into_iter().flatten();
        entries.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
    }
}

/// Puts a placeholder in the place of a port. The same digits can be the beginning of a longer number.
fn replace_port(text: &str, port: &str, placeholder: &str) -> String {
    let mut done = String::new();
    let mut rest = text;
    while let Some(place) = rest.find(&format!(":{port}")) {
        let end = place + 1 + port.len();
        let is_whole = !rest[end..].starts_with(|c: char| c.is_ascii_digit());
        done.push_str(&rest[..=place]);
        done.push_str(if is_whole { placeholder } else { port });
        rest = &rest[end..];
    }
    done.push_str(rest);
    done
}

/// The texts of a list.
pub fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// Placeholders and what stands for them in this run.
#[derive(Clone, Debug, Default)]
pub struct Places {
    entries: Vec<(&'static str, String)>,
}

impl Places {
    /// Adds a placeholder.
    pub fn set(&mut self, placeholder: &'static str, value: impl Into<String>) {
        self.entries.push((placeholder, value.into()));
    }

    /// The value of a placeholder.
    pub fn get(&self, placeholder: &str) -> &str {
        let entry = self.entries.iter().find(|(name, _)| *name == placeholder);
        entry.map_or_else(|| panic!("{placeholder} is not set"), |(_, value)| value.as_str())
    }

    /// A port of a placeholder.
    pub fn port(&self, placeholder: &str) -> u16 {
        self.get(placeholder).parse().unwrap_or_else(|error| panic!("{placeholder}: {error}"))
    }

    /// Puts the values in.
    pub fn fill(&self, text: &str) -> String {
        self.entries.iter().fold(text.to_owned(), |text, (placeholder, value)| text.replace(placeholder, value))
    }

    /// Puts the placeholders back. Folders first: a port number could stand in the name of one.
    pub fn take_out(&self, text: &str) -> String {
        let is_path = |value: &str| value.starts_with('/');
        let folders = self.entries.iter().filter(|(_, value)| is_path(value));
        let text = folders.fold(text.to_owned(), |text, (placeholder, value)| text.replace(value, placeholder));
        let others = self.entries.iter().filter(|(_, value)| !is_path(value));
        others.fold(text, |text, (placeholder, value)| replace_port(&text, value, placeholder))
    }
}
