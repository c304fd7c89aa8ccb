//! What is there. Reads everything, changes nothing. Bad data of a user or a peer is a fact, not an error.

mod certificates;
pub mod cluster;
mod ingress;
mod observability;
pub mod options;
mod trust;
pub mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;
use charm_core::config::RawConfig;
use charm_core::digest::Digest;
use charm_core::hook::{Proxy, SecretEvent};
use charm_core::interfaces::{self, DatabagError, RelationData, certificate_transfer, loki_push_api};
use charm_core::juju::Network;
use charm_core::names::{AppName, RelationId, UnitName};
use charm_core::notes::{self, Notes, Told};
use charm_core::pebble::{self, FileType, Layer};
use charm_core::relation::{self, Databag, RemoteUnits, Side};
use charm_core::secret::Redacted;
use charm_core::topology::Topology;
use charm_core::{Event, Hook, Status, clock, juju};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::facts::options::Options;
use crate::kubernetes::{Cluster, MARK};
use crate::log::Log;
use crate::names::{
    CHARM, CONFIG_FILE, CONTAINER, FILES, HTTP_ENDPOINT, PROGRAMS, SEND_CA_CERT, SEND_LOKI_LOGS, SERVICE, SHADOWS,
};
use crate::observability::Observers;
use crate::outputs::secrets::Secrets;
use crate::outputs::{Server, Surroundings, table};
use crate::render;
use crate::sinks::Sinks;
use crate::tls::Authority;
use crate::turns::Turns;

/// More lines than Pebble keeps of a service.
const ALL_LINES: u32 = 10_000;

/// A server of the same cluster answers in milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// Everything a decision may depend on.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Who this unit is.
    pub topology: Topology,
    /// Its number.
    pub unit: u32,
    /// The time, in seconds since 1970.
    pub now: i64,
    /// Whether this unit leads.
    pub leader: bool,
    /// Whether this is an event in which the program may have become another one.
    pub program_may_be_new: bool,
    /// The options that are in force.
    pub config: RawConfig,
    /// What is wrong with those that are set instead, if they are not in force.
    pub refused: Option<Status>,
    /// The options that Falcosidekick served with last, as Juju keeps them.
    pub kept_options: Redacted<Option<String>>,
    /// The proxies of the model.
    pub proxy: Proxy,
    /// The secrets that the options name.
    pub secrets: Secrets,
    /// `send-loki-logs`: related? usable? published?
    pub loki: Option<Result<Option<loki_push_api::Provider>, Unusable>>,
    /// What our application published on `send-loki-logs`; empty unless this is the leader.
    pub told_loki: BTreeMap<RelationId, Told>,
    /// What our application published on `http-endpoint`; empty unless this is the leader.
    pub told_falcos: BTreeMap<RelationId, Told>,
    /// Of the Falcos those in the same model; empty unless this is the leader, and with an ingress, where all are sent.
    pub near: BTreeSet<RelationId>,
    /// Where others reach this application; empty unless somebody is to be told, or a certificate has to name them.
    pub addresses: Vec<String>,
    /// The address of this unit itself, under the same conditions.
    pub own_address: Option<IpAddr>,
    /// The way in from outside.
    pub ingress: Option<Ingress>,
    /// The way in from outside by Kubernetes' own means.
    pub cluster: Cluster,
    /// Who signs this unit's certificate.
    pub authority: Option<Authority>,
    /// What this unit asked for in the relation to one whose end this hook tells.
    pub last_asked: Option<Databag>,
    /// Whom others tell us to believe.
    pub received: Vec<Received>,
    /// What our application published on `send-ca-cert`; empty unless this is the leader.
    pub told_authorities: BTreeMap<RelationId, Told>,
    /// The secret that this hook tells to be due.
    pub due: Option<SecretEvent>,
    /// The revision of a secret that this hook tells to be read by nobody any more.
    pub unread: Option<SecretEvent>,
    /// Those who look at Falcosidekick.
    pub observers: Observers,
    /// The other units, if there may be some.
    pub turns: Option<Turns>,
    /// Ports that this unit has opened: `2801/tcp`.
    pub opened_ports: Vec<String>,
    /// The container, or `None` while its Pebble does not answer.
    pub container: Option<Container>,
    /// What of all this the next hook need not ask for.
    pub notes: Notes,
}

/// The relation to whoever has a way in from outside.
#[derive(Clone, Debug)]
pub struct Ingress {
    /// The relation.
    pub relation: RelationId,
    /// Who it is.
    pub app: AppName,
    /// What it published.
    pub published: Result<Option<interfaces::ingress::Provider>, DatabagError>,
    /// What our application published, if this is the leader.
    pub told_app: Option<Told>,
    /// What this unit published.
    pub told_unit: Told,
}

/// A relation to somebody who tells us whom to believe.
#[derive(Clone, Debug)]
pub struct Received {
    /// The relation.
    pub relation: RelationId,
    /// Who it is.
    pub app: AppName,
    /// What it published.
    pub published: Result<Option<certificate_transfer::Provider>, DatabagError>,
    /// What our application published, if this is the leader.
    pub told: Option<Told>,
}

/// A databag of a unit that cannot be used.
#[derive(Clone, Debug)]
pub struct Unusable(pub UnitName, pub DatabagError);

/// The container of Falcosidekick.
#[derive(Clone, Debug, Default)]
pub struct Container {
    /// All layers combined.
    pub plan: Layer,
    /// What our files hold, and those that would be read in their place; those that are there.
    pub files: BTreeMap<String, Digest>,
    /// Where the program stands, as a command has to name it; `None` when it is in none of the usual places.
    pub program: Option<String>,
    /// What commands and configurations have to put before a path: nothing on a unit.
    pub root: String,
    /// What Falcosidekick said; empty unless there are outputs that it drops while their server is down.
    pub log: Vec<String>,
    /// Outputs that it dropped, and whose server answers now.
    pub answering: BTreeSet<&'static str>,
    /// Outputs without whose server it would crash, and whose server does not answer now.
    pub absent: BTreeSet<&'static str>,
}

impl Container {
    /// An absolute path as a command or a configuration has to name it.
    pub fn path(&self, absolute: &str) -> String {
        format!("{}{absolute}", self.root)
    }
}

/// Reads all of it: a hook command for what may be new, none for what is noted, and three requests to Pebble once the
/// layer is ours. How many relations there are to those who are only told something makes no difference.
pub async fn gather(hook: &Hook) -> Result<Facts> {
    let kept = juju::state_get_all()?;
    let mut notes = Notes::read(hook, kept.get(notes::KEY).map(String::as_str));
    let leader = juju::is_leader()?;
    let loki = relation::remote_units(hook, SEND_LOKI_LOGS)?;
    let falcos = notes.ids(hook, HTTP_ENDPOINT)?;
    let authority = certificates::authority(hook, &mut notes)?;
    let ingress = ingress::ingress(hook, leader, &mut notes)?;
    let network = if (leader && !falcos.is_empty()) || authority.is_some() || ingress.is_some() {
        juju::network_get(HTTP_ENDPOINT)?
    } else {
        Network::default()
    };
    let topology = Topology::of(hook, CHARM);
    let kept_options = kept.get(options::KEY);
    let in_force = options::in_force(
        &topology.application,
        !loki.is_empty(),
        juju::config_get()?,
        kept_options.map(String::as_str),
    )?;
    let Options { config, secrets, refused } = in_force;
    let cluster = cluster::cluster(hook, leader, &config, kept.contains_key(MARK)).await?;
    let around = Surroundings { app: &topology.application, loki_is_related: !loki.is_empty(), secrets: &secrets };
    let late = Sinks::parse(&config, &around).map(|sinks| sinks.outputs.late()).unwrap_or_default();
    let container = match container(&hook.container(CONTAINER)?, &late).await {
        Err(error) if error.is_not_ready() => None,
        other => Some(other?),
    };
    Ok(Facts {
        observers: observability::gather(hook, leader, container.as_ref(), &mut notes)?,
        unit: hook.unit.number,
        now: clock::now(),
        leader,
        program_may_be_new: program_may_be_new(&hook.event),
        proxy: hook.proxy.clone(),
        told_loki: told(hook, leader, loki.iter().map(|relation| relation.id), &mut notes)?,
        told_falcos: told(hook, leader, falcos.iter().copied(), &mut notes)?,
        near: near(hook, falcos.iter().copied().filter(|_| leader && ingress.is_none()), &mut notes)?,
        own_address: network.own_address(),
        addresses: network.ingress_addresses,
        ingress,
        received: trust::received(hook, leader, &mut notes)?,
        told_authorities: {
            let relations = notes.ids(hook, SEND_CA_CERT)?;
            told(hook, leader, relations.into_iter(), &mut notes)?
        },
        loki: published(&loki),
        cluster,
        authority,
        last_asked: certificates::last_asked(hook)?,
        due: secret_of(hook, "secret-expired"),
        unread: secret_of(hook, "secret-remove"),
        turns: turns::turns(hook, leader, &mut notes)?,
        opened_ports: notes.opened_ports()?,
        topology,
        config,
        refused,
        kept_options: Redacted::new(kept_options.cloned()),
        secrets,
        container,
        notes,
    })
}

/// The secret that an event of this name is about.
fn secret_of(hook: &Hook, event: &str) -> Option<SecretEvent> {
    hook.secret.clone().filter(|_| hook.event.is(event))
}

/// The image can only change with the pod, which is told by these.
fn program_may_be_new(event: &Event) -> bool {
    event.is(&format!("{CONTAINER}-pebble-ready"))
}

/// The relations of which both sides are in the same model.
fn near(hook: &Hook, relations: impl Iterator<Item = RelationId>, notes: &mut Notes) -> Result<BTreeSet<RelationId>> {
    let mut is_near = |id: &RelationId| Ok(notes.model(*id)?.as_ref() == Some(&hook.model.uuid));
    relations.filter_map(|id| is_near(&id).map(|near| near.then_some(id)).transpose()).collect()
}

/// Our application's databags, which only the leader may read.
fn told(
    hook: &Hook,
    leader: bool,
    relations: impl Iterator<Item = RelationId>,
    notes: &mut Notes,
) -> Result<BTreeMap<RelationId, Told>> {
    relations
        .filter(|_| leader)
        .filter_map(|id| Some(notes.told(hook, id, Side::App).transpose()?.map(|told| (id, told))))
        .collect()
}

/// What the unit with the lowest number published among those that published something, so that the choice is the same
/// in each hook.
fn published(relations: &[RemoteUnits]) -> Option<Result<Option<loki_push_api::Provider>, Unusable>> {
    let read = |(unit, databag): (&UnitName, &Databag)| {
        let provider = loki_push_api::Provider::read(databag);
        provider.map_err(|error| Unusable(unit.clone(), error)).transpose()
    };
    let first = relations.iter().flat_map(|relation| &relation.units).find_map(read);
    (!relations.is_empty()).then(|| first.transpose())
}

async fn container(pebble: &pebble::Client, late: &BTreeMap<&'static str, Server>) -> pebble::Result<Container> {
    let plan = pebble.plan().await?;
    let files = pebble.read_files(&[FILES.as_slice(), &SHADOWS].concat()).await?;
    let log =
        if late.is_empty() || !plan.services.contains_key(SERVICE) { Vec::new() } else { printed(pebble).await? };
    let (answering, absent) = look_for(late, &log).await;
    Ok(Container {
        answering,
        absent,
        log,
        files: files.into_iter().map(|(path, content)| (path, Digest::of(content))).collect(),
        program: program(pebble, &plan, &pebble.path(CONFIG_FILE)).await?,
        plan,
        root: pebble.path(""),
    })
}

/// The lines that Falcosidekick printed, oldest first.
pub async fn printed(pebble: &pebble::Client) -> pebble::Result<Vec<String>> {
    Ok(pebble.logs(&[SERVICE], ALL_LINES).await?.into_iter().map(|line| line.message).collect())
}

/// Of the outputs that Falcosidekick did not enable at its last start, those whose server is there now, and those
/// without whose server it would crash and whose server is not.
async fn look_for(
    late: &BTreeMap<&'static str, Server>,
    log: &[String],
) -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
    let log = Log::new(log);
    let mut known: BTreeMap<&Server, bool> = BTreeMap::new();
    let (mut answering, mut absent) = (BTreeSet::new(), BTreeSet::new());
    for (path, server) in late {
        let Some(block) = table::block(path) else { continue };
        let is_enabled = log.is_enabled(block.name);
        if is_enabled == Some(true) || is_enabled.is_none() && !block.crashes {
            continue;
        }
        if !known.contains_key(server) {
            known.insert(server, timeout(PATIENCE, is_there(server)).await.unwrap_or(false));
        }
        match (block.crashes, known[server]) {
            (false, true) => drop(answering.insert(*path)),
            (true, false) => drop(absent.insert(*path)),
            _ => {}
        }
    }
    (answering, absent)
}

async fn is_there(server: &Server) -> bool {
    let address = (server.host.as_str(), server.port);
    if server.is_udp { lookup_host(address).await.is_ok() } else { TcpStream::connect(address).await.is_ok() }
}

/// Looks for the program, unless the plan names it in a command of ours already.
async fn program(pebble: &pebble::Client, plan: &Layer, config_path: &str) -> pebble::Result<Option<String>> {
    let command = plan.services.get(SERVICE).map(|service| service.command.as_str());
    let is_named = |path: &String| command == Some(&render::command(path, config_path));
    if let Some(path) = PROGRAMS.iter().map(|path| pebble.path(path)).find(is_named) {
        return Ok(Some(path));
    }
    for path in PROGRAMS {
        let found = pebble.list_files(path).await?.unwrap_or_default();
        if found.iter().any(|entry| entry.path == path && entry.r#type == FileType::File) {
            return Ok(Some(pebble.path(path)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation(units: &[(&str, &str)]) -> RemoteUnits {
        let bag = |endpoint: &str| [("endpoint", endpoint)].into_iter().collect();
        RemoteUnits {
            id: "7".parse().unwrap(),
            units: units.iter().map(|(unit, endpoint)| (unit.parse().unwrap(), bag(endpoint))).collect(),
        }
    }

    #[test]
    fn the_lowest_number_of_those_that_published_is_taken() {
        let relations = [relation(&[
            ("loki/10", r#"{"url": "http://ten/"}"#),
            ("loki/2", r#"{"url": "http://two/"}"#),
            ("loki/1", ""),
        ])];
        let provider = published(&relations).unwrap().unwrap().unwrap();
        assert_eq!(provider.url.as_str(), "http://two/");
    }

    #[test]
    fn not_related_not_published_and_unusable_are_told_apart() {
        assert!(published(&[]).is_none());
        assert!(published(&[relation(&[])]).unwrap().unwrap().is_none());
        assert!(published(&[relation(&[("loki/0", "")])]).unwrap().unwrap().is_none());
        let Some(Err(Unusable(unit, _))) = published(&[relation(&[("loki/0", "garbage")])]) else { panic!() };
        assert_eq!(unit.to_string(), "loki/0");
    }
}
