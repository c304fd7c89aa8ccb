//! `secret-info-get`, `secret-ids`: what the owner knows, with what is buffered but without buffered grants.

use super::secret_args::secret_id;
use super::{Failure, Outcome, Output, refused, usage};
use crate::juju::buffer::SecretFields;
use crate::juju::command::Invocation;
use crate::juju::commit::{relation_tag, target_tag};
use crate::juju::encode::Value;
use crate::juju::flags::{Flag, Line, quote};
use crate::juju::hook::Hook;
use crate::juju::state::{Access, Owner, Secret};

pub const FLAGS: &[Flag] = &[Flag::text(&["label"])];

/// A secret of the controller that this unit may change.
pub fn owned<'a>(hook: &'a Hook, id: &str) -> Option<&'a Secret> {
    let unit = hook.unit.name();
    hook.state.secrets.iter().find(|secret| secret.id == id && secret.managed_by(&unit, hook.state.leader))
}

fn all_owned(hook: &Hook) -> impl Iterator<Item = &Secret> {
    let unit = hook.unit.name();
    let deletes = &hook.buffer.secrets.deletes;
    hook.state
        .secrets
        .iter()
        .filter(move |secret| secret.managed_by(&unit, hook.state.leader) && !deletes.contains_key(&secret.id))
}

/// The id that the owner's label stands for, buffered ones included.
pub fn id_of_label(hook: &Hook, label: &str) -> Option<String> {
    let created = hook.buffer.secrets.creates.iter().find(|(_, create)| create.fields.label.as_deref() == Some(label));
    created.map(|(id, _)| id.clone()).or_else(|| {
        all_owned(hook)
            .find(|secret| {
                let pending = hook.buffer.secrets.updates.get(&secret.id).and_then(|fields| fields.label.as_deref());
                pending.unwrap_or(&secret.label) == label
            })
            .map(|secret| secret.id.clone())
    })
}

/// The ids of all own secrets; null for none.
pub fn ids(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    line.at_most(0).map_err(Failure::from)?;
    let mut ids: Vec<String> = all_owned(hook).map(|secret| secret.id.clone()).collect();
    ids.extend(hook.buffer.secrets.creates.keys().cloned());
    ids.sort();
    // Go's nil list: null as JSON, an empty list as YAML.
    let json = if ids.is_empty() { Value::Null } else { Value::texts(&ids) };
    Ok(Output::Both { json, yaml: Value::texts(ids) })
}

/// Everything about one own secret but its content.
pub fn get(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    let label = line.text("label");
    let (id, named) = match (line.word(0), label) {
        (Some(_), label) if !label.is_empty() => return usage("specify either a secret URI or label but not both"),
        (Some(id), _) => {
            let id = secret_id(id)?;
            (Some(id.clone()), id)
        }
        (None, "") => return usage("require either a secret URI or label"),
        (None, label) => (id_of_label(hook, label), label.to_owned()),
    };
    line.at_most(1).map_err(Failure::from)?;
    let Some((id, fields)) = id.and_then(|id| info(hook, &id).map(|fields| (id, fields))) else {
        return refused(format!("secret {} not found", quote(&named)));
    };
    Ok(Output::Value(Value::Map(vec![(id, Value::Fields(fields))])))
}

fn info(hook: &Hook, id: &str) -> Option<Vec<(&'static str, Value)>> {
    if let Some(create) = hook.buffer.secrets.creates.get(id) {
        return Some(list(1, &create.owner, &create.fields, &[]));
    }
    let secret = all_owned(hook).find(|secret| secret.id == id)?;
    let mut known = SecretFields {
        content: None,
        label: Some(secret.label.clone()),
        description: Some(secret.description.clone()),
        rotate: Some(if secret.rotate.is_empty() { "never".into() } else { secret.rotate.clone() }),
        expire: secret.expire.clone(),
    };
    if let Some(pending) = hook.buffer.secrets.updates.get(id) {
        known.merge(pending.clone());
    }
    let access: Vec<Value> = secret.access.iter().map(|access| grant(hook, access)).collect();
    Some(list(secret.latest(), &secret.owner, &known, &access))
}

fn list(revision: u32, owner: &Owner, known: &SecretFields, access: &[Value]) -> Vec<(&'static str, Value)> {
    let owner = match owner {
        Owner::Application(_) => "application",
        Owner::Unit(_) => "unit",
        Owner::Model => "model",
    };
    let mut fields = vec![("revision", Value::Integer(revision.into()))];
    let mut add = |name: &'static str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            fields.push((name, Value::text(value)));
        }
    };
    add("label", known.label.as_deref());
    add("owner", Some(owner));
    add("description", known.description.as_deref());
    add("rotation", known.rotate.as_deref());
    add("expiry", known.expire.as_deref());
    if !access.is_empty() {
        fields.push(("access", Value::List(access.to_vec())));
    }
    fields
}

fn grant(hook: &Hook, access: &Access) -> Value {
    Value::Fields(vec![
        ("target", Value::text(target_tag(&access.target))),
        ("scope", Value::text(access.relation.map(|id| relation_tag(hook, id)).unwrap_or_default())),
        ("role", Value::text("view")),
    ])
}
