//! Commands about the unit's place in the world: `unit-get`, `goal-state`, `credential-get`, `resource-get`,
//! `juju-reboot`.

use std::collections::BTreeMap;

use super::{Failure, Outcome, Output, refused, usage};
use crate::juju::command::Invocation;
use crate::juju::encode::Value;
use crate::juju::flags::{Flag, Line, quote};
use crate::juju::hook::{Hook, Reboot};
use crate::juju::state::{Credential, Goal, GoalEntry};

pub const REBOOT_FLAGS: &[Flag] = &[Flag::switch(&["now"])];

/// An address of the unit.
pub fn unit_get(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    let Some(setting) = line.word(0) else {
        return usage("no setting specified");
    };
    let addresses = &hook.state.addresses;
    let (kind, address) = match setting {
        "private-address" => ("private", &addresses.private),
        "public-address" => ("public", &addresses.public),
        other => return usage(format!("unknown setting {}", quote(other))),
    };
    line.at_most(1).map_err(Failure::from)?;
    match address {
        Some(address) => Ok(Output::Value(Value::text(address))),
        None => refused(format!("{kind} address not found")),
    }
}

/// The path of a resource, without a newline.
pub fn resource_get(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    let Some(name) = line.word(0) else {
        return usage("missing required resource name");
    };
    line.at_most(1).map_err(Failure::from)?;
    match hook.state.resources.get(name) {
        Some(path) => Ok(Output::Raw(path.to_string_lossy().into_owned().into_bytes())),
        None => refused(format!("could not download resource: resource#{}/{name} not found", hook.unit.app)),
    }
}

/// What the model is to become.
pub fn goal_state(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    line.at_most(0).map_err(Failure::from)?;
    let goal = hook.state.goal.clone().unwrap_or_else(|| made_up_goal(hook));
    let relations = goal.relations.iter().map(|(endpoint, entries)| (endpoint.clone(), entries_value(entries)));
    Ok(Output::Value(Value::Fields(vec![
        ("units", entries_value(&goal.units)),
        ("relations", Value::Map(relations.collect())),
    ])))
}

fn entries_value(entries: &BTreeMap<String, GoalEntry>) -> Value {
    let entry = |entry: &GoalEntry| {
        Value::Fields(vec![("status", Value::text(&entry.status)), ("since", Value::Stamp(entry.since.clone()))])
    };
    Value::Map(entries.iter().map(|(name, each)| (name.clone(), entry(each))).collect())
}

/// The goal of a model that has reached it.
fn made_up_goal(hook: &Hook) -> Goal {
    let entry = |status: &str| GoalEntry { status: status.into(), since: "2026-01-01 10:00:00Z".into() };
    let mut goal = Goal::default();
    goal.units.insert(hook.unit.name(), entry(&hook.state.unit_status.name));
    for (name, status) in &hook.state.other_units {
        goal.units.insert(name.clone(), entry(&status.name));
    }
    for relation in hook.state.relations.iter().filter(|relation| !hook.is_peer(relation)) {
        let entries = goal.relations.entry(relation.endpoint.clone()).or_default();
        entries.insert(relation.remote_app.clone(), entry("joined"));
        for unit in relation.remote_units.keys() {
            entries.insert(unit.clone(), entry("active"));
        }
    }
    goal
}

/// The credential of the cloud, with trust only.
pub fn credential_get(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    line.at_most(0).map_err(Failure::from)?;
    if hook.on_kubernetes() {
        return refused(
            "cannot access cloud credentials: reading in-cluster config: unable to load in-cluster configuration, \
             KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be defined",
        );
    }
    match &hook.state.credential {
        Some(credential) => Ok(Output::Both { json: credential_json(credential), yaml: credential_yaml(credential) }),
        None => refused("cannot access cloud credentials: permission denied"),
    }
}

fn credential_json(credential: &Credential) -> Value {
    let Credential { cloud: [kind, name, region, endpoint], auth_type, attributes, ca_certificates } = credential;
    Value::Fields(vec![
        ("type", Value::text(kind)),
        ("name", Value::text(name)),
        ("region", Value::text(region)),
        ("endpoint", Value::text(endpoint)),
        ("credential", Value::Fields(vec![("auth-type", Value::text(auth_type)), ("attrs", Value::bag(attributes))])),
        ("cacertificates", Value::texts(ca_certificates)),
    ])
}

/// Without names of its own for YAML, Go makes them of its field names and shows every field.
fn credential_yaml(credential: &Credential) -> Value {
    let Credential { cloud: [kind, name, region, endpoint], auth_type, attributes, ca_certificates } = credential;
    Value::Fields(vec![
        ("type", Value::text(kind)),
        ("name", Value::text(name)),
        ("region", Value::text(region)),
        ("endpoint", Value::text(endpoint)),
        ("identityendpoint", Value::text("")),
        ("storageendpoint", Value::text("")),
        (
            "credential",
            Value::Fields(vec![
                ("authtype", Value::text(auth_type)),
                ("attributes", Value::bag(attributes)),
                ("redacted", Value::List(Vec::new())),
            ]),
        ),
        ("cacertificates", Value::texts(ca_certificates)),
        ("skiptlsverify", Value::Bool(false)),
        ("iscontrollercloud", Value::Bool(false)),
    ])
}

/// Asks for a reboot after the hook, or at once, which kills the hook.
pub fn reboot(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    line.at_most(0).map_err(Failure::from)?;
    if hook.action.is_some() {
        return refused("juju-reboot is not supported when running an action.");
    }
    if !line.is_on("now") {
        hook.reboot = Some(Reboot::After);
        return Ok(Output::None);
    }
    hook.reboot = Some(Reboot::Now);
    if hook.has_process { Ok(Output::None) } else { refused("no process to kill") }
}
