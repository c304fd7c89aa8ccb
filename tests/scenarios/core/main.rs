//! What charm-core hands to Juju is what Juju's readers take in: databags, secrets and results of actions.

use std::path::Path;

use charm_tests::juju::state::Secret;
use charm_tests::juju::{Context, Event, JujuVersion, Relation, State, Status};
use charm_tests::programs;

const PEER: u32 = 3;

/// Texts that some reader of YAML or JSON on the way is known to change or to refuse, when they are not written with
/// care.
fn hostile() -> Vec<String> {
    let ascii: String = (1..=0x7f_u8).map(char::from).collect();
    let controls: String = (0x80..=0x9f_u32).filter_map(char::from_u32).collect();
    let mut texts: Vec<String> = [
        "plain",
        " lead and trail ",
        "a: b",
        "# no comment",
        "- no list",
        "@at",
        "=equals",
        "k=v",
        "'",
        "\"",
        "\\",
        "`",
        "%",
        "{}",
        "[]",
        "yes",
        "null",
        "~",
        "010",
        "1e3",
        "1.50",
        "0x1F",
        "2001-01-01",
        "<<",
        "---",
        "...",
        "line\nline\n",
        "\r\n",
        "\t",
        "ü ☃ \u{1d11e}",
        "\u{85}",
        "\u{2028}\u{2029}",
        "\u{fffe}\u{ffff}\u{feff}",
        "<a href=\"x\">&</a>",
        "${HOME}",
        "$(id)",
        "!tag",
        "&anchor",
        "*alias",
    ]
    .map(String::from)
    .into();
    texts.extend([ascii, controls, "long ".repeat(60_000)]);
    texts
}

fn context(version: JujuVersion) -> Context {
    let charmcraft = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/core/charmcraft.yaml");
    Context::new(charmcraft, programs::built("echo-charm"), programs::hook_command()).unwrap().juju(version)
}

fn state(text: &str) -> State {
    State::machine().config("text", text).relation(Relation::peer(PEER, "peer", "echo"))
}

#[test]
fn every_text_arrives_in_databags_and_secrets_as_it_was() {
    for version in [JujuVersion::V3_6, JujuVersion::V4_1] {
        let context = context(version);
        for text in hostile() {
            let outcome = context.run(&Event::config_changed(), &state(&text)).expect_success();
            let bag = &outcome.state.relation_by_id(PEER).local_unit_data;
            assert_eq!(bag.get("text"), Some(&text));
            if text.len() < 1_000 {
                assert_eq!(bag.get(&text).map(String::as_str), Some("key"), "{text:?} as a key");
            }
            let secret = outcome.state.secret_labelled("echo").expect("the secret is there");
            assert_eq!(secret.text("text"), Some(text.clone()));
        }
    }
}

#[test]
fn a_second_hook_writes_neither_databag_nor_secret_again() {
    let context = context(JujuVersion::V3_6);
    let first = context.run(&Event::config_changed(), &state("a: b\n")).success();
    let again = context.run(&Event::config_changed(), &first).expect_success();
    assert_eq!(again.calls_of("relation-set").count(), 0, "{}", again.report());
    assert_eq!(again.calls_of("secret-add").count(), 0, "the label was there: {}", again.report());
    assert_eq!(again.state, first);
}

#[test]
fn no_text_of_a_secret_stands_in_an_argument_or_in_a_file_that_stays() {
    let context = context(JujuVersion::V3_6);
    let outcome = context.run(&Event::config_changed(), &state("hunter2")).expect_success();
    for call in outcome.calls.iter().filter(|call| call.invocation.name.starts_with("secret")) {
        assert!(!call.line().contains("hunter2"), "{}", call.line());
    }
    let left: Vec<_> =
        std::fs::read_dir(context.charm_dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("secret")), "{left:?}");
}

#[test]
fn every_text_arrives_as_the_result_of_an_action() {
    let context = context(JujuVersion::V3_6);
    for text in hostile().into_iter().filter(|text| text.len() < 100_000) {
        let outcome = context.run(&Event::action("echo").param("text", text.clone()), &state("")).expect_success();
        assert_eq!(outcome.action.unwrap().results["text"], text.as_str());
    }
}

#[test]
fn a_secret_is_read_whole_and_the_reasons_why_not_are_told_apart() {
    let bytes = vec![0, 159, 146, 150, b'\n', b'x'];
    let id = "9m4e2mr0ui3e8a215n4g";
    let context = context(JujuVersion::V3_6);
    let status = |state: State| context.run(&Event::config_changed(), &state).success().unit_status;
    let asking = || state("").config("secret", format!("secret:{id}"));
    let granted = || Secret::user(id, "echo");
    assert_eq!(status(asking().secret(granted().revision([("value", bytes)]))), Status::active("6 bytes"));
    assert_eq!(status(asking().secret(granted().revision([("other", "x")]))), Status::blocked("no key"));
    assert_eq!(status(asking().secret(granted().revision([("value", "x")]).revoked())), Status::blocked("not granted"));
    assert_eq!(status(asking()), Status::blocked("not found"));
}
