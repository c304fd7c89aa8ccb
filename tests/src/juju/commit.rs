//! The one call at the end of a good hook: what is in it, and what the controller does with it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::buffer::{Grant, Revoke, SecretChanges, SecretCreate, SecretFields};
use super::hook::Hook;
use super::state::{Access, Bag, Consumer, Content, Network, OpenedPort, Owner, Secret, State, Substrate};
use super::unit::Unit;
use super::version::JujuVersion;

/// What a hook has sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Commit {
    /// Whether Juju also writes the unit's addresses.
    pub network_info: bool,
    /// The own bags, whole, by relation. Deleted keys are empty.
    pub relations: BTreeMap<u32, RelationSettings>,
    /// Ports to open.
    pub open_ports: Vec<OpenedPort>,
    /// Ports to close.
    pub close_ports: Vec<OpenedPort>,
    /// The charm state.
    pub charm_state: Option<BTreeMap<String, String>>,
    /// Storage to add.
    pub storage: Vec<(String, u64)>,
    /// What happens to secrets.
    pub secrets: SecretChanges,
    /// The tags of the relations, for the printed form.
    tags: BTreeMap<u32, String>,
    unit_tag: String,
}

/// The own bags of one relation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RelationSettings {
    /// The unit's.
    pub unit: Option<Bag>,
    /// The application's.
    pub app: Option<Bag>,
}

impl Commit {
    /// What the hook has to send, if anything.
    pub fn of(hook: &Hook) -> Option<Self> {
        let buffer = &hook.buffer;
        let mut relations: BTreeMap<u32, RelationSettings> = BTreeMap::new();
        for (id, bag) in &buffer.unit_bags {
            relations.entry(*id).or_default().unit = Some(bag.clone());
        }
        for (id, app) in buffer.app_bags.iter().filter(|(_, app)| app.written) {
            relations.entry(*id).or_default().app = Some(app.bag.clone());
        }
        let commit = Self {
            network_info: hook.is_config_changed(),
            relations,
            open_ports: buffer.open_ports.clone(),
            close_ports: buffer.close_ports.clone(),
            charm_state: buffer.charm_state.clone(),
            storage: buffer.storage.clone(),
            secrets: buffer.secrets.clone(),
            tags: hook.state.relations.iter().map(|relation| (relation.id, relation_tag(hook, relation.id))).collect(),
            unit_tag: hook.unit.tag(),
        };
        (commit.network_info || !commit.is_empty()).then_some(commit)
    }

    /// Whether nothing but addresses is in it.
    pub fn is_empty(&self) -> bool {
        self.relations.is_empty()
            && self.open_ports.is_empty()
            && self.close_ports.is_empty()
            && self.charm_state.is_none()
            && self.storage.is_empty()
            && self.secrets == SecretChanges::default()
    }

    /// The call as JSON, by the names of Juju's API.
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        out.insert("update-network-info".into(), json!(self.network_info));
        let mut list = |name: &str, items: Vec<Value>| {
            if !items.is_empty() {
                out.insert(name.into(), Value::Array(items));
            }
        };
        let mut relations: Vec<Value> = self.relations.iter().map(|(id, both)| self.relation_json(*id, both)).collect();
        relations.sort_by_key(|item| item["relation"].to_string());
        list("relation-unit-settings", relations);
        list("open-ports", self.open_ports.iter().map(port_json).collect());
        list("close-ports", self.close_ports.iter().map(port_json).collect());
        let storage =
            |(name, count): &(String, u64)| json!({"name": name, "storage": {"count": count}, "unit": self.unit_tag});
        list("add-storage", self.storage.iter().map(storage).collect());
        let secrets = &self.secrets;
        list("secret-creates", secrets.creates.iter().map(|(id, create)| create_json(id, create)).collect());
        list("secret-updates", secrets.updates.iter().map(|(id, fields)| fields_json(id, fields)).collect());
        list(
            "secret-deletes",
            secrets
                .deletes
                .iter()
                .map(|(id, revisions)| match revisions {
                    Some(revisions) => json!({"uri": format!("secret:{id}"), "revisions": revisions}),
                    None => json!({"uri": format!("secret:{id}")}),
                })
                .collect(),
        );
        let mut grants: Vec<Value> =
            secrets.grants.iter().map(|((id, relation), grant)| self.grant_json(id, *relation, grant)).collect();
        grants.sort_by_key(|item| item["scope-tag"].to_string());
        list("secret-grants", grants);
        list("secret-revokes", secrets.revokes.iter().map(revoke_json).collect());
        list("secret-track-latest", secrets.track_latest.iter().map(|id| json!(id)).collect());
        if let Some(state) = &self.charm_state {
            out.insert("unit-state".into(), json!({ "charm-state": state }));
        }
        Value::Object(out)
    }

    fn relation_json(&self, id: u32, settings: &RelationSettings) -> Value {
        let mut out = json!({ "relation": self.tags.get(&id) });
        if let Some(bag) = &settings.unit {
            out["settings"] = json!(bag);
        }
        if let Some(bag) = &settings.app {
            out["application-settings"] = json!(bag);
        }
        out
    }

    fn grant_json(&self, id: &str, relation: u32, grant: &Grant) -> Value {
        json!({
            "uri": format!("secret:{id}"),
            "scope-tag": self.tags.get(&relation),
            "subject-tags": [target_tag(&grant.target)],
            "role": "view",
        })
    }
}

/// `relation-<remote>.<endpoint>#<own>.<endpoint>`.
pub fn relation_tag(hook: &Hook, id: u32) -> String {
    match hook.state.find_relation(id) {
        Some(relation) if hook.is_peer(relation) => format!("relation-{}.{}", hook.unit.app, relation.endpoint),
        Some(relation) => format!(
            "relation-{}.{}#{}.{}",
            relation.remote_app, relation.remote_endpoint, hook.unit.app, relation.endpoint
        ),
        None => String::new(),
    }
}

/// The tag of an application or unit.
pub fn target_tag(target: &str) -> String {
    if target.contains('/') { format!("unit-{}", target.replace('/', "-")) } else { format!("application-{target}") }
}

/// The checksum by which Juju sees that content is the same.
pub fn checksum(content: &BTreeMap<String, String>) -> String {
    let digest = Sha256::digest(json!(content).to_string());
    digest.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes everything");
        hex
    })
}

/// Content in base64, as it is sent.
pub fn encoded(content: &Content) -> BTreeMap<String, String> {
    content.iter().map(|(key, value)| (key.clone(), STANDARD.encode(value))).collect()
}

/// Content as it is read. What is no base64 stays as it is: nobody has checked it before.
pub fn decoded(content: &BTreeMap<String, String>) -> Content {
    content
        .iter()
        .map(|(key, value)| (key.clone(), STANDARD.decode(value).unwrap_or_else(|_| value.clone().into_bytes())))
        .collect()
}

fn port_json(port: &OpenedPort) -> Value {
    json!({"endpoint": port.endpoint, "from-port": port.from, "to-port": port.to, "protocol": port.protocol})
}

fn revoke_json(revoke: &Revoke) -> Value {
    let tag = target_tag(&revoke.target);
    json!({"uri": format!("secret:{}", revoke.id), "scope-tag": tag, "subject-tags": [tag], "role": ""})
}

fn create_json(id: &str, create: &SecretCreate) -> Value {
    let mut out = fields_json(id, &create.fields);
    out["owner-tag"] = match &create.owner {
        Owner::Unit(name) | Owner::Application(name) => json!(target_tag(name)),
        Owner::Model => Value::Null,
    };
    out
}

fn fields_json(id: &str, fields: &SecretFields) -> Value {
    let SecretFields { content, label, description, rotate, expire } = fields;
    let mut out = json!({"uri": format!("secret:{id}"), "content": {}});
    if let Some(content) = content {
        out["content"] = json!({"checksum": checksum(content), "data": content});
    }
    for (name, value) in
        [("label", label), ("description", description), ("rotate-policy", rotate), ("expire-time", expire)]
    {
        if let Some(value) = value {
            out[name] = json!(value);
        }
    }
    out
}

/// Does what the commit says. An error refuses it: whole from Juju 4 on; in 3.6 the secrets before the fault stay.
pub fn apply(commit: &Commit, unit: &Unit, state: &mut State) -> Result<(), String> {
    let before = state.clone();
    let done = apply_secrets(&commit.secrets, unit, state).and_then(|()| apply_rest(commit, unit, state));
    if done.is_err() && unit.juju >= JujuVersion::V4_0 {
        *state = before;
    }
    done
}

fn apply_rest(commit: &Commit, unit: &Unit, state: &mut State) -> Result<(), String> {
    if state.model.substrate == Substrate::Kubernetes && commit.open_ports.iter().any(|port| port.protocol == "icmp") {
        return Err("converting port icmp to a Kubernetes service port: protocol \"icmp\" not supported".into());
    }
    for (id, settings) in &commit.relations {
        if let Some(relation) = state.relations.iter_mut().find(|relation| relation.id == *id) {
            put(&mut relation.local_unit_data, settings.unit.as_ref());
            put(&mut relation.local_app_data, settings.app.as_ref());
            if unit.metadata.endpoints.get(&relation.endpoint).map(|endpoint| endpoint.role)
                == Some(super::metadata::Role::Peer)
            {
                relation.remote_app_data = relation.local_app_data.clone();
            }
        }
    }
    for port in &commit.close_ports {
        state
            .opened_ports
            .retain(|open| !(open.same_range(port) && (port.endpoint.is_empty() || port.endpoint == open.endpoint)));
    }
    state.opened_ports.extend(commit.open_ports.iter().cloned());
    if let Some(charm_state) = &commit.charm_state {
        state.charm_state = Some(charm_state.clone());
    }
    for (name, count) in &commit.storage {
        *state.requested_storage.entry(name.clone()).or_default() += count;
    }
    if commit.network_info {
        refresh_addresses(state);
    }
    Ok(())
}

fn put(bag: &mut Bag, settings: Option<&Bag>) {
    if let Some(settings) = settings {
        *bag = settings
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
    }
}

/// After `config-changed` Juju sees to it that the unit bags hold addresses. Those that are there stay: no address
/// changes under test.
fn refresh_addresses(state: &mut State) {
    let usual = match state.model.substrate {
        Substrate::Machine => Network::usual_machine(),
        Substrate::Kubernetes => Network::usual_pod(),
    };
    for relation in state.relations.iter_mut().filter(|relation| !relation.forgotten) {
        let network = state.networks.get(&relation.endpoint).unwrap_or(&usual);
        let (Some(ingress), Some(egress)) = (network.ingress.first(), network.egress.first()) else {
            continue;
        };
        for (key, value) in [("ingress-address", ingress), ("private-address", ingress), ("egress-subnets", egress)] {
            relation.local_unit_data.entry(key.into()).or_insert_with(|| value.clone());
        }
    }
}

/// In the order of Juju 3.6: create, update, track, grant, revoke, remove.
fn apply_secrets(changes: &SecretChanges, unit: &Unit, state: &mut State) -> Result<(), String> {
    let SecretChanges { creates, updates, deletes, grants, revokes, track_latest } = changes;
    for (id, create) in creates {
        if let Some(label) = &create.fields.label {
            refuse_label(state, &create.owner, label, id)?;
        }
        let mut secret = Secret::owned(id, create.owner.clone());
        secret.rotate = "never".into();
        change(&mut secret, &create.fields);
        state.secrets.push(secret);
    }
    for (id, fields) in updates {
        let found = state.secrets.iter().position(|secret| secret.id == *id);
        let Some(index) = found else {
            // A secret that was removed meanwhile is passed over from Juju 4 on.
            if unit.juju >= JujuVersion::V4_0 {
                continue;
            }
            return Err(format!("secret \"{id}\" not found"));
        };
        if !state.secrets[index].managed_by(&unit.name(), state.leader) {
            return Err("permission denied".into());
        }
        if let Some(label) = &fields.label {
            let owner = state.secrets[index].owner.clone();
            refuse_label(state, &owner, label, id)?;
        }
        change(&mut state.secrets[index], fields);
    }
    for id in track_latest {
        if let Some(secret) = find(state, id) {
            let revision = secret.latest();
            secret.consumers.entry(unit.name()).or_insert_with(Consumer::default).revision = revision;
        }
    }
    for ((id, relation), Grant { target }) in grants {
        if let Some(secret) = find(state, id) {
            secret.access.insert(Access { target: target.clone(), relation: Some(*relation) });
        }
    }
    for Revoke { id, target } in revokes {
        if let Some(secret) = find(state, id) {
            secret.access.retain(|access| access.target != *target);
        }
    }
    for (id, revisions) in deletes {
        let leader = state.leader;
        let Some(secret) = find(state, id) else { continue };
        if !secret.managed_by(&unit.name(), leader) {
            return Err("permission denied".into());
        }
        match revisions {
            Some(revisions) => secret.revisions.retain(|revision, _| !revisions.contains(revision)),
            None => secret.revisions.clear(),
        }
        if secret.revisions.is_empty() {
            state.secrets.retain(|secret| secret.id != *id);
        }
    }
    Ok(())
}

fn find<'a>(state: &'a mut State, id: &str) -> Option<&'a mut Secret> {
    state.secrets.iter_mut().find(|secret| secret.id == id)
}

fn refuse_label(state: &State, owner: &Owner, label: &str, id: &str) -> Result<(), String> {
    let taken = state.secrets.iter().any(|secret| secret.owner == *owner && secret.label == label && secret.id != id);
    if taken && !label.is_empty() {
        return Err(format!("secret with label \"{label}\" already exists"));
    }
    Ok(())
}

fn change(secret: &mut Secret, fields: &SecretFields) {
    let SecretFields { content, label, description, rotate, expire } = fields;
    if let Some(content) = content {
        secret.revisions.insert(secret.latest() + 1, decoded(content));
    }
    for (field, value) in
        [(&mut secret.label, label), (&mut secret.description, description), (&mut secret.rotate, rotate)]
    {
        if let Some(value) = value {
            field.clone_from(value);
        }
    }
    if expire.is_some() {
        secret.expire.clone_from(expire);
    }
}
