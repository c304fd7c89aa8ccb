//! The checked-in list of what is not played.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// `not-played.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotPlayed {
    falco: BTreeMap<String, String>,
    falcosidekick: BTreeMap<String, String>,
    not_compared: BTreeMap<String, Vec<Part>>,
}

/// Something that no case compares.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// What.
    pub what: String,
    /// Why.
    pub reason: String,
}

impl NotPlayed {
    /// Reads the file beside this one.
    pub fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/not-played.yaml");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Reasons by recording, for each program.
    pub fn recordings(&self) -> [(&'static str, &BTreeMap<String, String>); 2] {
        [("falco", &self.falco), ("falcosidekick", &self.falcosidekick)]
    }

    /// Reasons by recording.
    pub fn of(&self, program: &str) -> &BTreeMap<String, String> {
        if program == "falco" { &self.falco } else { &self.falcosidekick }
    }

    /// What is not compared in the cases that are played.
    pub fn parts(&self, program: &str) -> &[Part] {
        self.not_compared.get(program).map_or(&[], Vec::as_slice)
    }
}
