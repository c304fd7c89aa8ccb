//! What charm-core writes for Juju, read back by the rules of Go's YAML reader: every ASCII character, wherever it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use charm_core::yaml;
use charm_tests::juju::hook::{Hook, Reply};
use charm_tests::juju::state::Bag;
use charm_tests::juju::unit::Unit;
use charm_tests::juju::{Answer, Context, Event, Exit, Invocation, JujuVersion, Metadata, Relation, State};
use charm_tests::programs;

const RELATION: u32 = 7;

/// The most letters that a key may have for Go's reader, with its quotes.
const LONGEST_KEY: usize = 1024;

/// Every ASCII character alone, at either end, in the middle, in lines of its own, and beside every other one. Without
/// NUL, which no database of a controller holds.
fn texts() -> BTreeSet<String> {
    let ascii = || (1..=0x7f_u8).map(char::from);
    let mut texts = BTreeSet::new();
    for letter in ascii() {
        texts.extend([
            letter.to_string(),
            format!("{letter}x"),
            format!("x{letter}"),
            format!("x{letter}y"),
            format!("{letter} x: {letter}"),
            format!("x\n{letter}\n{letter}y\n"),
        ]);
        texts.extend(ascii().map(|other| format!("{letter}{other}")));
    }
    texts.extend(
        ["true", "~", "0x1F", "1e3", "2026-01-02", "<<", "=", "---", "...", "!!binary eA=="].map(str::to_owned),
    );
    texts
}

fn hook(version: JujuVersion) -> Hook {
    let metadata = "name: small\nrequires: {db: {interface: mysql}}\n";
    let unit = Unit { juju: version, ..Unit::of(Metadata::parse(metadata).unwrap()) };
    let state = State::machine().leader(true).relation(Relation::new(RELATION, "db", "mysql").remote_unit(0));
    Hook::new(&unit, &Event::start(), &state, "/")
}

fn relation_set(hook: &mut Hook, stdin: &[u8]) -> Answer {
    let mut invocation = Invocation::new("relation-set", ["-r", &RELATION.to_string(), "--file", "-"]);
    invocation.stdin = Some(stdin.to_vec());
    let Reply::Answer(answer) = hook.answer(&invocation) else { panic!("no answer") };
    answer
}

/// The databag that the controller has after `relation-set` was given this.
#[track_caller]
fn sent(version: JujuVersion, stdin: &[u8]) -> Bag {
    let mut hook = hook(version);
    let answer = relation_set(&mut hook, stdin);
    assert_eq!(answer.code, 0, "{}", String::from_utf8_lossy(&answer.stderr));
    let finished = hook.finish(Exit::Code(0));
    assert_eq!(finished.error, None);
    finished.state.relation_by_id(RELATION).local_unit_data.clone()
}

#[track_caller]
fn assert_arrives(version: JujuVersion, written: &BTreeMap<String, String>) {
    let bag = sent(version, yaml::quoted_line(written).unwrap().as_bytes());
    for (key, value) in written {
        assert_eq!(bag.get(key), Some(value), "{key:?} in Juju {version}");
    }
}

#[test]
fn every_ascii_character_arrives_in_keys_and_values_of_databags() {
    let written: BTreeMap<String, String> = texts().into_iter().map(|text| (text.clone(), text)).collect();
    assert!(written.len() > 127 * 127);
    for version in JujuVersion::ALL {
        assert_arrives(version, &written);
    }
}

#[test]
fn what_is_beyond_ascii_arrives_as_well() {
    let planes = [0x80..0x300, 0x2000..0x2100, 0xd7f0..0xd800, 0xe000..0xe010, 0xfdd0..0x1_0010, 0x1_f980..0x1_f990];
    let letters = planes.into_iter().flatten().filter_map(char::from_u32);
    let written: BTreeMap<String, String> = letters
        .flat_map(|letter| [letter.to_string(), format!("x{letter}y\n")])
        .map(|text| (text.clone(), text))
        .collect();
    for version in JujuVersion::ALL {
        assert_arrives(version, &written);
    }
}

#[test]
fn a_value_may_be_as_long_as_one_likes_and_a_key_as_long_as_go_reads() {
    let value = "a long line, \"quoted\": # and so on\n".repeat(50_000);
    let key = "k".repeat(LONGEST_KEY - 2);
    for version in JujuVersion::ALL {
        assert_arrives(version, &[(key.clone(), value.clone())].into());
        let too_long = BTreeMap::from([("k".repeat(LONGEST_KEY + 1), "value")]);
        let answer = relation_set(&mut hook(version), yaml::quoted_line(&too_long).unwrap().as_bytes());
        assert_eq!(answer.code, 1, "the reader of the harness is kinder than Go's");
    }
}

#[test]
fn what_a_plain_writer_of_json_writes_would_be_refused_or_changed() {
    let version = JujuVersion::V3_6;
    for refused in ["{\"k\":\"\u{7f}\"}", "{\"k\":\"\u{86}\"}", "{\"k\":\"\u{ffff}\"}", r#"{"k":"\ud834\udd1e"}"#] {
        let answer = relation_set(&mut hook(version), refused.as_bytes());
        assert_eq!(answer.code, 1, "{refused:?} was taken");
        assert!(String::from_utf8_lossy(&answer.stderr).contains("yaml: "), "{answer:?}");
    }
    for changed in ["{\"k\":\"a\u{85}b\"}", "{\"k\":\"a\nb\"}"] {
        assert_eq!(sent(version, changed.as_bytes())["k"], "a b", "{changed:?}");
    }
}

#[test]
fn what_is_not_utf_8_is_refused_with_nothing_written() {
    for version in JujuVersion::ALL {
        for bytes in [&b"{\"k\":\"\xff\"}"[..], b"\xfe: v", b"{\"k\":\"\xed\xa0\x80\"}"] {
            let mut hook = hook(version);
            let answer = relation_set(&mut hook, bytes);
            assert_eq!(answer.code, 1, "{bytes:?}");
            let bag = hook.finish(Exit::Code(0)).state.relation_by_id(RELATION).local_unit_data.clone();
            assert!(!bag.contains_key("k"), "{bag:?}");
        }
    }
}

#[test]
fn every_ascii_character_arrives_in_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret.yaml");
    let keys = || (0..).map(|number: u32| format!("key-{number}"));
    let written: BTreeMap<String, String> = keys().zip(texts()).collect();
    fs::write(&file, yaml::quoted_line(&written).unwrap()).unwrap();
    for version in JujuVersion::ALL {
        let mut hook = hook(version);
        let add = Invocation::new("secret-add", ["--label", "all", "--file", &file.to_string_lossy()]);
        let Reply::Answer(answer) = hook.answer(&add) else { panic!("no answer") };
        assert_eq!(answer.code, 0, "{}", String::from_utf8_lossy(&answer.stderr));
        let state = hook.finish(Exit::Code(0)).state;
        let secret = state.secret_labelled("all").unwrap();
        for (key, value) in &written {
            assert_eq!(secret.text(key).as_ref(), Some(value), "{key} in Juju {version}");
        }
    }
    fs::write(&file, b"key: \xff").unwrap();
    let add = Invocation::new("secret-add", ["--file", &file.to_string_lossy()]);
    let Reply::Answer(answer) = hook(JujuVersion::V3_6).answer(&add) else { panic!("no answer") };
    assert_ne!(answer.code, 0, "what is not UTF-8 was taken");
}

#[test]
fn every_ascii_character_arrives_in_the_results_of_actions() {
    let charmcraft = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/core/charmcraft.yaml");
    for version in JujuVersion::ALL {
        let context =
            Context::new(&charmcraft, programs::built("echo-charm"), programs::hook_command()).unwrap().juju(version);
        let mut event = Event::action("echo");
        // Each is a word of one command, of which the kernel takes a limited number of bytes.
        let some: Vec<String> = texts().into_iter().filter(|text| text.chars().count() != 2).collect();
        for (number, text) in some.iter().enumerate() {
            event = event.param(format!("text-{number}"), text.as_str());
        }
        let outcome = context.run(&event, &State::machine()).expect_success();
        let results = outcome.action.unwrap().results;
        for (number, text) in some.iter().enumerate() {
            assert_eq!(results[&format!("text-{number}")], text.as_str(), "in Juju {version}");
        }
    }
}
