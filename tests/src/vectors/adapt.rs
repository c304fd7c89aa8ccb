//! From a vector to a hook of ours, and everything that is put differently on the way.

use std::collections::BTreeSet;

use serde_json::Value;

use super::format::{self, Vector};
use crate::juju::metadata::Role;
use crate::juju::state::{Address, Bag, Device};
use crate::juju::{
    Event, JujuVersion, Metadata, Model, Network, OpenedPort, Owner, Relation, Secret, State, Status, Substrate,
};
use crate::ports::free_port;

/// Something that is put differently than the vector has it; [`Self::reason`] tells what, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Adaptation {
    Resource,
    OtherModel,
    WayIn,
    FreePort,
    Departed,
    Kept,
    Paths,
    Texts,
    Workload,
    Failing,
}

impl Adaptation {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Resource,
        Self::OtherModel,
        Self::WayIn,
        Self::FreePort,
        Self::Departed,
        Self::Kept,
        Self::Paths,
        Self::Texts,
        Self::Workload,
        Self::Failing,
    ];

    /// What is put differently, and why.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Resource => {
                "a distribution is attached as the resource falco: the Python charm brings Falco with it, ours need not"
            }
            Self::OtherModel => {
                "the Falco on the other side is in another model, as machines cannot be in this one; vectors do not tell"
            }
            Self::WayIn => {
                "a proxy of this machine stands for the way in, under the path of the vector, and is put back"
            }
            Self::FreePort => "ports that a process listens on are free ones, and are put back before the comparison",
            Self::Departed => "the remote units have departed before the last hook of a relation, as Juju has it",
            Self::Kept => "what the Python charm and its libraries keep between hooks is left out: ours keeps nothing",
            Self::Paths => "the paths of the machine or the container lie below the folder of the test",
            Self::Texts => "a file whose text was left out gets another one that says the same",
            Self::Workload => {
                "the workload of the Python charm is the stand-in with the same listener, without TLS where the vector \
                 has no certificate"
            }
            Self::Failing => "the workload does not stay up; of these vectors only the name says so",
        }
    }
}

/// Beginnings of the names of vectors whose workload does not stay up.
const FAILING: [&str; 2] = ["workload_fails_to_start", "service_not_active"];

/// Where Falcosidekick serves health and metrics beside TLS unless told otherwise.
const BESIDE_TLS: u16 = 2810;

/// The model of a Falco.
const MACHINES: &str = "9b5d2c1e-7f30-4a6b-8c4d-2e1f0a9b8c7d";

/// Where Falco serves its metrics unless told otherwise.
pub const METRICS_PORT: u16 = 8765;

/// The ports of a vector, and those that take their place.
#[derive(Clone, Debug, Default)]
pub struct Ports(Vec<(u16, u16)>);

impl Ports {
    /// The port in the place of that of the vector, if it has to listen.
    pub fn here(&self, in_vector: u16) -> u16 {
        self.0.iter().find(|(theirs, _)| *theirs == in_vector).map_or(in_vector, |(_, here)| *here)
    }

    /// The port of the vector in whose place that one is.
    pub fn in_vector(&self, here: u16) -> u16 {
        self.0.iter().find(|(_, ours)| *ours == here).map_or(here, |(theirs, _)| *theirs)
    }

    /// A text with the ports of the vector, as far as they stand behind a colon. The free ones have five digits, so
    /// that nothing else is hit.
    pub fn text_in_vector(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, (theirs, here)| text.replace(&format!(":{here}"), &format!(":{theirs}")))
    }

    /// A text with the free ports, as far as they stand behind a colon and before a path.
    pub fn text_here(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, (theirs, here)| text.replace(&format!(":{theirs}/"), &format!(":{here}/")))
    }

    fn add(&mut self, in_vector: u16) {
        if in_vector != 0 && self.here(in_vector) == in_vector {
            self.0.push((in_vector, free_port()));
        }
    }
}

/// A hook of ours in the place of that of a vector.
#[derive(Debug)]
pub struct Scenario<'a> {
    /// The vector.
    pub vector: &'a Vector,
    /// What Juju knows before.
    pub state: State,
    /// The hook.
    pub event: Event,
    /// The release of Juju.
    pub juju: JujuVersion,
    /// The number of the unit.
    pub number: u32,
    /// The ports.
    pub ports: Ports,
    /// What was put differently.
    pub adapted: BTreeSet<Adaptation>,
}

impl<'a> Scenario<'a> {
    /// The hook, or why this revision of our charm cannot be put into the place of the Python charm.
    pub fn of(vector: &'a Vector, metadata: &Metadata) -> Result<Self, String> {
        let number = vector.unit.strip_prefix(&vector.app).and_then(|rest| rest.strip_prefix('/')?.parse().ok());
        let mut scenario = Self {
            vector,
            state: State::default(),
            event: event(vector)?,
            juju: release(&vector.juju_version)?,
            number: number.ok_or_else(|| format!("{} is no unit of {}", vector.unit, vector.app))?,
            ports: Ports::default(),
            adapted: BTreeSet::new(),
        };
        scenario.find_ports();
        scenario.state = state(vector, metadata, &mut scenario)?;
        if scenario.vector.relates("certificates") {
            scenario.state.config.insert("metrics-port".into(), scenario.ports.here(BESIDE_TLS).into());
        }
        if !vector.input.stored_state.is_empty() || !vector.input.deferred.is_empty() {
            scenario.adapted.insert(Adaptation::Kept);
        }
        Ok(scenario)
    }

    /// Whether the workload is one that does not stay up.
    pub fn fails(&self) -> bool {
        FAILING.iter().any(|name| self.vector.vector.starts_with(name))
    }

    fn find_ports(&mut self) {
        let input = &self.vector.input;
        let option = input.config.get("port").and_then(Value::as_u64);
        let listening = input
            .containers
            .iter()
            .flat_map(|container| container.files.values())
            .filter_map(|file| file.yaml.as_ref()?.get("listenport")?.as_u64());
        for port in option.into_iter().chain(listening).filter_map(|port| u16::try_from(port).ok()) {
            self.ports.add(port);
        }
        if input.containers.is_empty() {
            self.ports.add(METRICS_PORT);
        } else if self.vector.relates("certificates") {
            self.ports.add(BESIDE_TLS);
        }
        if !self.ports.0.is_empty() {
            self.adapted.insert(Adaptation::FreePort);
        }
    }
}

fn release(version: &str) -> Result<JujuVersion, String> {
    let numbers = |release: &JujuVersion| format!("{}.{}.", release.numbers().0, release.numbers().1);
    let known = JujuVersion::ALL.into_iter().find(|release| version.starts_with(&numbers(release)));
    known.ok_or_else(|| format!("Juju {version} is not played"))
}

fn event(vector: &Vector) -> Result<Event, String> {
    let event = &vector.event;
    let hook = event.hook.as_str();
    let missing = |what: &str| format!("{hook} without {what}");
    if let Some(endpoint) = &event.relation {
        let id = event.relation_id.ok_or_else(|| missing("relation_id"))?;
        let unit = event.remote_unit.clone();
        let some_unit = || unit.clone().ok_or_else(|| missing("remote_unit"));
        return Ok(match hook.strip_prefix(endpoint.as_str()) {
            Some("-relation-created") => Event::relation_created(id),
            Some("-relation-joined") => Event::relation_joined(id, some_unit()?),
            Some("-relation-changed") => {
                unit.map_or_else(|| Event::relation_changed_by_app(id), |unit| Event::relation_changed(id, unit))
            }
            Some("-relation-departed") => match &event.departing_unit {
                Some(departing) if *departing == vector.unit => {
                    Event::relation_departed_self(id, some_unit()?, departing)
                }
                _ => Event::relation_departed(id, some_unit()?),
            },
            Some("-relation-broken") => Event::relation_broken(id),
            _ => return Err(format!("{hook} is no hook of {endpoint}")),
        });
    }
    if let Some(container) = &event.workload {
        let is_ready = hook.strip_prefix(container.as_str()) == Some("-pebble-ready");
        return if is_ready { Ok(Event::pebble_ready(container)) } else { Err(format!("{hook} is not played")) };
    }
    if let Some(secret) = &event.secret {
        let id = secret.id.trim_start_matches("secret:");
        let revision = || secret.revision.ok_or_else(|| missing("revision"));
        return Ok(match hook {
            "secret-changed" => Event::secret_changed(id),
            "secret-rotate" => Event::secret_rotate(id),
            "secret-remove" => Event::secret_remove(id, revision()?),
            "secret-expired" => Event::secret_expired(id, revision()?),
            _ => return Err(format!("{hook} is not played")),
        });
    }
    Ok(match hook {
        "install" => Event::install(),
        "start" => Event::start(),
        "config-changed" => Event::config_changed(),
        "upgrade-charm" => Event::upgrade_charm(),
        "update-status" => Event::update_status(),
        "leader-elected" => Event::leader_elected(),
        "leader-settings-changed" => Event::leader_settings_changed(),
        "stop" => Event::stop(),
        "remove" => Event::remove(),
        _ => return Err(format!("{hook} is not played")),
    })
}

fn state(vector: &Vector, metadata: &Metadata, scenario: &mut Scenario<'_>) -> Result<State, String> {
    let input = &vector.input;
    let mut state = match input.model.r#type.as_str() {
        "kubernetes" => State::kubernetes(),
        "lxd" => State::machine(),
        other => return Err(format!("a model of type {other} is not played")),
    };
    let substrate: Substrate = state.model.substrate;
    state.model = Model { name: input.model.name.clone(), uuid: input.model.uuid.clone(), substrate };
    state.leader = input.leader;
    state.planned_units = Some(input.planned_units);
    state.unit_status = status(&input.unit_status);
    state.app_status = status(&input.app_status);
    state.workload_version.clone_from(&input.workload_version);
    for (name, value) in &input.config {
        if !metadata.options.contains_key(name) {
            return Err(format!("this revision has no option {name}"));
        }
        state.config.insert(name.clone(), with_free_port(name, value, &scenario.ports));
    }
    for relation in &input.relations {
        state.relations.push(self::relation(vector, relation, metadata, &mut scenario.adapted)?);
    }
    for (protocol, number) in &input.opened_ports {
        let port = OpenedPort::tcp(scenario.ports.here(*number));
        state.opened_ports.insert(OpenedPort { protocol: protocol.clone(), ..port });
    }
    state.secrets = input.secrets.iter().map(|secret| self::secret(vector, secret)).collect::<Result<_, _>>()?;
    for network in &input.networks {
        if !metadata.endpoints.contains_key(&network.binding) {
            return Err(format!("this revision has no endpoint {}", network.binding));
        }
        state.networks.insert(network.binding.clone(), self::network(network, substrate));
    }
    Ok(state)
}

fn substrate_of(vector: &Vector) -> Substrate {
    if vector.input.model.r#type == "kubernetes" { Substrate::Kubernetes } else { Substrate::Machine }
}

fn with_free_port(option: &str, value: &Value, ports: &Ports) -> Value {
    let port = value.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|_| option == "port");
    port.map_or_else(|| value.clone(), |port| ports.here(port).into())
}

fn status(status: &format::Status) -> Status {
    Status::new(&status.name, &status.message)
}

fn relation(
    vector: &Vector,
    relation: &format::Relation,
    metadata: &Metadata,
    adapted: &mut BTreeSet<Adaptation>,
) -> Result<Relation, String> {
    let format::Relation { id, endpoint, interface, kind, remote_app, .. } = relation;
    let declared =
        metadata.endpoints.get(endpoint).ok_or_else(|| format!("this revision has no endpoint {endpoint}"))?;
    if *interface != declared.interface {
        return Err(format!("{endpoint} is {} in this revision, not {interface}", declared.interface));
    }
    let is_subordinate = declared.container_scoped && declared.role == Role::Requirer;
    if !matches!((kind.as_deref(), is_subordinate), (None, false) | (Some("subordinate"), true)) {
        return Err(format!("{endpoint} is no relation of kind {kind:?} in this revision"));
    }
    let mut ours = Relation::new(*id, endpoint, remote_app);
    if substrate_of(vector) == Substrate::Kubernetes && *interface == "falcosidekick_http_endpoint" {
        ours = ours.remote_model(MACHINES);
        adapted.insert(Adaptation::OtherModel);
    }
    ours.remote_app_data = bag(&relation.remote_app_data)?;
    ours.local_app_data = bag(&relation.local_app_data)?;
    ours.local_unit_data = bag(&relation.local_unit_data)?;
    for (number, databag) in &relation.remote_units {
        ours.remote_units.insert(format!("{remote_app}/{number}"), bag(databag)?);
    }
    if vector.event.relation_id == Some(*id) && vector.event.hook.ends_with("-relation-broken") {
        if !ours.remote_units.is_empty() {
            adapted.insert(Adaptation::Departed);
        }
        ours = ours.broken();
    }
    Ok(ours)
}

fn bag(databag: &format::Databag) -> Result<Bag, String> {
    databag.iter().map(|(key, value)| Ok((key.clone(), value.text()?))).collect()
}

fn secret(vector: &Vector, secret: &format::Secret) -> Result<Secret, String> {
    let id = secret.id.trim_start_matches("secret:");
    let mut ours = match secret.owner.as_deref() {
        None => Secret::user(id, &vector.app).tracked(&vector.unit, 1, ""),
        Some("unit") => Secret::owned(id, Owner::Unit(vector.unit.clone())),
        Some("app") => Secret::owned(id, Owner::Application(vector.app.clone())),
        Some(other) => return Err(format!("{} is owned by {other}", secret.id)),
    };
    ours.label = secret.label.clone().unwrap_or_default();
    ours.rotate = secret.rotate.clone().unwrap_or_default();
    ours.expire = secret.expire_set.then(|| "2030-01-01T00:00:00Z".to_owned());
    ours = ours.revision(secret.tracked_content.clone());
    if secret.latest_content != secret.tracked_content {
        ours = ours.revision(secret.latest_content.clone());
    }
    Ok(ours)
}

fn network(network: &format::Network, substrate: Substrate) -> Network {
    let (name, cidr) = if substrate == Substrate::Machine { ("eth0", "10.0.0.0/8") } else { ("", "") };
    let address = |value: &String| Address { value: value.clone(), cidr: cidr.into(), ..Address::default() };
    let device =
        Device { name: name.into(), addresses: network.bind.iter().map(address).collect(), ..Device::default() };
    let egress = network.ingress.iter().map(|address| format!("{address}/32")).collect();
    Network { devices: vec![device], ingress: network.ingress.clone(), egress }
}
