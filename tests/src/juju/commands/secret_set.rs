//! `secret-add`, `secret-set`, `secret-remove`: what the owner does, when the hook ends well.

use super::secret_args::{fields, secret_id};
use super::secret_info::owned;
use super::{Failure, Outcome, Output, refused, usage};
use crate::juju::buffer::SecretCreate;
use crate::juju::command::Invocation;
use crate::juju::commit::{checksum, encoded};
use crate::juju::flags::{Flag, Line, quote};
use crate::juju::hook::Hook;
use crate::juju::state::{Owner, new_secret_id};

pub const REMOVE_FLAGS: &[Flag] = &[Flag::number(&["revision"])];

/// Makes a secret and prints its id.
pub fn add(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    if line.words.is_empty() && line.text("file").is_empty() {
        return usage("missing secret value or filename");
    }
    let fields = fields(line, &line.words)?;
    let owner = if line.text("owner") == "unit" {
        Owner::Unit(hook.unit.name())
    } else if hook.state.leader {
        Owner::Application(hook.unit.app.clone())
    } else {
        return refused("this unit is not the leader");
    };
    let creates = &hook.buffer.secrets.creates;
    if let Some(label) = &fields.label
        && creates.values().any(|create| create.fields.label.as_ref() == Some(label))
    {
        return refused(format!("secret with label {} already exists", quote(label)));
    }
    let id = unused_id(hook);
    hook.buffer.secrets.creates.insert(id.clone(), SecretCreate { owner, fields });
    Ok(Output::Raw(format!("secret:{id}\n").into_bytes()))
}

/// An id no secret has; the same in the next run of the same hook on the same state.
fn unused_id(hook: &mut Hook) -> String {
    loop {
        hook.new_secrets += 1;
        let seed = format!("{} {}", hook.unit.name(), hook.state.secrets.len());
        let id = new_secret_id(&seed, hook.new_secrets);
        if hook.state.secrets.iter().all(|secret| secret.id != id) {
            return id;
        }
    }
}

/// Changes a secret. Content that is the same makes no revision.
pub fn set(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    let Some((id, words)) = line.words.split_first() else {
        return usage("missing secret URI");
    };
    let id = secret_id(id)?;
    let mut fields = fields(line, words)?;
    if let Some(create) = hook.buffer.secrets.creates.get_mut(&id) {
        create.fields.merge(fields);
        return Ok(Output::None);
    }
    let latest = owned(hook, &id).and_then(|secret| secret.latest_content()).map(encoded);
    if let (Some(new), Some(old)) = (&fields.content, &latest)
        && checksum(new) == checksum(old)
    {
        fields.content = None;
    }
    if !fields.is_empty() {
        hook.buffer.secrets.deletes.remove(&id);
        hook.buffer.secrets.updates.entry(id).or_default().merge(fields);
    }
    Ok(Output::None)
}

/// Removes a secret or one revision, and with it whatever else was asked of that secret in this hook.
pub fn remove(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    let Some(id) = line.word(0) else {
        return usage("missing secret URI");
    };
    let id = secret_id(id)?;
    line.at_most(1).map_err(Failure::from)?;
    let revision = line.get("revision").and_then(|text| text.parse::<u32>().ok()).filter(|revision| *revision > 0);
    let secrets = &mut hook.buffer.secrets;
    secrets.creates.remove(&id);
    secrets.updates.remove(&id);
    secrets.grants.retain(|(secret, _), _| *secret != id);
    let revisions = secrets.deletes.entry(id).or_insert_with(|| revision.map(|_| std::collections::BTreeSet::new()));
    match (revisions, revision) {
        (Some(revisions), Some(revision)) => {
            revisions.insert(revision);
        }
        (revisions, None) => *revisions = None,
        (None, Some(_)) => {}
    }
    Ok(Output::None)
}
