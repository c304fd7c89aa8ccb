//! `relation-get`: one databag, or one key of it.

use super::words::{is_application, is_unit, relation};
use super::{Failure, Outcome, Output, refused, usage};
use crate::juju::command::Invocation;
use crate::juju::encode::Value;
use crate::juju::flags::{Line, quote};
use crate::juju::hook::Hook;
use crate::juju::state::{Bag, Relation};
use crate::juju::version::JujuVersion;

/// Whose bag is read.
enum Target {
    App(String),
    Unit(String),
    /// A name that is neither, which shows only when it is used.
    Neither,
}

/// Reads a bag. Reading the own unit bag marks it for the commit.
pub fn get(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    let relation = relation(hook, line)?.clone();
    let target = target(hook, &relation, line)?;
    line.at_most(2).map_err(Failure::from)?;
    let bag = match target {
        Target::Neither => return refused("\"\" is not a valid unit or application"),
        Target::Unit(name) => unit_bag(hook, &relation, &name)?,
        Target::App(name) => app_bag(hook, &relation, &name)?,
    };
    let shown = |value: &String| !value.is_empty();
    Ok(Output::Value(match line.word(0) {
        None | Some("" | "-") => Value::bag(bag.iter().filter(|(_, value)| shown(value))),
        Some(key) => bag.get(key).filter(|value| shown(value)).map_or(Value::Null, Value::text),
    }))
}

fn target(hook: &Hook, relation: &Relation, line: &Line) -> Result<Target, Failure> {
    let of_app = line.is_on("app");
    let Some(name) = line.word(1) else {
        return default_target(hook, relation, of_app);
    };
    match (of_app, is_unit(name), is_application(name)) {
        (true, true, _) => Ok(Target::App(name.split('/').next().unwrap_or(name).into())),
        (true, false, true) => Ok(Target::App(name.into())),
        (true, false, false) => Ok(Target::Neither),
        (false, true, _) => Ok(Target::Unit(name.into())),
        (false, false, true) => usage(format!("expected unit name, got application name {}", quote(name))),
        (false, false, false) => usage(format!("invalid unit name {}", quote(name))),
    }
}

/// The unit of the hook, or the application where the hook has no unit.
fn default_target(hook: &Hook, relation: &Relation, of_app: bool) -> Result<Target, Failure> {
    let Some(event) = hook.event.relation_event() else {
        return usage("no unit or application specified");
    };
    let own = hook.own_relation().unwrap_or(relation);
    match &event.unit {
        Some(unit) if !of_app => Ok(Target::Unit(unit.clone())),
        _ => Ok(Target::App(own.remote_app.clone())),
    }
}

fn unit_bag(hook: &mut Hook, relation: &Relation, name: &str) -> Result<Bag, Failure> {
    if hook.unit.is(name) {
        return own_unit_bag(hook, relation).map_err(Failure::Run);
    }
    remote(hook, relation)?;
    // A unit that has just left can still be read; one that never was there cannot.
    let of_relation = name.split('/').next() == Some(relation.remote_app.as_str());
    match relation.remote_units.get(name) {
        Some(bag) => Ok(bag.clone()),
        None if of_relation => Ok(Bag::new()),
        None => refused("permission denied"),
    }
}

fn app_bag(hook: &mut Hook, relation: &Relation, name: &str) -> Result<Bag, Failure> {
    if name == hook.unit.app {
        if hook.state.leader {
            return own_app_bag(hook, relation).map_err(Failure::Run);
        }
        remote(hook, relation)?;
        if hook.unit.juju == JujuVersion::V3_6 && !hook.is_peer(relation) {
            return refused("permission denied");
        }
        return Ok(relation.local_app_data.clone());
    }
    remote(hook, relation)?;
    if name == relation.remote_app { Ok(relation.remote_app_data.clone()) } else { refused("permission denied") }
}

/// What the controller says to a relation it has forgotten, about the other side.
fn remote(hook: &Hook, relation: &Relation) -> Result<(), Failure> {
    match (relation.forgotten, hook.unit.juju) {
        (false, _) => Ok(()),
        (true, JujuVersion::V3_6) => refused("permission denied"),
        (true, _) => refused("relation not found"),
    }
}

/// The own unit bag with what is buffered. From now on the commit carries it.
pub fn own_unit_bag(hook: &mut Hook, relation: &Relation) -> Result<Bag, String> {
    if relation.forgotten {
        return Err("permission denied".into());
    }
    Ok(hook.buffer.unit_bags.entry(relation.id).or_insert_with(|| relation.local_unit_data.clone()).clone())
}

/// The own application bag with what is buffered.
pub fn own_app_bag(hook: &mut Hook, relation: &Relation) -> Result<Bag, String> {
    if relation.forgotten {
        return Err("permission denied".into());
    }
    let app = hook.buffer.app_bags.entry(relation.id).or_default();
    if !app.written && app.bag.is_empty() {
        app.bag.clone_from(&relation.local_app_data);
    }
    Ok(app.bag.clone())
}
