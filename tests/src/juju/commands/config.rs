//! `config-get`.

use super::{Failure, Outcome, Output, usage};
use crate::juju::command::Invocation;
use crate::juju::encode::Value;
use crate::juju::flags::{Flag, Line, quote};
use crate::juju::hook::Hook;

pub const FLAGS: &[Flag] = &[Flag::switch(&["a", "all"])];

/// One option, all that have a value, or with `--all` all that are declared.
pub fn get(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    line.at_most(1).map_err(Failure::from)?;
    let key = line.word(0).unwrap_or_default();
    let all = line.is_on("a");
    if all && !key.is_empty() {
        return usage(format!("cannot use argument --all together with key {}", quote(key)));
    }
    let mut options: Vec<(String, Value)> = Vec::new();
    for (name, option) in &hook.unit.metadata.options {
        match hook.state.config.get(name).or(option.default.as_ref()) {
            Some(value) if !value.is_null() => options.push((name.clone(), Value::from_config(value))),
            _ if all => options.push((name.clone(), Value::Null)),
            _ => {}
        }
    }
    if key.is_empty() {
        return Ok(Output::Value(Value::Map(options)));
    }
    let found = options.into_iter().find(|(name, _)| name == key);
    Ok(Output::Value(found.map_or(Value::Null, |(_, value)| value)))
}
