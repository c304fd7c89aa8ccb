//! `relation-ids`, `relation-list`, `relation-model-get`: which relations there are, and with whom.

use super::words::relation;
use super::{Failure, Outcome, Output, usage};
use crate::juju::command::Invocation;
use crate::juju::encode::Value;
use crate::juju::flags::Line;
use crate::juju::hook::Hook;
use crate::juju::state::Relation;

/// The ids of an endpoint, sorted as text. One that is ending is left out.
pub fn ids(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    line.at_most(1).map_err(Failure::from)?;
    let own = hook.own_relation().map(|relation| relation.endpoint.clone());
    let Some(endpoint) = line.word(0).map(str::to_owned).or(own) else {
        return usage("no endpoint name specified");
    };
    let mut ids: Vec<String> = hook
        .state
        .relations
        .iter()
        .filter(|relation| relation.endpoint == endpoint && !hook.is_ending(relation))
        .map(Relation::full_id)
        .collect();
    ids.sort();
    Ok(Output::Value(Value::texts(ids)))
}

/// The units of a relation, or its application.
pub fn list(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    let relation = relation(hook, line)?;
    line.at_most(0).map_err(Failure::from)?;
    Ok(Output::Value(if line.is_on("app") {
        Value::text(&relation.remote_app)
    } else {
        Value::texts(hook.members(relation))
    }))
}

/// The model of the other side.
pub fn model_get(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    let relation = relation(hook, line)?;
    line.at_most(0).map_err(Failure::from)?;
    let uuid = relation.remote_model_uuid.as_ref().unwrap_or(&hook.state.model.uuid);
    Ok(Output::Value(Value::Map(vec![("uuid".into(), Value::text(uuid))])))
}
