//! `status-set`, `status-get`, `application-version-set`: at once, whatever becomes of the hook.

use serde_json::json;

use super::{Failure, Outcome, Output, refused, usage};
use crate::juju::command::Invocation;
use crate::juju::encode::Value;
use crate::juju::flags::{Flag, Line, quote};
use crate::juju::hook::{Hook, StatusChange};
use crate::juju::state::Status;

pub const GET_FLAGS: &[Flag] = &[Flag::switch(&["application"]), Flag::switch(&["include-data"])];

/// Sets the status of the unit or, as the leader, of the application.
pub fn set(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    let Some(name) = line.word(0) else {
        return usage("invalid args, require <status> [message]");
    };
    if !["maintenance", "blocked", "waiting", "active"].contains(&name) {
        return usage(format!("invalid status {}, expected one of [maintenance blocked waiting active]", quote(name)));
    }
    line.at_most(2).map_err(Failure::from)?;
    let status = Status::new(name, line.word(1).unwrap_or_default());
    let of_app = line.is_on("application");
    if of_app && !hook.state.leader {
        return refused("this unit is not the leader");
    }
    let call = if of_app { "SetApplicationStatus" } else { "SetUnitStatus" };
    hook.sent.push(json!({"call": call, "status": status.name, "info": status.message}));
    hook.statuses.push(StatusChange { status: status.clone(), of_app, by_juju: false });
    if of_app {
        hook.state.app_status = status;
    } else {
        hook.state.unit_status = status;
    }
    Ok(Output::None)
}

/// The status of the unit as first seen in this hook, or of the application.
pub fn get(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    line.at_most(0).map_err(Failure::from)?;
    let full = line.is_on("include-data");
    let (word, value) = if line.is_on("application") {
        (hook.state.app_status.name.clone(), of_application(hook, full)?)
    } else {
        let status = hook.seen_status.get_or_insert_with(|| hook.state.unit_status.clone());
        (status.name.clone(), Value::Map(fields(status, full)))
    };
    // Without data the shell form is the bare word; the others stay maps.
    let smart = line.get("format").is_none_or(|format| format == "smart");
    Ok(Output::Value(if smart && !full { Value::text(word) } else { value }))
}

fn of_application(hook: &Hook, full: bool) -> Result<Value, Failure> {
    if !hook.state.leader {
        return refused("finding application status: this unit is not the leader");
    }
    let mut units = vec![(hook.unit.name(), Value::Map(fields(&hook.state.unit_status, full)))];
    units.extend(hook.state.other_units.iter().map(|(name, status)| (name.clone(), Value::Map(fields(status, full)))));
    let mut map = fields(&hook.state.app_status, full);
    map.push(("units".into(), Value::Map(units)));
    Ok(Value::Map(vec![("application-status".into(), Value::Map(map))]))
}

fn fields(status: &Status, full: bool) -> Vec<(String, Value)> {
    let mut map = vec![("status".to_owned(), Value::text(status.name.clone()))];
    if full {
        map.push(("message".into(), Value::text(status.message.clone())));
        map.push(("status-data".into(), Value::Map(Vec::new())));
    }
    map
}

/// Sets the version of the workload.
pub fn version_set(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    let Some(version) = line.word(0) else {
        return usage("no version specified");
    };
    line.at_most(1).map_err(Failure::from)?;
    hook.sent.push(json!({"call": "SetWorkloadVersion", "workload-version": version}));
    version.clone_into(&mut hook.state.workload_version);
    Ok(Output::None)
}
