//! `state-get`, `state-set`, `state-delete`: texts the controller keeps for the unit.

use std::collections::BTreeMap;

use super::{Failure, Outcome, Output, refused, words};
use crate::juju::command::Invocation;
use crate::juju::encode::Value;
use crate::juju::flags::{Flag, Line, quote};
use crate::juju::hook::Hook;
use crate::juju::version::JujuVersion;

pub const GET_FLAGS: &[Flag] = &[Flag::switch(&["strict"])];

const LONGEST_KEY: usize = 256;
const LONGEST_VALUE: usize = 65_536;

fn current(hook: &Hook) -> Option<&BTreeMap<String, String>> {
    hook.buffer.charm_state.as_ref().or(hook.state.charm_state.as_ref())
}

/// One text or all. A missing key is empty, and no state at all is null.
pub fn get(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    line.at_most(1).map_err(Failure::from)?;
    let state = current(hook);
    let key = line.word(0).unwrap_or_default();
    if key.is_empty() || key == "-" {
        // Go's nil map: null as JSON, an empty map as YAML.
        let json = state.map_or(Value::Null, Value::bag);
        return Ok(Output::Both { json, yaml: state.map_or(Value::Map(Vec::new()), Value::bag) });
    }
    match state.and_then(|state| state.get(key)) {
        Some(value) => Ok(Output::Value(Value::text(value))),
        None if line.is_on("strict") => refused(format!("{} not found", quote(key))),
        None => Ok(Output::Value(Value::text(""))),
    }
}

/// Sets texts. Equal ones change nothing, empty ones are kept.
pub fn set(hook: &mut Hook, line: &Line, invocation: &Invocation) -> Outcome {
    let given = words::settings(&line.words)?;
    let mut settings = words::settings_file(line, invocation)?;
    settings.extend(given);
    let suffix = if hook.unit.juju == JujuVersion::V3_6 { " exceeded" } else { ": quota limit exceeded" };
    for (key, value) in &settings {
        if key.len() > LONGEST_KEY {
            return refused(format!("max allowed key length ({LONGEST_KEY}){suffix}"));
        }
        if value.len() > LONGEST_VALUE {
            return refused(format!("max allowed value length ({LONGEST_VALUE}){suffix}"));
        }
    }
    let mut state = current(hook).cloned().unwrap_or_default();
    let before = state.clone();
    state.extend(settings);
    if state != before {
        hook.buffer.charm_state = Some(state);
    }
    Ok(Output::None)
}

/// Deletes one text, if it is there.
pub fn delete(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    line.at_most(1).map_err(Failure::from)?;
    let mut state = current(hook).cloned().unwrap_or_default();
    if line.word(0).is_some_and(|key| state.remove(key).is_some()) {
        hook.buffer.charm_state = Some(state);
    }
    Ok(Output::None)
}
