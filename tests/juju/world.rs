//! The world of the recordings as a state of the harness.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use charm_tests::juju::hook::Hook;
use charm_tests::juju::state::{
    Access, Address, Bag, Consumer, Credential, Device, Goal, GoalEntry, Life, Network, OpenedPort, Owner, Relation,
    Secret, State, Status, Storage, Substrate,
};
use charm_tests::juju::unit::Unit;
use charm_tests::juju::{Event, JujuVersion, Metadata};
use serde_json::Value;
use tempfile::TempDir;

pub const MODEL_UUID: &str = "0f7e0b44-7a5f-4c3e-8d7d-1c6a2f4b9e01";
pub const OTHER_MODEL_UUID: &str = "9b2d8c66-3f1a-4d0e-9c55-7e8f6a1b2c02";
pub const RESOURCES_DIR: &str = "/var/lib/juju/resources";

const METADATA: &str = r#"
name: falco
provides: {http-endpoint: {interface: http}}
requires: {db: {interface: mysql}}
peers: {replicas: {interface: falco_peers}}
resources: {rules: {type: file, filename: rules.yaml}}
storage: {data: {type: filesystem}, logs: {type: block}}
actions: {run: {}}
config:
  options:
    booltext: {type: string}
    credentials: {type: secret}
    empty: {type: string}
    html: {type: string}
    large: {type: int}
    multi: {type: string}
    name: {type: string}
    numtext: {type: string}
    "off": {type: boolean}
    one: {type: int}
    port: {type: int}
    ratio: {type: float}
    ssl: {type: boolean}
    uni: {type: string}
    unset: {type: string}
"#;

/// `_world.json`, and the folder of files every case may read.
pub struct World {
    raw: Value,
    unit: Unit,
    folder: TempDir,
}

pub fn recordings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings/juju")
}

impl World {
    pub fn load() -> Self {
        let text = fs::read_to_string(recordings().join("_world.json")).unwrap();
        let raw: Value = serde_json::from_str(&text).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in raw["files_in_charm_dir"].as_object().unwrap() {
            let content = expand(content.as_str().unwrap());
            // Its bytes are no text, so the recording cannot show them.
            let bytes = if name == "bin.dat" { vec![0xff, 0xfe, 0, b'A'] } else { content.into_bytes() };
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        Self { raw, unit: Unit::of(Metadata::parse(METADATA).unwrap()), folder }
    }

    pub fn charm_dir(&self) -> &Path {
        self.folder.path()
    }

    /// The hook that a case runs in.
    pub fn hook(&self, case: &Value, version: JujuVersion) -> Hook {
        let context = &case["context"];
        let mut unit = self.unit.clone();
        unit.juju = version;
        if context["config"] == "no options" {
            unit.metadata.options.clear();
        }
        let event = event(context);
        let mut hook = Hook::new(&unit, &event, &self.state(case), self.charm_dir());
        if context["controller"] == "refuses the commit" {
            hook.refuse_commit = Some("secret with label \"app-owned\" already exists".into());
        }
        hook
    }

    fn state(&self, case: &Value) -> State {
        let context = &case["context"];
        let kubernetes = context["model"] == "kubernetes";
        let mut state = if kubernetes { State::kubernetes() } else { State::machine() };
        MODEL_UUID.clone_into(&mut state.model.uuid);
        state.leader = context["leader"] == true;
        state.config = from(&self.raw["config"]);
        state.config.retain(|_, value| !value.is_null());
        state.relations = self.raw["relations"].as_array().unwrap().iter().map(relation).collect();
        change_relation_7(&mut state, context);
        if context["secrets"] != "none" {
            state.secrets = self.raw["secrets"].as_array().unwrap().iter().map(secret).collect();
        }
        if context["charm_state"] != "none" {
            state.charm_state = Some(from(&self.raw["charm_state"]));
        }
        state.unit_status = Status::active("ready <&>");
        if case["args"].as_array().unwrap().iter().any(|arg| arg == "--application") {
            // The played controller had its own idea of the unit in its answer about the application.
            state.unit_status = Status::active("");
        }
        state.app_status = Status::active("all good");
        state.other_units = [("falco/1".to_owned(), Status::waiting("for db"))].into();
        state.leader_settings = [("a".to_owned(), "1".to_owned())].into();
        state.resources = [("rules".to_owned(), PathBuf::from(RESOURCES_DIR).join("rules.yaml"))].into();
        state.storages = self.raw["storage"].as_array().unwrap().iter().map(storage).collect();
        state.goal = Some(goal());
        state.credential = (context["trusted"] != false).then(credential);
        let no_address = context["addresses"] == "none";
        state.addresses.private = text(&self.raw["private_address"]).filter(|_| !no_address && !kubernetes);
        state.addresses.public = text(&self.raw["public_address"]).filter(|_| !no_address);
        state.networks = networks(kubernetes);
        open_ports(&mut state, context);
        assert_eq!(state.model.substrate == Substrate::Kubernetes, kubernetes);
        state
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn from<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

/// `<x*300>` is that letter 300 times.
pub fn expand(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let (before, after) = rest.split_at(start);
        out.push_str(before);
        if let Some((letters, length)) = repeated(after) {
            out.push_str(&letters);
            rest = &after[length..];
        } else {
            out.push('<');
            rest = &after[1..];
        }
    }
    out + rest
}

fn repeated(text: &str) -> Option<(String, usize)> {
    let (inside, _) = text[1..].split_once('>')?;
    let (letter, count) = inside.split_once('*')?;
    Some((letter.repeat(count.parse().ok()?), inside.len() + 2))
}

fn event(context: &Value) -> Event {
    if let Some(action) = context["action"].as_str() {
        let params = context["params"].as_object().cloned().unwrap_or_default();
        return params.into_iter().fold(Event::action(action), |event, (key, value)| event.param(key, value));
    }
    if let Some(storage) = context["storage"].as_str() {
        return Event::storage_attached(storage);
    }
    let hook = context["hook"].as_str().unwrap();
    let Some(relation) = context["relation"].as_str() else {
        assert_eq!(hook, "config-changed");
        return Event::config_changed();
    };
    let id: u32 = relation.split(':').nth(1).unwrap().parse().unwrap();
    let unit = context["remote_unit"].as_str().unwrap_or_default();
    match (hook.rsplit('-').next().unwrap(), unit) {
        ("created", _) => Event::relation_created(id),
        ("changed", "") => Event::relation_changed_by_app(id),
        ("changed", unit) => Event::relation_changed(id, unit),
        ("departed", unit) => Event::relation_departed(id, unit),
        ("broken", _) => Event::relation_broken(id),
        (other, _) => panic!("no event for {other}"),
    }
}

fn relation(raw: &Value) -> Relation {
    let app = raw["remote_app"].as_str().unwrap();
    let endpoint = raw["endpoint"].as_str().unwrap();
    let bag = |owner: &str| -> Bag { raw["remote_data"].get(owner).map(from).unwrap_or_default() };
    let units: Vec<String> = from(&raw["remote_units"]);
    let mut relation = Relation::new(from(&raw["id"]), endpoint, app);
    relation.remote_model_uuid =
        (raw["remote_model_uuid"] == "<other-model-uuid>").then(|| OTHER_MODEL_UUID.to_owned());
    relation.remote_app_data = bag(app);
    relation.remote_units = units.into_iter().map(|name| (name.clone(), bag(&name))).collect();
    relation.local_app_data = from(&raw["local_app_data"]);
    relation.local_unit_data = from(&raw["local_unit_data"]);
    relation
}

fn change_relation_7(state: &mut State, context: &Value) {
    let relation = state.relation_by_id_mut(7);
    relation.forgotten = context["controller"] == "no longer knows relation 7";
    match context["relation_7"].as_str() {
        Some("dying, mysql/0 and mysql/1 still there") => relation.life = Life::Dying,
        Some("dying, no units left") => *relation = relation.clone().broken(),
        Some("suspended, no units left") => {
            relation.life = Life::Suspended;
            relation.remote_units.clear();
        }
        _ => {}
    }
}

fn secret(raw: &Value) -> Secret {
    let owner = match raw["owner"].as_str().unwrap() {
        "unit-falco-0" => Owner::Unit("falco/0".into()),
        app => Owner::Application(app.strip_prefix("application-").unwrap().into()),
    };
    let foreign = owner == Owner::Application("mysql".into());
    let mut secret = Secret::owned(raw["id"].as_str().unwrap(), owner);
    for field in
        [("label", &mut secret.label), ("description", &mut secret.description), ("rotate", &mut secret.rotate)]
    {
        *field.1 = text(&raw[field.0]).unwrap();
    }
    let contents: BTreeMap<String, BTreeMap<String, String>> = from(&raw["content_base64"]);
    for (revision, content) in contents {
        let content = content.into_iter().map(|(key, value)| (key, STANDARD.decode(value).unwrap())).collect();
        secret.revisions.insert(revision.parse().unwrap(), content);
    }
    let tracked: u32 = from(&raw["tracked_revision"]);
    if tracked > 0 {
        let label = text(&raw["consumer_label"]).unwrap();
        secret.consumers.insert("falco/0".into(), Consumer { revision: tracked, label });
    }
    if foreign && raw["readable"] == true {
        secret.access.insert(Access { target: "falco".into(), relation: Some(7) });
    }
    for access in raw["access"].as_array().unwrap() {
        assert_eq!(access["scope-tag"], "relation-mysql.db#falco.db");
        let target = access["target-tag"].as_str().unwrap().strip_prefix("application-").unwrap();
        secret.access.insert(Access { target: target.into(), relation: Some(7) });
    }
    secret
}

fn storage(raw: &Value) -> Storage {
    from(raw)
}

fn goal() -> Goal {
    let entry = |status: &str| GoalEntry { status: status.into(), since: "2026-01-01 10:00:00Z".into() };
    let units = [("falco/0", "active"), ("falco/1", "waiting")];
    let db = [("mysql", "joined"), ("mysql/0", "active")];
    Goal {
        units: units.map(|(name, status)| (name.to_owned(), entry(status))).into(),
        relations: [("db".to_owned(), db.map(|(name, status)| (name.to_owned(), entry(status))).into())].into(),
    }
}

fn credential() -> Credential {
    Credential {
        cloud: ["lxd", "localhost", "default", "10.0.0.1:8443"].map(str::to_owned),
        auth_type: "certificate".into(),
        attributes: [("client-cert", "c<&>"), ("client-key", "k")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        ca_certificates: vec!["CA".into()],
    }
}

/// The networks of the played controller. They are not in `_world.json` and were taken from its answers.
fn networks(kubernetes: bool) -> BTreeMap<String, Network> {
    let device = |name: &str, mac: &str, addresses: &[(&str, &str)]| Device {
        name: name.into(),
        mac: mac.into(),
        addresses: addresses
            .iter()
            .map(|(value, cidr)| Address { value: (*value).into(), cidr: (*cidr).into(), ..Address::default() })
            .collect(),
    };
    let machine = Network {
        devices: vec![
            device("eth0", "00:16:3e:aa:bb:cc", &[("10.5.0.7", "10.5.0.0/24"), ("10.5.0.8", "10.5.0.0/24")]),
            device("eth1", "00:16:3e:aa:bb:dd", &[("fd00::7", "fd00::/64")]),
        ],
        ingress: vec!["203.0.113.7".into(), "10.5.0.7".into()],
        egress: vec!["203.0.113.7/32".into()],
    };
    let pod = Network::pod("10.1.7.9", "10.152.183.5");
    let without_address = Network { devices: vec![device("eth0", "", &[])], ..Network::default() };
    [
        ("db", if kubernetes { pod.clone() } else { machine }),
        ("pending", pod.pending()),
        ("nothing", Network::default()),
        ("noaddr", without_address),
    ]
    .map(|(binding, network)| (binding.to_owned(), network))
    .into()
}

fn open_ports(state: &mut State, context: &Value) {
    match &context["opened"] {
        Value::String(range) => {
            state.opened_ports.insert(port(range, ""));
        }
        Value::Object(map) => {
            for (endpoint, ranges) in map {
                let endpoint = if endpoint == "*" { "" } else { endpoint };
                state
                    .opened_ports
                    .extend(ranges.as_array().unwrap().iter().map(|range| port(range.as_str().unwrap(), endpoint)));
            }
        }
        _ => {}
    }
    if let Some(ranges) = context["opened_by_ubuntu/0_on_the_machine"].as_array() {
        let ports = ranges.iter().map(|range| port(range.as_str().unwrap(), "")).collect();
        state.machine_ports.insert("ubuntu/0".into(), ports);
    }
}

fn port(range: &str, endpoint: &str) -> OpenedPort {
    let (ports, protocol) = range.split_once('/').unwrap();
    let (from, to) = ports.split_once('-').unwrap_or((ports, ports));
    OpenedPort {
        protocol: protocol.into(),
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        endpoint: endpoint.into(),
    }
}
