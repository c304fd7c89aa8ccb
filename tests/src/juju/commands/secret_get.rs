//! `secret-get`. Refreshing, and a new label of the reader, take effect at once.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::secret_args::secret_id;
use super::secret_info::{id_of_label, owned};
use super::{Failure, Outcome, Output, refused, usage};
use crate::juju::command::Invocation;
use crate::juju::commit::decoded;
use crate::juju::encode::Value;
use crate::juju::flags::{Flag, Line, quote};
use crate::juju::hook::Hook;
use crate::juju::state::{Consumer, Content, Secret};
use crate::juju::version::JujuVersion;

pub const FLAGS: &[Flag] = &[Flag::text(&["label"]), Flag::switch(&["peek"]), Flag::switch(&["refresh"])];

/// The content of a secret, or one key of it.
pub fn get(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    let label = line.text("label").to_owned();
    let id = match line.word(0) {
        Some(id) => Some(secret_id(id)?),
        None if label.is_empty() => return usage("require either a secret URI or label"),
        None => None,
    };
    let (peek, refresh) = (line.is_on("peek"), line.is_on("refresh"));
    if peek && refresh {
        return usage("specify one of --peek or --refresh but not both");
    }
    line.at_most(2).map_err(Failure::from)?;
    let id = match id {
        Some(id) => id,
        None => by_label(hook, &label)?,
    };
    let content = match pending(hook, &id, peek, refresh) {
        Some(content) => content,
        None => from_controller(hook, &id, &label, peek, refresh)?,
    };
    show(&content, line.word(1))
}

fn show(content: &Content, key: Option<&str>) -> Outcome {
    let Some(key) = key.filter(|key| !key.is_empty()) else {
        let map = content.iter().map(|(key, value)| (key.clone(), Value::Text(value.clone())));
        return Ok(Output::Value(Value::Map(map.collect())));
    };
    let (name, in_base64) = key.strip_suffix("#base64").map_or((key, false), |name| (name, true));
    match content.get(name) {
        Some(value) if in_base64 => Ok(Output::Value(Value::text(STANDARD.encode(value)))),
        Some(value) => Ok(Output::Value(Value::Text(value.clone()))),
        None => refused(format!("secret key value {} not found", quote(name))),
    }
}

/// The label of an owner first, then that of this unit as a reader.
fn by_label(hook: &Hook, label: &str) -> Result<String, Failure> {
    let unit = hook.unit.name();
    let of_app = |secret: &&Secret| secret.label == label && secret.managed_by(&unit, true);
    let as_reader = |secret: &&Secret| secret.consumers.get(&unit).is_some_and(|consumer| consumer.label == label);
    let secrets = &hook.state.secrets;
    let found = id_of_label(hook, label)
        .or_else(|| secrets.iter().find(of_app).map(|secret| secret.id.clone()))
        .or_else(|| secrets.iter().find(as_reader).map(|secret| secret.id.clone()));
    match (found, hook.unit.juju) {
        (Some(id), _) => Ok(id),
        (None, JujuVersion::V3_6) => refused(format!("consumer label {} not found", quote(label))),
        (None, _) => refused(format!("secret URI for consumer label {} not found", quote(label))),
    }
}

/// Content that is not sent yet: of a new secret always, of a changed one only when the newest is asked for.
fn pending(hook: &mut Hook, id: &str, peek: bool, refresh: bool) -> Option<Content> {
    let secrets = &mut hook.buffer.secrets;
    if let Some(create) = secrets.creates.get(id) {
        return create.fields.content.as_ref().map(decoded);
    }
    let content = secrets.updates.get(id).filter(|_| peek || refresh)?.content.as_ref().map(decoded)?;
    if refresh {
        secrets.track_latest.insert(id.to_owned());
    }
    Some(content)
}

fn from_controller(hook: &mut Hook, id: &str, label: &str, peek: bool, refresh: bool) -> Result<Content, Failure> {
    let unit = hook.unit.name();
    let is_owner = owned(hook, id).is_some();
    let Some(secret) = hook.state.secrets.iter_mut().find(|secret| secret.id == id) else {
        return refused(format!("secret {} not found", quote(id)));
    };
    if !secret.readable_by(&unit) {
        return refused("permission denied");
    }
    let latest = secret.latest();
    let known = secret.consumers.contains_key(&unit);
    let consumer =
        secret.consumers.entry(unit.clone()).or_insert_with(|| Consumer { revision: latest, label: String::new() });
    if refresh {
        consumer.revision = latest;
    }
    if !label.is_empty() && !is_owner {
        label.clone_into(&mut consumer.label);
    }
    let revision = if peek { latest } else { consumer.revision };
    // A look at a secret that is not tracked yet does not begin to track it.
    if peek && !known && label.is_empty() {
        secret.consumers.remove(&unit);
    }
    match secret.revisions.get(&revision) {
        Some(content) => Ok(content.clone()),
        None => refused(format!("secret revision {revision} not found")),
    }
}
