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
    /// Those that only the real program can play.
    falcosidekick_stand_in: BTreeMap<String, String>,
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

    /// Reasons by recording, for a program or for the stand-in in its place.
    pub fn of(&self, program: &str, is_real: bool) -> BTreeMap<String, String> {
        match program {
            "falco" => self.falco.clone(),
            _ if is_real => self.falcosidekick.clone(),
            _ => self.falcosidekick.iter().chain(&self.falcosidekick_stand_in).map(own).collect(),
        }
    }

    /// What is not compared in the cases that are played.
    pub fn parts(&self, program: &str) -> &[Part] {
        self.not_compared.get(program).map_or(&[], Vec::as_slice)
    }
}

fn own((name, reason): (&String, &String)) -> (String, String) {
    (name.clone(), reason.clone())
}
