//! A real charm of ops among the played hook commands: what it understands of them, and what it does with them.

use std::fs;

use charm_tests::juju::state::{Access, OpenedPort};
use charm_tests::juju::{Event, Exit, JujuVersion, Owner, Secret, State, Status};
use serde_json::{Value, json};

use crate::compare::assert_same;
use crate::everything::{
    APP, DB, OWN, REMOTE_MODEL, REVOKED, SUPERFLUOUS, TOKEN, UNIT, WEB, bag, everywhere, full, own, related,
};
use crate::python::Ops;

fn network(address: &str) -> Value {
    json!({
        "bind": address, "ingress": address, "egress": [format!("{address}/32")],
        "interfaces": [["eth0", address, "192.0.2.0/24"]],
    })
}

#[test]
#[ignore = "needs the Python libraries: make interop"]
fn ops_reads_everything_as_the_state_has_it() {
    everywhere(|charm, context| {
        let file = context.root().join("bundle.tar");
        fs::write(&file, "a bundle").unwrap();
        context.run(&Event::config_changed(), &full().resource("bundle", file)).expect_success();
        let usual = network("192.0.2.10");
        let model = "5f1d8a4e-0c0b-4c5e-9a53-3d8b1a7c2e10";
        let expected = json!({
            "event": {"kind": "ConfigChangedEvent"},
            "stored": [1, null],
            "app": APP,
            "unit": UNIT,
            "leader": true,
            "model": ["test-model", model],
            "config": {
                "do": "read", "text": "ü: 'x'\n", "number": -3, "flag": false,
                // Juju writes its numbers as Go does: a whole one loses its point.
                "share": 1,
                "token": format!("secret:{TOKEN}"),
            },
            "relations": {
                "crew": {"1": {
                    "app": APP,
                    "units": ["everything/1"],
                    "address": "192.0.2.10",
                    "model": model,
                    "data": {
                        APP: {"who": "all"},
                        UNIT: bag("192.0.2.10", &[]),
                        "everything/1": {"answer": "42"},
                    },
                }},
                "db": {"2": {
                    "app": "postgres",
                    "units": ["postgres/0", "postgres/1"],
                    "address": "198.51.100.7",
                    "model": model,
                    "data": {
                        APP: {"gone": "x"},
                        UNIT: bag("192.0.2.10", &[("gone", "x")]),
                        "postgres": {"json": "{\"a\": \"\\u00fc\"}"},
                        "postgres/0": bag("192.0.2.100", &[("host", "db-0 ü")]),
                        "postgres/1": bag("192.0.2.101", &[]),
                    },
                }},
                "web": {"3": {
                    "app": "proxy",
                    "units": ["proxy/0"],
                    "model": REMOTE_MODEL,
                    "address": "192.0.2.10",
                    "data": {
                        APP: {},
                        UNIT: bag("192.0.2.10", &[]),
                        "proxy": {},
                        "proxy/0": bag("192.0.2.100", &[]),
                    },
                }},
            },
            "networks": {
                "crew": usual, "web": usual, "admin": usual, "juju-info": usual,
                "db": {
                    "bind": "198.51.100.7", "ingress": "db.example", "egress": ["198.51.100.0/28", "2001:db8::/64"],
                    "interfaces": [["eth0", "198.51.100.7", "198.51.100.0/24"]],
                },
            },
            "ports": [["icmp", null], ["tcp", 443]],
            "planned units": 2,
            "resource": "a bundle",
            "storages": {"data": [[3, "/srv/data/3"], [4, "/srv/data/4"]]},
            "status": ["waiting", "for 'x'"],
            "app status": ["blocked", "because ü"],
            "token": {
                "id": format!("secret:{TOKEN}"), "label": "token",
                "content": {"value": "first"}, "latest": {"value": "second\n"},
            },
            "own": {
                "id": format!("secret://{model}/{OWN}"), "label": "own", "revision": 2, "expires": null, "rotation": "never",
                "description": null, "content": {"key": "one"},
            },
            "cloud": {
                "type": "lxd", "name": "localhost", "region": "default", "endpoint": "192.0.2.1",
                "auth": "certificate", "attributes": {"client-cert": "a\nb"}, "certificates": ["c"],
            },
        });
        assert_same(&charm.report(), &expected);
    });
}

/// The state in which the charm has something to change.
fn to_be_changed() -> State {
    let mut revoked = own(REVOKED, "revoked").revision([("key", "zero")]).revision([("key", "one")]);
    revoked.access.insert(Access { target: "postgres".into(), relation: Some(DB) });
    let mut state =
        full().config("do", "write").secret(own(SUPERFLUOUS, "superfluous").revision([("key", "x")])).secret(revoked);
    // One to be kept and one to be closed. ops has no names for ranges, and for ICMP none that it could close.
    state.opened_ports = [OpenedPort::tcp(443), OpenedPort::tcp(80)].into();
    state
}

#[test]
#[ignore = "needs the Python libraries: make interop"]
fn what_ops_writes_is_what_the_state_has_afterwards() {
    everywhere(|charm, context| {
        let outcome = context.run(&Event::config_changed(), &to_be_changed()).expect_success();
        assert_eq!(charm.report()["event"]["kind"], "ConfigChangedEvent");
        assert_databags(&outcome.state);
        assert_secrets(&outcome.state);
        assert_eq!(outcome.state.unit_status, Status::blocked("db: 'wait' – \"ü\""));
        assert_eq!(outcome.state.app_status, Status::active("the application"));
        let statuses: Vec<String> = outcome.statuses.iter().map(|change| change.status.name.clone()).collect();
        assert_eq!(statuses, ["active", "maintenance", "blocked"]);
        assert_eq!(outcome.state.workload_version, "1.2.3-ü");
        assert_eq!(outcome.state.port_list(), ["80/tcp", "53/udp"]);
        assert_eq!(outcome.state.requested_storage, [("data".to_owned(), 2)].into());
        let said = outcome.log.iter().filter(|record| record.message.starts_with("at level"));
        let said: Vec<(&str, &str)> = said.map(|record| (record.level.as_str(), record.message.as_str())).collect();
        let line = |level: u32| format!("at level {level}: -- 'x'\n\"ü\"");
        let lines = [10, 20, 30, 40].map(line);
        let levels = ["DEBUG", "INFO", "WARNING", "ERROR"];
        assert_eq!(said, levels.into_iter().zip(lines.iter().map(String::as_str)).collect::<Vec<_>>());
    });
}

fn assert_databags(state: &State) {
    let db = state.relation_by_id(DB);
    assert_eq!(db.local_app_data, [("json".to_owned(), "{\"a\": \"ü \\u2603\"}".to_owned())].into());
    assert_same(&json!(db.local_unit_data), &bag("192.0.2.10", &[("plain", "a=b c")]));
    assert_eq!(state.relation_by_id(WEB), to_be_changed().relation_by_id(WEB));
}

fn assert_secrets(state: &State) {
    let text = |secret: &Secret, key: &str| secret.text(key).unwrap();
    let shared = state.secret_labelled("shared").unwrap();
    assert_eq!(shared.owner, Owner::Application(APP.into()));
    assert_eq!((text(shared, "user-name"), text(shared, "password")), ("ü\n".into(), "-- 'x' \"y\"".into()));
    assert_eq!((shared.description.as_str(), shared.rotate.as_str()), ("what it is for", "monthly"));
    assert_eq!(shared.expire.as_deref(), Some("2042-05-17T12:30:00Z"));
    assert_eq!(shared.access, [Access { target: "postgres".into(), relation: Some(DB) }].into());

    let own = state.secret_labelled("own").unwrap();
    assert_eq!((own.latest(), text(own, "key").as_str()), (3, "second"));
    assert_eq!((own.description.as_str(), own.rotate.as_str()), ("described later", "never"));
    assert_eq!(own.access, [Access { target: "proxy/0".into(), relation: Some(WEB) }].into());

    assert_eq!(state.secret_labelled("superfluous"), None);
    let revoked = state.secret_labelled("revoked").unwrap();
    assert!(revoked.access.is_empty());
    assert_eq!(revoked.revisions.keys().collect::<Vec<_>>(), [&2]);
    let private = state.secret_labelled("private").unwrap();
    assert_eq!((&private.owner, text(private, "key").as_str()), (&Owner::Unit(UNIT.into()), "of the unit"));
}

#[test]
#[ignore = "needs the Python libraries: make interop"]
fn a_failing_charm_of_ops_leaves_nothing_that_juju_would_not() {
    everywhere(|_, context| {
        // Without the secrets it expects, the charm fails after it has written everything else.
        let before = related().leader(true).config("do", "write");
        let outcome = context.run(&Event::config_changed(), &before);
        assert_eq!(outcome.exit, Exit::Code(1), "{}", outcome.report());
        assert_eq!(outcome.state.relations, before.relations);
        assert!(outcome.state.secrets.is_empty() && outcome.state.opened_ports.is_empty());
        assert_eq!(outcome.state.charm_state, before.charm_state);
        assert_eq!(outcome.state.app_status, Status::active("the application"), "a status is not taken back");
        let told = outcome.log.iter().any(|record| record.message.contains("SecretNotFoundError"));
        assert!(told, "{}", outcome.report());
    });
}

#[test]
#[ignore = "needs the Python libraries: make interop"]
fn ops_takes_each_refusal_for_what_it_is() {
    everywhere(|charm, context| {
        let denied = Secret::user(TOKEN, "somebody").revision([("value", "x")]);
        let state = related().config("do", "refused").config("token", format!("secret:{TOKEN}")).secret(denied);
        context.run(&Event::config_changed(), &state).expect_success();
        // Where Juju refuses by itself, the older generation lets it. Juju 4 shows that bag to everybody.
        let own_bag = match (charm.ops(), context.unit().juju) {
            (Ops::Two, JujuVersion::V3_6) => "ops.model.ModelError",
            _ => "ops.model.RelationDataAccessError",
        };
        let expected = json!({
            "event": {"kind": "ConfigChangedEvent"},
            "stored": [1, null],
            "no such secret": "ops.model.SecretNotFoundError",
            "no such label": "ops.model.SecretNotFoundError",
            "a secret without a grant": "ops.model.ModelError",
            "an app's bag that only the leader reads": own_bag,
            "an app's bag that only the leader writes": own_bag,
            "a bag of nobody": {},
            "units of nobody": [],
            "network of nobody": "ops.model.ModelError",
            "a resource that is not attached": "ops.model.ModelError",
            "a cloud without trust": "ops.model.ModelError",
            "a status of the application": "builtins.RuntimeError",
            "a port on two protocols": "ops.model.ModelError",
            "a storage that is not declared": "ops.model.ModelError",
            "a secret of the application": "ops.model.ModelError",
        });
        assert_same(&charm.report(), &expected);
    });
}

#[test]
#[ignore = "needs the Python libraries: make interop"]
fn a_relation_that_the_controller_has_forgotten_is_none_to_ops() {
    everywhere(|charm, context| {
        let mut state = related().leader(true);
        state.relation_by_id_mut(WEB).forgotten = true;
        let version = context.unit().juju;
        context.run(&Event::config_changed(), &state).expect_success();
        let (refused, gone) = (json!("ops.model.ModelError"), json!({}));
        // Only the newer generation knows both words that Juju has for it.
        let (local, remote) = match (charm.ops(), version) {
            (Ops::Three, _) => (&gone, &gone),
            (Ops::Two, JujuVersion::V3_6) => (&refused, &refused),
            (Ops::Two, _) => (&refused, &gone),
        };
        // Where it understands that the relation is gone, it asks for the endpoint instead.
        let address = match charm.ops() {
            Ops::Three => "192.0.2.10",
            Ops::Two => "ops.model.ModelError",
        };
        let expected = json!({
            "app": "proxy",
            // As of the begin of the hook.
            "units": ["proxy/0"],
            "model": REMOTE_MODEL,
            "address": address,
            "data": {APP: local, UNIT: local, "proxy": remote, "proxy/0": remote},
        });
        assert_same(&charm.report()["relations"]["web"]["3"], &expected);
    });
}

#[test]
#[ignore = "needs the Python libraries: make interop"]
fn ops_keeps_what_it_stores_in_juju() {
    everywhere(|charm, context| {
        let first = context.run(&Event::install(), &related()).success();
        assert_eq!(charm.report()["stored"], json!([1, null]));
        assert!(first.charm_state.as_ref().is_some_and(|state| !state.is_empty()));
        let second = context.run(&Event::config_changed(), &first).success();
        assert_eq!(charm.report()["stored"], json!([2, "InstallEvent"]));
        context.run(&Event::update_status(), &second).expect_success();
        assert_eq!(charm.report()["stored"], json!([3, "ConfigChangedEvent"]));
    });
}

#[test]
#[ignore = "needs the Python libraries: make interop"]
fn a_reboot_comes_after_the_hook() {
    everywhere(|_, context| {
        let outcome = context.run(&Event::config_changed(), &related().config("do", "reboot"));
        assert_eq!(outcome.error.as_deref(), Some("reboot after hook"), "{}", outcome.report());
    });
}

#[test]
#[ignore = "needs the Python libraries: make interop"]
fn an_action_of_ops_tells_its_user_everything() {
    everywhere(|charm, context| {
        let event = Event::action("act").param("many", json!([1, {"a": null}])).param("other", "-- ü");
        let outcome = context.run(&event, &related()).expect_success();
        let text = "what the declaration says";
        let report = charm.report();
        let params = json!({"text": text, "many": [1, {"a": null}], "other": "-- ü"});
        assert_same(&report["event"], &json!({"kind": "ActionEvent", "has an id": true, "params": params}));
        let action = outcome.action.unwrap();
        assert_eq!((action.status(), action.log.as_slice()), ("completed", &["on its way: -- 'x' ü".to_owned()][..]));
        assert_eq!(action.results["text"], text);
        assert_eq!(action.results["nested"], json!({"deep": {"number": "1"}, "flat": "=a=b"}));

        // The older generation takes such a text for an option of the command.
        let fails = if charm.ops() == Ops::Two { "no -- 'no' ü" } else { "-- 'no' ü" };
        let outcome = context.run(&Event::action("act").param("fail", fails), &related());
        let action = outcome.action.unwrap();
        assert_eq!((action.status(), action.message.as_str()), ("failed", fails));
        assert_eq!(action.results["text"], text, "the results of a failed action are kept");
    });
}
