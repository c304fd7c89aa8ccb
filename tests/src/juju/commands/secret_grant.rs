//! `secret-grant`, `secret-revoke`.

use super::secret_args::secret_id;
use super::secret_info::owned;
use super::words::{is_application, is_unit, relation};
use super::{Failure, Outcome, Output, RELATION, refused, usage};
use crate::juju::buffer::{Grant, Revoke};
use crate::juju::command::Invocation;
use crate::juju::flags::{Flag, Line, quote};
use crate::juju::hook::Hook;
use crate::juju::state::Access;

pub const GRANT_FLAGS: &[Flag] = &[RELATION, Flag::text(&["unit"])];
pub const REVOKE_FLAGS: &[Flag] = &[RELATION, Flag::text(&["app", "application"]), Flag::text(&["unit"])];

/// Lets the other side of a relation read. One grant for each secret and relation is kept: the last.
pub fn grant(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    let Some(id) = line.word(0) else {
        return usage("missing secret URI");
    };
    let id = secret_id(id)?;
    let relation = relation(hook, line)?;
    let (relation_id, app) = (relation.id, relation.remote_app.clone());
    let target = match line.text("unit") {
        "" => app,
        unit if !is_unit(unit) => return usage(format!("unit {} not valid", quote(unit))),
        unit if unit.split('/').next() != Some(app.as_str()) => {
            return usage(format!("cannot specify unit {} in relation to application {}", quote(unit), quote(&app)));
        }
        unit => unit.to_owned(),
    };
    line.at_most(1).map_err(Failure::from)?;
    if !hook.buffer.secrets.creates.contains_key(&id) {
        let Some(secret) = owned(hook, &id) else {
            return refused(format!("secret {} not found", quote(&id)));
        };
        let has =
            |target: &str| secret.access.contains(&Access { target: target.to_owned(), relation: Some(relation_id) });
        if has(&target) || has(target.split('/').next().unwrap_or_default()) {
            return Ok(Output::None);
        }
        let to_app = !target.contains('/');
        let to_units = secret.access.iter().any(|access| {
            access.relation == Some(relation_id) && access.target.split_once('/').is_some_and(|(app, _)| app == target)
        });
        if to_app && to_units {
            return refused(
                "any unit level grants need to be revoked before granting access to the corresponding application",
            );
        }
    }
    hook.buffer.secrets.grants.insert((id, relation_id), Grant { target });
    Ok(Output::None)
}

/// Takes a grant away. Inside a relation hook `-r` has a value already, so an application cannot be named there.
pub fn revoke(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    let Some(id) = line.word(0) else {
        return usage("missing secret URI");
    };
    let id = secret_id(id)?;
    let (app, unit) = (line.text("app"), line.text("unit"));
    let relation = relation(hook, line).ok().map(|relation| relation.remote_app.clone());
    let target = match (app, unit, relation) {
        ("", "", None) => return usage("missing relation or application or unit"),
        (app, unit, _) if !app.is_empty() && !unit.is_empty() => {
            return usage("specify only one of application or unit");
        }
        (app, _, Some(_)) if !app.is_empty() => return usage("do not specify both relation and app"),
        (app, _, _) if !app.is_empty() && !is_application(app) => {
            return usage(format!("application {} not valid", quote(app)));
        }
        (_, unit, _) if !unit.is_empty() && !is_unit(unit) => return usage(format!("unit {} not valid", quote(unit))),
        ("", "", Some(remote)) => remote,
        ("", unit, _) => unit.to_owned(),
        (app, _, _) => app.to_owned(),
    };
    line.at_most(1).map_err(Failure::from)?;
    hook.buffer.secrets.revokes.push(Revoke { id, target });
    Ok(Output::None)
}
