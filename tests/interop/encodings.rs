//! Texts that nobody should write: what ops writes is read by charm-core, and the other way round, as it was.

use std::collections::BTreeMap;
use std::path::Path;

use charm_tests::hostile;
use charm_tests::juju::state::{Bag, new_secret_id};
use charm_tests::juju::{Context, Event, JujuVersion, Metadata, Relation, State};
use charm_tests::programs;
use serde_json::{Value, json};

use crate::compare::assert_same;
use crate::python::{Ops, PythonCharm};

const PEER: u32 = 3;
/// The most that one word of a command may be long, which is how ops tells the results of an action.
const LONGEST_WORD: usize = 100_000;

/// The texts that the database of a controller can hold, by a name that is a label and a key.
fn texts() -> BTreeMap<String, String> {
    let fit = hostile::texts().into_iter().filter(|text| !text.text.contains('\0'));
    fit.enumerate().map(|(number, text)| (format!("text-{number}"), text.text)).collect()
}

fn metadata() -> Metadata {
    Metadata::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/core/charmcraft.yaml")).unwrap()
}

fn related() -> State {
    State::machine().relation(Relation::peer(PEER, "peer", "echo"))
}

/// A charm of charm-core that writes the text in its option.
fn echo(version: JujuVersion) -> Context {
    Context::with_metadata(metadata(), programs::built("echo-charm"), programs::hook_command()).unwrap().juju(version)
}

fn everywhere(mut test: impl FnMut(&PythonCharm, JujuVersion)) {
    for ops in Ops::ALL {
        let charm = PythonCharm::new(ops, "encodings.py", metadata()).given(&json!(texts()));
        for version in [JujuVersion::V3_6, JujuVersion::V4_1] {
            println!("{ops:?} on Juju {version}");
            test(&charm, version);
        }
    }
}

/// A text of which the older generation of ops writes more than the newer one.
fn is_beyond_ops(ops: Ops, text: &str) -> bool {
    // It writes JSON, in which Python parts such a character in two, and Juju reads YAML, in which no half is one.
    ops == Ops::Three && text.chars().any(|letter| letter > '\u{ffff}')
}

#[test]
#[ignore = "needs the Python libraries: make interop"]
fn what_ops_writes_arrives_as_it_was_and_is_nothing_new_to_charm_core() {
    everywhere(|charm, version| {
        let outcome = charm.context().juju(version).run(&Event::config_changed(), &related()).expect_success();
        let (report, echo) = (charm.report(), echo(version));
        for (name, text) in texts() {
            let written = &outcome.state.relation_by_id(PEER).local_unit_data;
            if is_beyond_ops(charm.ops(), &text) {
                let problem = json!("ModelError: ERROR yaml: found invalid Unicode character escape code\n");
                assert_eq!((&report[&name]["value"], &report[&name]["key"]), (&problem, &problem));
                continue;
            }
            let secret = outcome.state.secret_labelled(&name).and_then(|secret| secret.text("text"));
            let too_large = text.len() >= 1 << 20;
            assert_eq!(secret, Some(text.clone()).filter(|_| !too_large), "{name}");
            assert_eq!(report[&name]["secret"].is_string(), too_large, "{}", report[&name]);

            // What stands there already is not written again, if it was read as it is.
            let as_key = (text.len() < 1_000).then(|| (text.clone(), written[&text].clone()));
            let bag: Bag = [("text".to_owned(), written[&name].clone())].into_iter().chain(as_key).collect();
            assert_eq!(bag["text"], text);
            let mut state = related().config("text", text.as_str());
            state.relation_by_id_mut(PEER).local_unit_data.extend(bag);
            if !too_large {
                let outcome = echo.run(&Event::config_changed(), &state).expect_success();
                assert_eq!(outcome.calls_of("relation-set").count(), 0, "{name}: {}", outcome.report());
            }
        }
    });
}

#[test]
#[ignore = "needs the Python libraries: make interop"]
fn what_charm_core_writes_is_read_by_ops_as_it_was() {
    everywhere(|charm, version| {
        let mut all = related();
        let mut expected = json!({"bag": {}, "secrets": {}});
        let echo = echo(version);
        for (name, text) in texts().into_iter().filter(|(_, text)| text.len() < 1 << 20) {
            let state = echo.run(&Event::config_changed(), &related().config("text", text.as_str())).success();
            let mut bag = state.relation_by_id(PEER).local_unit_data.clone();
            bag.insert(name.clone(), bag["text"].clone());
            all.relation_by_id_mut(PEER).local_unit_data.extend(bag);
            let mut secret = state.secret_labelled("echo").unwrap().clone().label(&name);
            secret.id = new_secret_id(&name, 0);
            all.secrets.push(secret);
            expected["bag"][&name] = json!(text);
            if text.len() < 1_000 {
                expected["bag"][&text] = json!("key");
            }
            expected["secrets"][name] = json!(text);
        }
        let names: Value = expected["secrets"].clone();
        let charm = PythonCharm::new(charm.ops(), "encodings.py", metadata()).given(&names);
        charm.context().juju(version).run(&Event::update_status(), &all).expect_success();
        let mut report = charm.report();
        // What Juju itself writes, and what the last text has left there.
        let bag = report["bag"].as_object_mut().unwrap();
        bag.retain(|key, _| expected["bag"].get(key).is_some());
        assert_same(&report, &expected);
    });
}

#[test]
#[ignore = "needs the Python libraries: make interop"]
fn actions_of_ops_and_of_charm_core_hand_on_every_text() {
    everywhere(|charm, version| {
        let short = texts().into_iter().filter(|(_, text)| text.len() < LONGEST_WORD);
        let (mut event, mut expected) = (Event::action("echo"), BTreeMap::new());
        for (name, text) in short {
            event = event.param(&name, text.as_str());
            expected.insert(name, text);
        }
        let expected = json!(expected);
        for context in [charm.context().juju(version), echo(version)] {
            let outcome = context.run(&event, &related()).expect_success();
            let mut results = outcome.action.as_ref().unwrap().results.clone();
            results.retain(|key, _| key.starts_with("text-"));
            assert_same(&json!(results), &expected);
        }
        assert_same(&charm.report(), &expected);
    });
}
