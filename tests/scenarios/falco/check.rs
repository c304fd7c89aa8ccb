//! The check of a candidate: the stand-in is judged in the same words as the recorded answers of the real Falco.
//!
//! The words are those of the charm's own table, which its unit tests compare with the recordings.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use charm_core::process::Command;
use charm_tests::programs::built;
use falco_charm::check::{Candidate, RulesFile, check, list, version};
use serde_json::Value;
use tempfile::TempDir;

/// What operators read on each recorded answer: the name of the recording, a colon, the verdict.
const VERDICTS: &str = include_str!("../../../crates/falco-charm/src/check/tests/verdicts.txt");

/// Recordings in which the stand-in cannot take part, each with the reason.
const NOT_PLAYED: &[(&str, &str)] = &[
    ("dryrun_env_substitution", "needs the variables that the real Falco was given"),
    ("dryrun_official_rules_no_plugin", "needs the official rules"),
    ("dryrun_plugin_bad_init_config", "needs the plugin"),
    ("dryrun_plugin_container", "needs the official rules and the plugin"),
    ("validate_yaml_unclosed_quote", "its reader of YAML sees the missing quote, where Falco's misses a key"),
];

/// The stand-in without the mark that it puts before each line of its log, since Falco has none.
const UNMARKED: &str = r#"#!/bin/bash
{ PROGRAM "$@" 2>&1 >&3 3>&- | sed 's/^\[falco stand-in\] //' >&2; exit "${PIPESTATUS[0]}"; } 3>&1
"#;

fn recording(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("recordings/falco/{name}.json"));
    serde_json::from_slice(&std::fs::read(&path).expect(name)).unwrap()
}

/// Writes the script that starts the stand-in.
fn unmarked_stand_in(folder: &Path) -> PathBuf {
    let path = folder.join("falco");
    let script = UNMARKED.replace("PROGRAM", &built("falco-stand-in").display().to_string());
    // Not written by this process: a file that a parallel test still holds open for writing cannot be started.
    Command::new("install").args(["-m", "755", "/dev/stdin"]).arg(&path).input(script.into()).run().unwrap();
    path
}

/// A folder with the files of a recording.
fn files(recording: &Value) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    // Empty folders are not recorded, and the one case that has one calls it so.
    std::fs::create_dir(folder.path().join("rules.d")).unwrap();
    let fill = |text: &str| text.replace("<dir>", &folder.path().display().to_string()).replace("<port>", "1");
    for (name, text) in recording["files"].as_object().unwrap() {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, fill(text.as_str().unwrap())).unwrap();
    }
    folder
}

/// The verdict on the files of a recording, in the form of the table.
fn verdict(program: &Path, recording: &Value) -> String {
    let folder = files(recording);
    let arguments: Vec<&str> = recording["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let names = arguments.windows(2).filter(|pair| pair[0] == "-V").map(|pair| pair[1].strip_prefix("<dir>/").unwrap());
    let shown = |name: &str| match name {
        "rules.yaml" => "rules".to_owned(),
        _ => format!("custom-config-repository: rules.d/{name}"),
    };
    let rules: Vec<RulesFile> =
        names.map(|name| RulesFile { path: folder.path().join(name), shown: shown(name) }).collect();
    let config = folder.path().join("falco.yaml");
    let candidate = Candidate { program, config: &config, rules: &rules, selectors: &[] };
    match check(&candidate) {
        Err(error) => format!("no verdict: {error:#}"),
        Ok(verdict) => match verdict.rejected {
            Some(reason) => format!("rejected: {reason}"),
            None if verdict.remarks.is_empty() => "good".to_owned(),
            None => format!("remarks: {}", verdict.remarks.join(" | ")),
        },
    }
}

#[test]
fn the_stand_in_is_judged_in_the_words_for_the_real_falco() {
    let mut not_played: BTreeSet<&str> = NOT_PLAYED.iter().map(|(name, _)| *name).collect();
    let folder = tempfile::tempdir().unwrap();
    let program = unmarked_stand_in(folder.path());
    let mut wrong = Vec::new();
    for (name, expected) in VERDICTS.lines().map(|line| line.split_once(": ").unwrap()) {
        if not_played.remove(name) {
            continue;
        }
        let seen = verdict(&program, &recording(name));
        if seen != expected {
            wrong.push(format!("{name}: {seen}\n    instead of: {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(not_played.is_empty(), "not in the table: {not_played:?}");
}

#[test]
fn the_rules_are_listed_as_the_configuration_makes_them() {
    let folder = files(&recording("list_rules_selected_json"));
    let program = built("falco-stand-in");
    let rules = list(&program, &folder.path().join("falco.yaml")).unwrap();
    let seen: Vec<_> = rules.iter().map(|rule| (rule.name.as_str(), rule.priority.as_str(), rule.enabled)).collect();
    assert_eq!(seen, [("Canary read", "Warning", false), ("Second canary read", "Critical", true)]);
    assert_eq!(version(&program).unwrap().to_string(), "Falco 0.44.1 with engine 0.62.0");
}
