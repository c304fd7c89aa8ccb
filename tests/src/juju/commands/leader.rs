//! `is-leader`, and the settings of the leader that Juju 4 has no more.

use serde_json::json;

use super::{Failure, Outcome, Output, refused, usage, words};
use crate::juju::command::Invocation;
use crate::juju::encode::Value;
use crate::juju::flags::{Line, quote};
use crate::juju::hook::Hook;

/// Whether this unit leads.
pub fn is_leader(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    line.at_most(0).map_err(Failure::from)?;
    Ok(Output::Value(Value::Bool(hook.state.leader)))
}

/// One setting, or all.
pub fn get(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    let key = line.word(0).unwrap_or_default();
    if key.contains('=') {
        return usage(format!("invalid key {}", quote(key)));
    }
    line.at_most(1).map_err(Failure::from)?;
    let settings = &hook.state.leader_settings;
    Ok(Output::Value(match key {
        "" | "-" => Value::bag(settings),
        key => settings.get(key).map_or(Value::Null, Value::text),
    }))
}

/// Changes settings at once.
pub fn set(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    let settings = words::settings(&line.words)?;
    if !hook.state.leader {
        return refused("cannot write leadership settings: cannot write settings: not the leader");
    }
    hook.sent.push(json!({
        "call": "LeadershipSettings.Merge",
        "application-tag": format!("application-{}", hook.unit.app),
        "settings": settings,
    }));
    for (key, value) in settings {
        if value.is_empty() {
            hook.state.leader_settings.remove(&key);
        } else {
            hook.state.leader_settings.insert(key, value);
        }
    }
    Ok(Output::None)
}
