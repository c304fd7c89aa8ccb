//! `storage-add`, `storage-get`, `storage-list`.

use super::{Failure, Outcome, Output, refused, usage};
use crate::juju::command::Invocation;
use crate::juju::encode::Value;
use crate::juju::event::Kind;
use crate::juju::flags::{Flag, Line, quote};
use crate::juju::hook::Hook;
use crate::juju::version::JujuVersion;

pub const GET_FLAGS: &[Flag] = &[Flag::checked(&["s"])];

/// Looks at the value of `-s`.
pub fn known(hook: &Hook, id: &str) -> Result<(), String> {
    let valid = id.split_once('/').is_some_and(|(name, number)| !name.is_empty() && number.parse::<u32>().is_ok());
    if !valid {
        return Err(format!("invalid storage ID {}", quote(id)));
    }
    if hook.state.storages.iter().any(|storage| storage.id == id) {
        Ok(())
    } else {
        Err("storage attachment not found".into())
    }
}

/// Asks for more storage, by count only.
pub fn add(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    if line.words.is_empty() {
        return usage("storage add requires a storage directive");
    }
    let mut wanted: Vec<(String, u64)> = Vec::new();
    for word in &line.words {
        let (name, count) = word.split_once('=').map_or((word.as_str(), "1"), |(name, count)| (name, count));
        if name.is_empty() {
            let term = if hook.unit.juju == JujuVersion::V3_6 { "constraints" } else { "directive" };
            return usage(format!("expected \"name={term}\" or \"name\", got {}", quote(word)));
        }
        let Ok(count) = count.parse() else {
            return usage(format!("only count can be specified for {}", quote(name)));
        };
        if wanted.iter().any(|(other, _)| other == name) {
            return usage(format!("storage {} specified more than once", quote(name)));
        }
        wanted.push((name.to_owned(), count));
    }
    hook.buffer.storage.extend(wanted);
    Ok(Output::None)
}

/// Kind and location of one storage.
pub fn get(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    let own = match &hook.event.kind {
        Kind::Storage { id, .. } => Some(id.as_str()),
        _ => None,
    };
    let Some(id) = line.get("s").or(own) else {
        return usage("no storage instance specified");
    };
    line.at_most(1).map_err(Failure::from)?;
    let Some(storage) = hook.state.storages.iter().find(|storage| storage.id == id) else {
        return refused(format!("storage {} not found", quote(id)));
    };
    Ok(Output::Value(match line.word(0).unwrap_or_default() {
        "" => Value::Map(vec![
            ("kind".into(), Value::text(&storage.kind)),
            ("location".into(), Value::text(&storage.location)),
        ]),
        "kind" => Value::text(&storage.kind),
        "location" => Value::text(&storage.location),
        other => return refused(format!("invalid storage attribute {}", quote(other))),
    }))
}

/// The attached storages, all or those of one name.
pub fn list(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    line.at_most(1).map_err(Failure::from)?;
    let name = line.word(0).unwrap_or_default();
    let ids = hook.state.storages.iter().map(|storage| storage.id.clone());
    Ok(Output::Value(Value::texts(ids.filter(|id| name.is_empty() || id.split('/').next() == Some(name)))))
}
