//! What the charms write, held against what the programs know: no key of theirs is without a case.
//!
//! The golden files are what the charms write today. A new key in one of them fails here until Falco's own check of its
//! configuration takes it, or a recording of Falcosidekick contains it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_yaml::Value;

use crate::falco::Subject;
use crate::recording::{self, Recording};

#[test]
fn falco_knows_every_key_that_the_charm_writes() {
    let subject = Subject::find();
    for file in golden("falco", "yaml") {
        // Rules and plugins lie elsewhere on this machine, so Falco stops after it has looked at the keys.
        let mut command = Command::new(subject.program());
        command.arg("-c").arg(&file).args(["--dry-run", "-o", "log_stderr=true"]);
        let output = command.output().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let text = String::from_utf8_lossy(&output.stderr);
        let verdict = format!("{} | schema validation: ok", file.display());
        assert!(text.contains(&verdict), "{text}");
    }
}

#[test]
fn falcosidekick_was_recorded_with_every_key_that_the_charm_writes() {
    let mut recorded = BTreeSet::new();
    for name in recording::names("falcosidekick") {
        let case = Recording::load("falcosidekick", &name);
        // Some cases are about texts that are no YAML.
        if let Ok(value) = serde_yaml::from_str::<Value>(case.text("config_yaml")) {
            keys(&value, "", &mut recorded);
        }
    }
    for file in golden("falcosidekick", "falcosidekick.yaml") {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut written = BTreeSet::new();
        keys(&serde_yaml::from_str(&text).expect("a golden file is YAML"), "", &mut written);
        let unknown: Vec<_> = written.difference(&recorded).collect();
        assert!(unknown.is_empty(), "{}: no recording contains {unknown:?}", file.display());
    }
}

/// The golden files of a charm whose names end in that way.
fn golden(charm: &str, ending: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(charm);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let found: Vec<PathBuf> = paths.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    assert!(!found.is_empty(), "{}: nothing ends in {ending}", folder.display());
    found
}

/// All paths of keys. Falcosidekick does not tell capitals apart.
fn keys(value: &Value, above: &str, found: &mut BTreeSet<String>) {
    for (name, value) in value.as_mapping().into_iter().flatten() {
        let path = format!("{above}/{}", name.as_str().unwrap_or_default().to_lowercase());
        keys(value, &path, found);
        found.insert(path);
    }
}
