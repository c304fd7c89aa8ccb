//! Every kind of hook, as ops understands it.

use std::fs;

use charm_tests::juju::state::{Owner, Storage};
use charm_tests::juju::{Event, JujuVersion, Metadata, Network, Relation, Secret, State};
use serde_json::{Value, json};

use crate::compare::assert_same;
use crate::everything::{DB, OWN, TOKEN, UNIT, WEB, everywhere, own, related};
use crate::python::{Ops, PythonCharm, source};

const MODEL: &str = "5f1d8a4e-0c0b-4c5e-9a53-3d8b1a7c2e10";

fn relation_event(kind: &str, relation: &str, unit: Option<&str>) -> Value {
    let app = if relation.starts_with("db") { "postgres" } else { "proxy" };
    json!({"kind": format!("Relation{kind}Event"), "relation": relation, "app": app, "unit": unit})
}

fn with(mut event: Value, key: &str, value: impl Into<Value>) -> Value {
    event[key] = value.into();
    event
}

/// The events that carry nothing but their name.
fn plain() -> Vec<(Event, Value)> {
    [
        (Event::install(), "InstallEvent"),
        (Event::start(), "StartEvent"),
        (Event::config_changed(), "ConfigChangedEvent"),
        (Event::upgrade_charm(), "UpgradeCharmEvent"),
        (Event::update_status(), "UpdateStatusEvent"),
        (Event::leader_elected(), "LeaderElectedEvent"),
        (Event::stop(), "StopEvent"),
        (Event::remove(), "RemoveEvent"),
    ]
    .map(|(event, name)| (event, json!({ "kind": name })))
    .into()
}

fn of_relations() -> Vec<(Event, Value)> {
    let gone = relation_event("Departed", "db:2", Some("postgres/0"));
    vec![
        (Event::relation_created(DB), relation_event("Created", "db:2", None)),
        (Event::relation_joined(DB, "postgres/0"), relation_event("Joined", "db:2", Some("postgres/0"))),
        (Event::relation_changed(DB, "postgres/1"), relation_event("Changed", "db:2", Some("postgres/1"))),
        (Event::relation_changed_by_app(WEB), relation_event("Changed", "web:3", None)),
        (Event::relation_departed(DB, "postgres/0"), with(gone.clone(), "departing", "postgres/0")),
        (Event::relation_departed_self(DB, "postgres/0", UNIT), with(gone, "departing", UNIT)),
    ]
}

fn of_secrets_and_storage() -> Vec<(Event, Value)> {
    let owned =
        |kind: &str| json!({"kind": format!("Secret{kind}Event"), "secret": format!("secret:{OWN}"), "label": "own"});
    let read = json!({"kind": "SecretChangedEvent", "secret": format!("secret:{TOKEN}"), "label": "token"});
    let storage =
        |kind: &str| json!({"kind": format!("Storage{kind}Event"), "storage": "data/3", "location": "/srv/data/3"});
    vec![
        (Event::secret_changed(TOKEN), read),
        (Event::secret_rotate(OWN), owned("Rotate")),
        (Event::secret_remove(OWN, 1), with(owned("Remove"), "revision", 1)),
        (Event::secret_expired(OWN, 2), with(owned("Expired"), "revision", 2)),
        (Event::storage_attached("data/3"), storage("Attached")),
        (Event::storage_detaching("data/3"), storage("Detaching")),
    ]
}

#[test]
#[ignore = "needs the Python libraries: make interop"]
fn ops_understands_every_hook() {
    let mut secret = own(OWN, "own").revision([("key", "zero")]).revision([("key", "one")]);
    secret.owner = Owner::Unit(UNIT.into());
    let token = Secret::user(TOKEN, "everything").revision([("value", "first")]).tracked(UNIT, 1, "token");
    let storage = Storage { id: "data/3".into(), kind: "filesystem".into(), location: "/srv/data/3".into() };
    let state = related().leader(true).secret(secret).secret(token).storage(storage);
    everywhere(|charm, context| {
        for (event, expected) in plain().into_iter().chain(of_relations()).chain(of_secrets_and_storage()) {
            context.run(&event, &state).expect_success();
            assert_same(&charm.report()["event"], &expected);
        }
    });
}

#[test]
#[ignore = "needs the Python libraries: make interop"]
fn a_broken_relation_is_none_any_more_to_ops() {
    everywhere(|charm, context| {
        let mut state = related().leader(true);
        let broken = state.relation_by_id(DB).clone().broken();
        *state.relation_by_id_mut(DB) = broken;
        context.run(&Event::relation_broken(DB), &state).expect_success();
        let report = charm.report();
        let expected = with(relation_event("Broken", "db:2", None), "active", false);
        assert_same(&report["event"], &expected);
        assert_eq!(report["relations"]["db"], json!({}));
    });
}

/// A charm with a container, on each release.
fn in_pods(mut test: impl FnMut(&PythonCharm, JujuVersion)) {
    let declared = fs::read_to_string(source("everything.yaml")).unwrap();
    let metadata = Metadata::parse(&format!("{declared}containers: {{ main: {{}} }}\n")).unwrap();
    for ops in Ops::ALL {
        let charm = PythonCharm::new(ops, "everything.py", metadata.clone());
        for version in JujuVersion::ALL {
            test(&charm, version);
        }
    }
}

fn of_containers() -> Vec<(Event, Value)> {
    let main = |kind: &str| json!({"kind": format!("Pebble{kind}Event"), "container": "main"});
    let notice = with(main("CustomNotice"), "notice", json!(["123", "NoticeType.CUSTOM", "example.com/key"]));
    vec![
        (Event::pebble_ready("main"), main("Ready")),
        (Event::pebble_custom_notice("main", "123", "example.com/key"), notice),
        (Event::pebble_check_failed("main", "up"), with(main("CheckFailed"), "check", "up")),
        (Event::pebble_check_recovered("main", "up"), with(main("CheckRecovered"), "check", "up")),
    ]
}

#[test]
#[ignore = "needs the Python libraries: make interop"]
fn ops_understands_every_hook_of_a_container() {
    in_pods(|charm, version| {
        for (event, expected) in of_containers() {
            charm.context().juju(version).run(&event, &State::kubernetes()).expect_success();
            assert_same(&charm.report()["event"], &expected);
        }
    });
}

#[test]
#[ignore = "needs the Python libraries: make interop"]
fn ops_finds_the_addresses_of_a_pod() {
    in_pods(|charm, version| {
        let state = State::kubernetes()
            .relation(Relation::new(DB, "db", "postgres").remote_unit(0))
            .network("admin", Network::pod("10.1.0.7", "10.152.183.7").pending());
        charm.context().juju(version).run(&Event::config_changed(), &state).expect_success();
        let report = charm.report();
        assert_eq!(report["model"], json!(["test-model", MODEL]));
        if version == JujuVersion::V4_1 {
            // The first address of a pod is its name then, which no generation of ops can take for a network.
            assert_eq!(report["networks"]["db"], "builtins.ValueError");
            return;
        }
        let (network, pending) = (&report["networks"]["db"], &report["networks"]["admin"]);
        assert_eq!((&network["ingress"], &network["egress"]), (&json!("10.152.183.10"), &json!(["10.152.183.10/32"])));
        assert_eq!((&pending["ingress"], &pending["egress"]), (&json!(null), &json!([])));
        assert_eq!(pending["bind"], "10.1.0.7");
        let bind = json!("10.1.0.10");
        assert_eq!((&network["bind"], &report["relations"]["db"]["2"]["address"]), (&bind, &bind));
    });
}
