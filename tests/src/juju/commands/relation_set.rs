//! `relation-set`: writes into one of the own bags, when the hook ends well.

use super::relation_get::{own_app_bag, own_unit_bag};
use super::words::{relation, settings, settings_file};
use super::{Outcome, Output, refused};
use crate::juju::command::Invocation;
use crate::juju::flags::Line;
use crate::juju::hook::Hook;

/// Words win over the file; an empty value deletes its key.
pub fn set(hook: &mut Hook, line: &Line, invocation: &Invocation) -> Outcome {
    let relation = relation(hook, line)?.clone();
    let given = settings(&line.words)?;
    let mut changes = settings_file(line, invocation)?;
    changes.extend(given);
    if line.is_on("app") {
        if !hook.state.leader {
            return refused("cannot write relation settings");
        }
        if let Err(text) = own_app_bag(hook, &relation) {
            return refused(format!("cannot read relation application settings: {text}"));
        }
        let app = hook.buffer.app_bags.entry(relation.id).or_default();
        app.bag.extend(changes);
        app.written = true;
    } else {
        if let Err(text) = own_unit_bag(hook, &relation) {
            return refused(format!("cannot read relation settings: {text}"));
        }
        hook.buffer.unit_bags.entry(relation.id).or_default().extend(changes);
    }
    Ok(Output::None)
}
