//! The check against everything that the real Falco 0.44.1 was recorded to answer, and against a Falco that does not
//! answer. The program here is a test double: a shell script that plays recordings back.

use std::collections::BTreeMap;
use std::time::Duration;

use charm_core::process::Command;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

mod bounds;

/// What operators read on each recorded answer: the name of the recording, a colon, the verdict.
const VERDICTS: &str = include_str!("tests/verdicts.txt");

const PLAYER: &str = r#"#!/bin/sh
# A test double of Falco, which answers what lies beside it.
folder=$(dirname "$0")
echo "$*" >> "$folder/asked"
case " $* " in
    *" json_output=false "*) answer=validate-in-text ;;
    *" -V "*) answer=validate ;;
    *" --dry-run "*) answer=dry-run ;;
    *" -L "*) answer=list ;;
    *" --version "*) answer=version ;;
    *) exit 99 ;;
esac
cat "$folder/$answer.stdout"
cat "$folder/$answer.stderr" >&2
exit "$(cat "$folder/$answer.code")"
"#;

/// All recordings, by name.
fn recordings() -> BTreeMap<String, Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/recordings/falco");
    let names = files::list(&folder).unwrap();
    let names = names.iter().filter_map(|file| file.strip_suffix(".json"));
    let read = |name: &str| files::read(&folder.join(format!("{name}.json"))).unwrap().unwrap();
    names.map(|name| (name.to_owned(), serde_json::from_slice(&read(name)).unwrap())).collect()
}

/// A folder with a Falco that plays recordings back. It accepts everything until it is told otherwise.
struct Player(TempDir);

impl Player {
    fn new() -> Self {
        let player = Self::with_script(PLAYER);
        let recordings = recordings();
        let answers = [("validate", "validate_good"), ("dry-run", "dryrun_good"), ("list", "list_rules_json")];
        for (question, name) in answers {
            player.play(question, &recordings[name]);
        }
        player.play("version", &recordings["version_json"]);
        player
    }

    fn with_script(script: &str) -> Self {
        let player = Self(tempfile::tempdir().unwrap());
        // Not written by this process: a file that a parallel test still holds open for writing cannot be started.
        let install = Command::new("install").args(["-m", "755", "/dev/stdin"]).arg(player.path("falco"));
        install.input(script.into()).run().unwrap();
        player
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn fill(&self, text: &str) -> String {
        let folder = self.0.path().display().to_string();
        let folders = ["<dir>", "<install>", "<plugins>"].into_iter();
        let text = folders.fold(text.to_owned(), |text, placeholder| text.replace(placeholder, &folder));
        text.replace("<time>", "Wed Nov 25 10:00:00 2026")
    }

    fn answer(&self, question: &str, stdout: &str, stderr: &str, code: i64) {
        let parts = [("stdout", self.fill(stdout)), ("stderr", self.fill(stderr)), ("code", code.to_string())];
        for (part, text) in parts {
            files::replace(&self.path(&format!("{question}.{part}")), text.as_bytes(), 0o600).unwrap();
        }
    }

    fn play(&self, question: &str, recording: &Value) {
        let in_json = &recording["with_json_output"];
        let answer = if in_json.is_object() { in_json } else { recording };
        let stderr = if answer["stderr"] == "the same" { &recording["stderr"] } else { &answer["stderr"] };
        let code = answer["exit_code"].as_i64().unwrap();
        self.answer(question, answer["stdout"].as_str().unwrap(), stderr.as_str().unwrap(), code);
    }

    fn check(&self, rules: &[RulesFile], selectors: &[(&'static str, Selector)]) -> Result<Verdict> {
        let (program, config) = (self.path("falco"), self.path("falco.yaml"));
        check(&Candidate { program: &program, config: &config, rules, selectors })
    }

    /// The files of these names, as operators would know them.
    fn rules(&self, names: &[&str]) -> Vec<RulesFile> {
        let shown = |name: &str| match name {
            "rules.yaml" => "rules".to_owned(),
            "falco_rules.yaml" => name.to_owned(),
            _ => format!("custom-config-repository: rules.d/{name}"),
        };
        names.iter().map(|name| RulesFile { path: self.path(name), shown: shown(name) }).collect()
    }

    /// The command lines so far.
    fn asked(&self) -> Vec<String> {
        let asked = files::read(&self.path("asked")).unwrap().unwrap_or_default();
        String::from_utf8(asked).unwrap().lines().map(|line| line.replace(&self.fill("<dir>"), "<dir>")).collect()
    }
}

/// One line for a verdict.
fn shown(verdict: &Verdict) -> String {
    match &verdict.rejected {
        Some(reason) => format!("rejected: {reason}"),
        None if verdict.remarks.is_empty() => "good".to_owned(),
        None => format!("remarks: {}", verdict.remarks.join(" | ")),
    }
}

/// What `-V` answers in JSON about files with these errors and warnings.
fn load_results(files: &[(&str, Value, Value)]) -> String {
    let results: Vec<Value> = files
        .iter()
        .map(
            |(name, errors, warnings)| json!({"name": format!("<dir>/{name}"), "errors": errors, "warnings": warnings}),
        )
        .collect();
    json!({"falco_load_results": results}).to_string()
}

/// An error or a warning about a rule that begins in a line, counted from 0.
fn finding(code: &str, message: &str, file: &str, rule: &str, line: u64) -> Value {
    let file = format!("<dir>/{file}");
    let locations = json!([
        {"item_type": "rules content", "item_name": "", "position": {"name": file, "line": 0}},
        {"item_type": "rule", "item_name": rule, "position": {"name": file, "line": line}},
    ]);
    let snippet = format!("- rule: {rule}\n");
    json!({"code": code, "message": message, "context": {"locations": locations, "snippet": snippet}})
}

#[test]
fn every_recorded_answer_becomes_the_line_that_stands_in_the_table() {
    let recordings = recordings();
    let is_asked = |(name, _): &(&String, &Value)| name.starts_with("validate_") || name.starts_with("dryrun_");
    let lines = recordings.iter().filter(is_asked).map(|(name, recording)| {
        let player = Player::new();
        let question = if name.starts_with("validate_") { "validate" } else { "dry-run" };
        player.play(question, recording);
        let arguments: Vec<&str> = recording["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let files = arguments.windows(2).filter(|pair| pair[0] == "-V");
        let rules: Vec<&str> = files.map(|pair| pair[1].strip_prefix("<dir>/").unwrap()).collect();
        format!("{name}: {}\n", shown(&player.check(&player.rules(&rules), &[]).unwrap()))
    });
    let lines: String = lines.collect();
    assert!(lines == VERDICTS, "verdicts.txt should read:\n{lines}");
}

#[test]
fn falco_is_asked_for_the_files_in_their_order_and_then_for_the_whole() {
    let player = Player::new();
    let tag = Selector::Tag("canary".to_owned());
    player.check(&player.rules(&["falco_rules.yaml", "b.yaml", "rules.yaml"]), &[("disabled-rules", tag)]).unwrap();
    let talk = "-c <dir>/falco.yaml -o log_stderr=true -o log_level=info -o log_syslog=false";
    let files = "-V <dir>/falco_rules.yaml -V <dir>/b.yaml -V <dir>/rules.yaml";
    let expected = [
        format!("{talk} -o json_output=true {files}"),
        format!("{talk} --dry-run"),
        format!("{talk} -o json_output=true -o priority=debug -L"),
    ];
    assert_eq!(player.asked(), expected);
}

#[test]
fn without_rules_and_selectors_only_the_whole_is_tried() {
    let player = Player::new();
    assert_eq!(player.check(&[], &[]).unwrap(), Verdict::default());
    let asked = player.asked();
    assert!(matches!(asked.as_slice(), [one] if one.ends_with(" --dry-run")), "{asked:?}");
}

#[test]
fn a_selector_that_means_no_rule_is_named_with_its_option() {
    let player = Player::new();
    let name = |text: &str| Selector::Name(text.to_owned());
    let selectors = [
        ("disabled-rules", name("Canary*")),
        ("disabled-rules", name("canary read")),
        ("enabled-rules", Selector::Tag("second".to_owned())),
        ("enabled-rules", Selector::Tag("secondary".to_owned())),
    ];
    let verdict = player.check(&player.rules(&["rules.yaml"]), &selectors).unwrap();
    let expected =
        ["disabled-rules: \"canary read\" matches no rule", "enabled-rules: \"tag:secondary\" matches no rule"];
    assert_eq!(verdict, Verdict { rejected: None, remarks: expected.map(str::to_owned).into() });

    player.play("list", &recordings()["list_rules_none"]);
    let verdict = player.check(&[], &selectors[..1]).unwrap();
    assert_eq!(shown(&verdict), "remarks: disabled-rules: \"Canary*\" matches no rule");
}

#[test]
fn a_list_that_falco_does_not_give_is_no_reason_to_reject() {
    let player = Player::new();
    player.answer("list", "", "Error: no idea\n", 1);
    let verdict = player.check(&[], &[("disabled-rules", Selector::Name("x".to_owned()))]).unwrap();
    let expected = "remarks: disabled-rules: Falco does not tell which rules there are: no idea";
    assert_eq!(shown(&verdict), expected);
}

#[test]
fn three_remarks_are_put_in_words_those_on_lost_rules_first() {
    let player = Player::new();
    let unknown = |line| finding("LOAD_UNKNOWN_KEY", "Unknown key 'a'. The key will be ignored.", "a.yaml", "x", line);
    let lost = finding("LOAD_UNKNOWN_SOURCE", "Unknown source k8s_audit, skipping", "b.yaml", "y", 9);
    let first = json!([unknown(1), unknown(2), unknown(3)]);
    // Falco says it all again with the next file.
    let second = json!([unknown(1), unknown(2), unknown(3), lost]);
    player.answer("validate", &load_results(&[("a.yaml", json!([]), first), ("b.yaml", json!([]), second)]), "", 0);
    let verdict = player.check(&player.rules(&["a.yaml", "b.yaml"]), &[]).unwrap();
    let expected = [
        "custom-config-repository: rules.d/b.yaml: line 10: rule 'y' is skipped: nothing provides source k8s_audit",
        "custom-config-repository: rules.d/a.yaml: line 2: rule 'x': unknown key a is ignored",
        "custom-config-repository: rules.d/a.yaml: line 3: rule 'x': unknown key a is ignored",
        "and 1 more",
    ];
    assert_eq!(verdict.remarks, expected);
}

#[test]
fn harm_that_a_file_does_to_an_earlier_one_is_told_of_the_later_one() {
    let player = Player::new();
    let files = player.rules(&["falco_rules.yaml", "rules.yaml"]);
    let error = finding("LOAD_ERR_COMPILE_CONDITION", "no field fd.nope", "falco_rules.yaml", "Shell", 4);
    let results =
        load_results(&[("falco_rules.yaml", json!([]), json!([])), ("rules.yaml", json!([error]), json!([]))]);
    player.answer("validate", &results, "", 1);
    let verdict = player.check(&files, &[]).unwrap();
    assert_eq!(shown(&verdict), "rejected: rules: breaks falco_rules.yaml: line 5: rule 'Shell': no field fd.nope");

    let slow = finding("LOAD_NO_EVTTYPE", "Rule matches too many", "falco_rules.yaml", "Shell", 4);
    let results = load_results(&[("falco_rules.yaml", json!([]), json!([])), ("rules.yaml", json!([]), json!([slow]))]);
    player.answer("validate", &results, "", 0);
    let verdict = player.check(&files, &[]).unwrap();
    let expected = "remarks: rules: in falco_rules.yaml: line 5: rule 'Shell' is slow: its condition matches too many \
                    types of events";
    assert_eq!(shown(&verdict), expected);
}

#[test]
fn of_several_broken_files_two_are_put_in_words() {
    let player = Player::new();
    let files = ["a.yaml", "b.yaml", "c.yaml", "d.yaml"];
    let errors: Vec<Value> = files.iter().map(|file| finding("LOAD_ERR_VALIDATE", "bad.", file, "x", 0)).collect();
    let results = files.iter().zip(&errors).map(|(file, error)| (*file, json!([errors[0], error]), json!([])));
    player.answer("validate", &load_results(&results.collect::<Vec<_>>()), "", 1);
    let verdict = player.check(&player.rules(&files), &[]).unwrap();
    let expected = "rejected: custom-config-repository: rules.d/a.yaml: line 1: rule 'x': bad; \
                    custom-config-repository: rules.d/b.yaml: line 1: rule 'x': bad; and 2 more files";
    assert_eq!(shown(&verdict), expected);
}

#[test]
fn rules_that_cannot_be_told_in_json_are_told_in_text() {
    let player = Player::new();
    let words =
        "<time>: Runtime error: [json.exception.type_error.316] invalid UTF-8 byte at index 3: 0xC3. Exiting.\n";
    player.answer("validate", "", words, 1);
    let report = &recordings()["validate_two_files"];
    player.answer("validate-in-text", report["stdout"].as_str().unwrap(), report["stderr"].as_str().unwrap(), 1);
    let verdict = player.check(&player.rules(&["rules.yaml", "bad.yaml"]), &[]).unwrap();
    let expected = "rejected: Falco rejects its configuration: custom-config-repository: rules.d/bad.yaml: line 7: \
                    rule 'Second canary read': filter_check called with nonexistent field fd.nope";
    assert_eq!(shown(&verdict), expected);
}

#[test]
fn whatever_falco_says_a_verdict_is_short_and_has_no_path_and_no_password() {
    let message = format!("http://user:hunter2@host/ <dir>/x \u{1b}[31m\n{}", "long ".repeat(50_000));
    let rule = "r".repeat(100_000);
    for code in ["LOAD_ERR_VALIDATE", "LOAD_UNKNOWN_SOURCE", "LOAD_SOMETHING"] {
        let player = Player::new();
        let found = json!([finding(code, &message, "rules.yaml", &rule, 0)]);
        let is_error = code.starts_with("LOAD_ERR_");
        let (errors, warnings) = if is_error { (found, json!([])) } else { (json!([]), found) };
        let results = load_results(&[("rules.yaml", errors, warnings)]);
        player.answer("validate", &results, &message, is_error.into());
        let verdict = player.check(&player.rules(&["rules.yaml"]), &[]).unwrap();
        assert_eq!(verdict.rejected.is_some(), is_error);
        let (text, longest) = (shown(&verdict), if is_error { 312 } else { 162 });
        assert!(text.contains(": rules: line 1: rule 'rrr"), "{text}");
        assert!(text.chars().count() < longest, "{text}");
        let is_hidden = |word: &str| !text.contains(word);
        assert!(["user", "hunter2", &player.fill("<dir>"), "\u{1b}", "\n"].into_iter().all(is_hidden), "{text}");
    }
}

#[test]
fn the_list_is_what_the_configuration_makes_of_the_rules() {
    let player = Player::new();
    let (program, config) = (player.path("falco"), player.path("falco.yaml"));
    let text = "priority: error\nrules: [{disable: {tag: canary}}, {enable: {rule: 'Second*'}}]\n";
    files::replace(&config, text.as_bytes(), 0o600).unwrap();
    let rule = |name: &str, description: &str, priority: &str, tag: &str, enabled, severe_enough| Rule {
        name: name.to_owned(),
        description: description.to_owned(),
        priority: priority.to_owned(),
        source: "syscall".to_owned(),
        tags: vec!["canary".to_owned(), tag.to_owned()],
        enabled,
        severe_enough,
    };
    let expected = [
        rule("Canary read", "A canary file was read.", "Warning", "host", false, false),
        rule("Second canary read", "Another canary file was read.", "Critical", "second", true, true),
    ];
    assert_eq!(list(&program, &config).unwrap(), expected);
}

#[test]
fn the_version_is_that_of_falco_and_of_its_engine() {
    let player = Player::new();
    let found = version(&player.path("falco")).unwrap();
    assert_eq!(found, Version { falco: "0.44.1".to_owned(), engine: "0.62.0".to_owned() });
    assert_eq!(found.to_string(), "Falco 0.44.1 with engine 0.62.0");
}
