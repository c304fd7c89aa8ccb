//! The same charm of ops on the same states, in ops-scenario and in the harness.
//!
//! Both claim to play Juju, so where they agree on what a charm reads and on what it leaves behind, neither has made it
//! up.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use charm_tests::juju::state::{Access, OpenedPort};
use charm_tests::juju::{Event, JujuVersion, Metadata, Network, Outcome, Owner, Secret, State, Status};
use serde_json::{Map, Value, json};

use crate::compare::assert_same;
use crate::everything::{APP, DB, OWN, REVOKED, SUPERFLUOUS, TOKEN, UNIT, WEB, charm, full, own, related};
use crate::python::{Ops, PythonCharm};

/// One hook, for both.
struct Case {
    about: &'static str,
    /// The event, and the same in the words of ops-scenario.
    event: (Event, Value),
    state: State,
}

/// What both can play: ops-scenario decides itself where storage is, and knows no revisions of an own secret.
fn shared() -> State {
    let mut state = full().config("share", 0.25);
    state.secrets.retain(|secret| secret.id != OWN);
    state.secrets.push(own(OWN, "own").revision([("key", "one")]));
    state.storages.clear();
    state.credential = None;
    state.opened_ports = [OpenedPort::tcp(443), OpenedPort::tcp(80)].into();
    state
}

fn to_be_written() -> State {
    let mut revoked = own(REVOKED, "revoked").revision([("key", "zero")]);
    revoked.access.insert(Access { target: "postgres".into(), relation: Some(DB) });
    shared().config("do", "write").secret(own(SUPERFLUOUS, "superfluous").revision([("key", "x")])).secret(revoked)
}

/// An event that carries nothing.
fn plain(event: Event) -> (Event, Value) {
    let name = event.name(|_| String::new()).replace('-', "_");
    (event, json!({ "name": name }))
}

fn action(params: &Value) -> (Event, Value) {
    let given = params.as_object().unwrap().iter();
    let event = given.fold(Event::action("act"), |event, (key, value)| event.param(key, value.clone()));
    (event, json!({"name": "action", "action": "act", "params": params}))
}

fn cases() -> [Case; 10] {
    let case = |about, event, state| Case { about, event, state };
    let joined = json!({"name": "relation_joined", "relation": DB, "unit": 1});
    let changed = json!({"name": "relation_changed", "relation": WEB, "unit": 0});
    let secret = json!({"name": "secret_changed", "secret": format!("secret:{TOKEN}")});
    [
        case("a leader reads", plain(Event::config_changed()), shared()),
        case("a follower reads", plain(Event::config_changed()), related()),
        case("nothing is there", plain(Event::upgrade_charm()), State::machine()),
        case("a leader writes", plain(Event::config_changed()), to_be_written()),
        case("a follower writes", plain(Event::update_status()), State { leader: false, ..to_be_written() }),
        case("a unit joins", (Event::relation_joined(DB, "postgres/1"), joined), shared()),
        case("a unit changes", (Event::relation_changed(WEB, "proxy/0"), changed), shared()),
        case("a secret changes", (Event::secret_changed(TOKEN), secret), shared()),
        // Always with the text: ops-scenario does not fill in what the declaration says.
        case("an action", action(&json!({"text": "ü"})), related()),
        case("an action that fails", action(&json!({"text": "x", "fail": "no"})), related()),
    ]
}

/// What a hook has left behind, in the words of `in_scenario.py`.
fn left(outcome: &Outcome) -> Value {
    let state = &outcome.state;
    let relations = state.relations.iter().map(|relation| {
        (relation.id.to_string(), json!({"app": relation.local_app_data, "unit": relation.local_unit_data}))
    });
    let status = |status: &Status| json!([status.name, status.message]);
    let mut ports = state.port_list();
    ports.sort();
    let log = outcome.log.iter().filter(|record| record.message.starts_with("at level"));
    let action = outcome.action.clone().unwrap_or_default();
    let results = action.results.iter().filter(|(key, _)| !["return-code", "stdout", "stderr"].contains(&key.as_str()));
    json!({
        "relations": relations.collect::<Map<_, _>>(),
        "statuses": [status(&state.unit_status), status(&state.app_status)],
        "ports": ports,
        "version": state.workload_version,
        "secrets": state.secrets.iter().map(secret).collect::<Map<_, _>>(),
        "storage": state.requested_storage,
        "log": log.map(|record| json!([record.level, record.message])).collect::<Vec<_>>(),
        "action": {
            "results": results.collect::<BTreeMap<_, _>>(),
            "log": action.log,
            "failure": Some(action.message).filter(|_| action.failed),
        },
    })
}

fn secret(secret: &Secret) -> (String, Value) {
    let mut grants = json!({});
    for Access { target, relation } in &secret.access {
        if let Some(relation) = relation {
            grants[relation.to_string()] = json!([target]);
        }
    }
    let owner = match secret.owner {
        Owner::Application(_) => json!("app"),
        Owner::Unit(_) => json!("unit"),
        Owner::Model => json!(null),
    };
    let content = secret.latest_content().unwrap();
    let content = content.iter().map(|(key, value)| (key.clone(), json!(String::from_utf8_lossy(value))));
    // The reader of somebody else's secret knows it by its own label.
    let label = match (&secret.owner, secret.consumers.get(UNIT)) {
        (Owner::Model, Some(consumer)) => &consumer.label,
        _ => &secret.label,
    };
    let value = json!({
        "owner": owner,
        "content": content.collect::<Map<_, _>>(),
        "description": secret.description,
        "rotate": if secret.rotate.is_empty() { "never" } else { &secret.rotate },
        "expire": secret.expire.as_ref().map(|time| time.replace('Z', "+00:00")),
        "grants": grants,
    });
    (label.clone(), value)
}

/// Every binding of the charm with the network that the harness gives it.
fn networks(state: &State) -> Value {
    let network = |name: &str| state.networks.get(name).cloned().unwrap_or_else(Network::usual_machine);
    ["db", "web", "crew", "admin", "juju-info"].map(|name| (name, json!(network(name)))).into_iter().collect()
}

/// Where ops-scenario answers what no Juju does.
fn corrected(mut theirs: Value, ops: Ops, state: &State) -> Value {
    if let Some(relations) = theirs["understood"].get_mut("relations").filter(|_| ops == Ops::Two && !state.leader) {
        // Juju 3.6 refuses a follower the bag of its own application, in other relations than those of peers.
        for relation in ["db", "web"] {
            for (_, seen) in relations[relation].as_object_mut().unwrap() {
                seen["data"][APP] = json!("ops.model.ModelError");
            }
        }
    }
    if let Some(own) = theirs["understood"].get_mut("own").filter(|own| own.is_object()) {
        // Juju names the policy that is none, and ops makes a long id of a short one as soon as it has the model's.
        own["rotation"] = json!("never");
        own["id"] = json!(format!("secret://{}/{OWN}", State::machine().model.uuid));
    }
    if let Some(number) = theirs.pointer_mut("/left/action/results/nested/deep/number") {
        // Every result is a text on the line of the command.
        *number = json!(number.to_string());
    }
    theirs
}

/// What ops-scenario makes of the cases.
fn in_ops_scenario(ops: Ops, version: JujuVersion, cases: &[Case]) -> Vec<Value> {
    let given = cases.iter().map(|Case { event, state, .. }| {
        json!({"juju": version.agent_version(), "event": event.1, "state": state, "networks": networks(state)})
    });
    let program = PythonCharm::new(ops, "in_scenario.py", Metadata::default()).given(&given.collect());
    let output = Command::new(program.dispatch()).stderr(Stdio::inherit()).output().unwrap();
    let all: Vec<Value> = serde_json::from_slice(&output.stdout).expect("ops-scenario has run every case");
    assert_eq!(all.len(), cases.len());
    all
}

#[test]
#[ignore = "needs the Python libraries: make interop"]
fn the_harness_and_ops_scenario_agree() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle.tar");
    fs::write(&bundle, "a bundle").unwrap();
    let cases = cases().map(|case| Case { state: case.state.resource("bundle", &bundle), ..case });
    let version = JujuVersion::V3_6;
    for ops in Ops::ALL {
        let charm = charm(ops);
        for (case, theirs) in cases.iter().zip(in_ops_scenario(ops, version, &cases)) {
            println!("{ops:?}: {}", case.about);
            let outcome = charm.context().juju(version).run(&case.event.0, &case.state).expect_success();
            let ours = json!({"understood": charm.report(), "left": left(&outcome)});
            assert_same(&ours, &corrected(theirs, ops, &case.state));
        }
    }
}
