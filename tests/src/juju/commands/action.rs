//! The commands of actions. Outside an action all four refuse.

use serde_json::{Value as Json, json};

use super::{Failure, Outcome, Output, refused, usage};
use crate::juju::command::Invocation;
use crate::juju::encode::Value;
use crate::juju::event::Kind;
use crate::juju::flags::{Line, quote};
use crate::juju::hook::{ActionResult, Hook};

const NO_ACTION: &str = "not running an action";
const RESERVED: [&str; 4] = ["stdout", "stdout-encoding", "stderr", "stderr-encoding"];

fn running(hook: &mut Hook) -> Result<&mut ActionResult, Failure> {
    hook.action.as_mut().ok_or_else(|| Failure::Run(NO_ACTION.into()))
}

/// A parameter by its path, or all of them.
pub fn get(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    line.at_most(1).map_err(Failure::from)?;
    let Kind::Action { name, params } = &hook.event.kind else {
        return refused(NO_ACTION);
    };
    let mut all: serde_json::Map<String, Json> = params.clone().into_iter().collect();
    if let Some(spec) = hook.unit.metadata.actions.get(name) {
        for (key, param) in &spec.params {
            if let Some(default) = &param.default {
                all.entry(key.clone()).or_insert_with(|| default.clone());
            }
        }
    }
    let all = Json::Object(all);
    let value = match line.word(0) {
        None => Some(&all),
        Some(path) => path.split('.').try_fold(&all, |value, key| value.as_object().and_then(|map| map.get(key))),
    };
    Ok(Output::Value(value.map_or(Value::Null, Value::from_params)))
}

/// Adds results. One bad word, and none of them is kept.
pub fn set(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    let mut pairs = Vec::new();
    for word in &line.words {
        let Some((path, value)) = word.split_once('=') else {
            return usage(format!("argument {} must be of the form key...=value", quote(word)));
        };
        let path: Vec<&str> = path.split('.').collect();
        for key in &path {
            if RESERVED.contains(key) {
                return usage(format!("cannot set reserved action key {}", quote(key)));
            }
            if !is_key(key) {
                return usage(format!(
                    "key {} must start and end with lowercase alphanumeric, and contain only lowercase alphanumeric and hyphens",
                    quote(key)
                ));
            }
        }
        pairs.push((path, value));
    }
    let action = running(hook)?;
    for (path, value) in pairs {
        let mut results = Json::Object(std::mem::take(&mut action.results).into_iter().collect());
        put(&mut results, &path, value);
        if let Json::Object(map) = results {
            action.results = map.into_iter().collect();
        }
    }
    Ok(Output::None)
}

fn is_key(key: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    key.bytes().all(|byte| inner(byte) || byte == b'-')
        && key.bytes().next().is_some_and(inner)
        && key.bytes().next_back().is_some_and(inner)
}

/// Puts a value at a path; what stood in the way is replaced.
fn put(target: &mut Json, path: &[&str], value: &str) {
    let Some((key, rest)) = path.split_first() else {
        *target = json!(value);
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    put(&mut target[*key], rest, value);
}

/// Marks the action as failed. The last text counts.
pub fn fail(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    line.at_most(1).map_err(Failure::from)?;
    let action = running(hook)?;
    action.failed = true;
    line.word(0)
        .unwrap_or("action failed without reason given, check action for errors")
        .clone_into(&mut action.message);
    Ok(Output::None)
}

/// Shows a line to the user at once.
pub fn log(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    if line.words.is_empty() {
        return usage("no message specified");
    }
    let message = line.words.join(" ");
    running(hook)?.log.push(message.clone());
    hook.sent.push(json!({"call": "LogActionsMessages", "value": message}));
    Ok(Output::None)
}
