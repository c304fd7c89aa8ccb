//! Every recorded case of the real hook commands, run against those of the harness, in process.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use charm_tests::coverage::{self, Table};
use charm_tests::juju::hook::{Exit, Hook, LogRecord, Reply, finished_action};
use charm_tests::juju::{Answer, Invocation, JujuVersion};
use serde::Deserialize;
use serde_json::{Value, json};

use super::world::{MODEL_UUID, OTHER_MODEL_UUID, RESOURCES_DIR, World, expand, recordings};

const NEW_SECRET: &str = "<new-secret-1>";

/// The one list of what is not played, or answered otherwise.
const REASONS: &str = "recordings/juju-not-played.yaml";

#[test]
fn the_commands_answer_as_the_real_ones_did() {
    let world = World::load();
    let not_played = NotPlayed::load();
    let mut table = Table::new();
    let mut problems = Vec::new();
    for case in cases() {
        for version in &case.versions {
            let count = table.entry(case.raw["command"].as_str().unwrap().to_owned()).or_default();
            let differences = differences(&world, &case.raw, *version);
            let name = format!("{} [{version}]", case.place);
            match (differences.is_empty(), not_played.covers(&case.place, &name)) {
                (true, false) => count.passed(),
                (false, true) => count.otherwise(),
                (true, true) => {
                    problems.push(format!("{name} is listed as not played, but passes: take it off the list"));
                }
                (false, false) => problems.push(format!("{name} {}\n{}", case.raw["args"], differences.join("\n"))),
            }
        }
    }
    assert!(problems.is_empty(), "{} of the recorded answers differ:\n{}", problems.len(), problems.join("\n"));
    coverage::check("recordings/juju/coverage.yaml", REASONS, &table);
}

#[test]
fn the_list_of_cases_that_are_not_played_names_recorded_cases_and_reasons() {
    let mut places: BTreeSet<String> = BTreeSet::new();
    for case in cases() {
        places.extend(case.versions.iter().map(|version| format!("{} [{version}]", case.place)));
        places.insert(case.place);
    }
    for entry in NotPlayed::load().0 {
        assert!(!entry.cases.is_empty() && !entry.reason.is_empty(), "an entry without a case or reason");
        for place in entry.cases {
            assert!(places.contains(&place), "{place} is not a recorded case");
        }
    }
}

#[test]
fn every_command_of_every_release_is_played_or_listed() {
    let text = fs::read_to_string(recordings().join("_commands.json")).unwrap();
    let recorded: BTreeMap<String, BTreeSet<String>> = serde_json::from_str(&text).unwrap();
    for (version, names) in recorded {
        let played: BTreeSet<String> = self::version(&version).commands().map(str::to_owned).collect();
        let missing: Vec<&String> = names.difference(&played).collect();
        // Tools of charms without Pebble and of resources that nobody registers any more; no charm of this repository
        // can call them.
        assert!(
            missing.iter().all(|name| ["k8s-", "payload-", "pod-spec-"].iter().any(|start| name.starts_with(start))),
            "{version} has {missing:?}"
        );
        assert_eq!(played.difference(&names).next(), None, "{version}");
    }
}

/// One recorded case and where it stands.
struct Case {
    place: String,
    versions: Vec<JujuVersion>,
    raw: Value,
}

/// The cases that are knowingly answered otherwise.
struct NotPlayed(Vec<Entry>);

#[derive(Deserialize)]
struct Entry {
    cases: Vec<String>,
    reason: String,
}

impl NotPlayed {
    fn load() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(REASONS);
        Self(serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap())
    }

    /// A case is listed by its place, or by place and version.
    fn covers(&self, place: &str, with_version: &str) -> bool {
        self.0.iter().flat_map(|entry| &entry.cases).any(|case| case == place || case == with_version)
    }
}

fn version(name: &str) -> JujuVersion {
    match name {
        "3.6.28" => JujuVersion::V3_6,
        "4.0.15" => JujuVersion::V4_0,
        "4.1-beta2" => JujuVersion::V4_1,
        other => panic!("no such version: {other}"),
    }
}

/// Every file has one case a line; a case is named by file and line.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut files: Vec<_> = fs::read_dir(recordings()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.extension() != Some("json".as_ref()) || name.starts_with('_') && name != "_commit.json" {
            continue;
        }
        for (index, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            if !line.starts_with('{') {
                continue;
            }
            let raw: Value = serde_json::from_str(line.trim_end_matches(',')).unwrap();
            let versions =
                raw["version"].as_array().unwrap().iter().map(|each| version(each.as_str().unwrap())).collect();
            cases.push(Case { place: format!("{name}:{}", index + 1), versions, raw });
        }
    }
    assert_eq!(cases.len(), 1771, "the recordings have changed");
    cases
}

/// Texts of a case with real values for placeholders, and answers with placeholders for real values.
struct Placeholders<'a> {
    world: &'a World,
    new_secret: Option<String>,
}

impl Placeholders<'_> {
    fn fill(&self, text: &str) -> String {
        let text = expand(text);
        let text = text.replace("<charm-dir>", &self.world.charm_dir().to_string_lossy());
        let text = text.replace("<resources-dir>", RESOURCES_DIR);
        let text = text.replace("<model-uuid>", MODEL_UUID).replace("<other-model-uuid>", OTHER_MODEL_UUID);
        text.replace(NEW_SECRET, self.new_secret.as_deref().unwrap_or(NEW_SECRET))
    }

    fn fill_value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => json!(self.fill(text)),
            Value::Array(list) => list.iter().map(|item| self.fill_value(item)).collect(),
            Value::Object(map) => map.iter().map(|(key, item)| (self.fill(key), self.fill_value(item))).collect(),
            other => other.clone(),
        }
    }

    fn invocation(&self, raw: &Value) -> Invocation {
        let args = raw["args"].as_array().unwrap().iter().map(|arg| self.fill(arg.as_str().unwrap()));
        let mut invocation = Invocation::new(raw["command"].as_str().unwrap(), args);
        self.world.charm_dir().clone_into(&mut invocation.cwd);
        invocation
    }
}

/// Calls a command, with its input once it asks for it. Tells whether it did.
fn call(hook: &mut Hook, mut invocation: Invocation, stdin: &Value) -> (Answer, bool) {
    match hook.answer(&invocation) {
        Reply::Answer(answer) | Reply::Unknown(answer) => (answer, false),
        Reply::NeedsStdin => {
            // The recording shows a replacement letter where the input was not UTF-8.
            invocation.stdin = Some(match stdin.as_str() {
                Some("a: \u{fffd}\n") => b"a: \xff\n".to_vec(),
                text => expand(text.unwrap_or_default()).into_bytes(),
            });
            match hook.answer(&invocation) {
                Reply::Answer(answer) | Reply::Unknown(answer) => (answer, true),
                Reply::NeedsStdin => panic!("asked twice for its input"),
            }
        }
    }
}

fn differences(world: &World, case: &Value, version: JujuVersion) -> Vec<String> {
    let mut hook = world.hook(case, version);
    let mut names = Placeholders { world, new_secret: None };
    let mut found = Differences::default();
    for before in case["before"].as_array().into_iter().flatten() {
        let (answer, _) = call(&mut hook, names.invocation(before), &before["stdin"]);
        found.compare(&format!("exit code of {}", before["args"]), &before["exit_code"], &json!(answer.code));
        names.new_secret = names.new_secret.or_else(|| new_secret(&answer));
    }
    let (logged, sent) = (hook.log.len(), hook.sent.len());
    let (answer, asked) = call(&mut hook, names.invocation(case), &case["stdin"]);
    names.new_secret = names.new_secret.or_else(|| new_secret(&answer));

    let mut stdout = String::from_utf8_lossy(&answer.stdout).into_owned();
    if case["stdout_cut"] == true {
        stdout = stdout.split_inclusive('\n').next().unwrap_or_default().to_owned();
    }
    found.compare("stdout", &names.fill_value(&case["stdout"]), &json!(stdout));
    found.compare("stderr", &names.fill_value(&case["stderr"]), &json!(String::from_utf8_lossy(&answer.stderr)));
    found.compare("exit code", &case["exit_code"], &json!(answer.code));
    found.compare("asked for input", &json!(case["stdin_asked"] == true), &json!(asked));
    let log: Value = hook.log[logged..].iter().map(record).collect();
    found.compare("log", &names.fill_value(list(&case["log"])), &log);
    found.compare("sent", &names.fill_value(list(&case["sent"])), &json!(hook.sent[sent..]));
    if let Some(flush) = case.get("flush") {
        let exit = i32::try_from(flush["hook_exit"].as_i64().unwrap()).unwrap();
        let finished = hook.finish(Exit::Code(exit));
        let commit = finished.commit.as_ref().map_or(Value::Null, charm_tests::juju::commit::Commit::to_json);
        found.compare("commit", &names.fill_value(&flush["commit"]), &commit);
        found.compare("error", &names.fill_value(&flush["error"]), &json!(finished.error));
        let action = finished.action.as_ref().map_or(Value::Null, finished_action);
        found.compare("action", &names.fill_value(&flush["finish_action"]), &action);
    }
    found.0
}

fn list(value: &Value) -> &Value {
    static NONE: Value = Value::Array(Vec::new());
    if value.is_null() { &NONE } else { value }
}

fn record(record: &LogRecord) -> Value {
    json!({"level": record.level, "module": record.module, "message": record.message})
}

/// The id that `secret-add` has printed.
fn new_secret(answer: &Answer) -> Option<String> {
    let text = std::str::from_utf8(&answer.stdout).ok()?;
    let id = text.strip_prefix("secret:")?.strip_suffix('\n')?;
    (id.len() == 20).then(|| id.to_owned())
}

#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn compare(&mut self, what: &str, recorded: &Value, ours: &Value) {
        if recorded != ours {
            self.0.push(format!(
                "    {what}\n      recorded {}\n      ours     {}",
                shortened(recorded),
                shortened(ours)
            ));
        }
    }
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 1500 { text.chars().take(1500).chain("…".chars()).collect() } else { text }
}
