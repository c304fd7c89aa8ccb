//! What is there. Reads everything, changes nothing. Bad data of a user or a peer is a fact, not an error.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;
use charm_core::config::RawConfig;
use charm_core::hook::Proxy;
use charm_core::interfaces::{DatabagError, RelationData, loki_push_api};
use charm_core::names::{RelationId, UnitName};
use charm_core::pebble::{self, FileType, Layer};
use charm_core::relation::{self, Databag, RemoteUnits, Side};
use charm_core::topology::Topology;
use charm_core::{Event, Hook, juju, secret};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::log::{ALL_LINES, Log};
use crate::names::{
    CERTIFICATES, CHARM, CONFIG_FILE, CONTAINER, HTTP_ENDPOINT, INGRESS, PROGRAMS, SEND_LOKI_LOGS, SERVICE,
};
use crate::outputs::secrets::{self, Secrets};
use crate::outputs::{Server, Surroundings, table};
use crate::render;
use crate::sinks::Sinks;

/// A server of the same cluster answers in milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// Everything a decision may depend on.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Who this unit is.
    pub topology: Topology,
    /// Whether this is an event in which the program may have become another one.
    pub program_may_be_new: bool,
    /// The options.
    pub config: RawConfig,
    /// The proxies of the model.
    pub proxy: Proxy,
    /// The secrets that the options name.
    pub secrets: Secrets,
    /// `send-loki-logs`: related? usable? published?
    pub loki: Option<Result<Option<loki_push_api::Provider>, Unusable>>,
    /// What our application published on `send-loki-logs`; empty unless this is the leader.
    pub told_loki: BTreeMap<RelationId, Databag>,
    /// What our application published on `http-endpoint`; empty unless this is the leader.
    pub told_falcos: BTreeMap<RelationId, Databag>,
    /// Where others reach this application; empty unless this is the leader and there are others.
    pub addresses: Vec<String>,
    /// Endpoints that are related and that this revision does not serve.
    pub unserved: Vec<&'static str>,
    /// Ports that this unit has opened: `2801/tcp`.
    pub opened_ports: Vec<String>,
    /// The container, or `None` while its Pebble does not answer.
    pub container: Option<Container>,
}

/// A databag of a unit that cannot be used.
#[derive(Clone, Debug)]
pub struct Unusable(pub UnitName, pub DatabagError);

/// The container of Falcosidekick.
#[derive(Clone, Debug, Default)]
pub struct Container {
    /// All layers combined.
    pub plan: Layer,
    /// The content of the configuration file.
    pub config_file: Option<Vec<u8>>,
    /// Where the program stands, as a command has to name it; `None` when it is in none of the usual places.
    pub program: Option<String>,
    /// The path of the configuration file, as a command has to name it.
    pub config_path: String,
    /// Files besides the configuration that the plan names, by path, with their content.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What Falcosidekick said; empty unless there are outputs that it drops while their server is down.
    pub log: Vec<String>,
    /// Outputs that it dropped, and whose server answers now.
    pub answering: BTreeSet<&'static str>,
    /// Outputs without whose server it would crash, and whose server does not answer now.
    pub absent: BTreeSet<&'static str>,
}

/// Reads all of it: one hook command for most, and three requests to Pebble once the layer is ours.
pub async fn gather(hook: &Hook) -> Result<Facts> {
    let leader = juju::is_leader()?;
    let loki = relation::remote_units(hook, SEND_LOKI_LOGS)?;
    let falcos = relation::ids(hook, HTTP_ENDPOINT)?;
    let mut unserved = Vec::new();
    for endpoint in [CERTIFICATES, INGRESS] {
        if !relation::ids(hook, endpoint)?.is_empty() {
            unserved.push(endpoint);
        }
    }
    let topology = Topology::of(hook, CHARM);
    let config = juju::config_get()?;
    let mut secrets = Secrets::new();
    for id in secrets::wanted(&config) {
        let content = secret::content(&id)?;
        secrets.insert(id, content);
    }
    let around = Surroundings { app: &topology.application, loki_is_related: !loki.is_empty(), secrets: &secrets };
    let late = Sinks::parse(&config, &around).map(|sinks| sinks.outputs.late()).unwrap_or_default();
    let container = match container(&hook.container(CONTAINER)?, &late).await {
        Err(error) if error.is_not_ready() => None,
        other => Some(other?),
    };
    Ok(Facts {
        program_may_be_new: program_may_be_new(&hook.event),
        proxy: hook.proxy.clone(),
        told_loki: told(hook, leader, loki.iter().map(|relation| relation.id))?,
        told_falcos: told(hook, leader, falcos.iter().copied())?,
        addresses: if leader && !falcos.is_empty() {
            juju::network_get(HTTP_ENDPOINT)?.ingress_addresses
        } else {
            Vec::new()
        },
        loki: published(&loki),
        unserved,
        opened_ports: juju::opened_ports()?,
        topology,
        config,
        secrets,
        container,
    })
}

/// The image can only change with the pod, which is told by these.
fn program_may_be_new(event: &Event) -> bool {
    let pebble_ready = format!("{CONTAINER}-pebble-ready");
    matches!(event, Event::Reconcile(name) if name == "config-changed" || *name == pebble_ready)
}

/// Our application's databags, which only the leader may read.
fn told(
    hook: &Hook,
    leader: bool,
    relations: impl Iterator<Item = RelationId>,
) -> Result<BTreeMap<RelationId, Databag>> {
    relations
        .filter(|_| leader)
        .filter_map(|id| Some(relation::own(hook, id, Side::App).transpose()?.map(|databag| (id, databag))))
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
    let config_path = pebble.path(CONFIG_FILE);
    let mut files = BTreeMap::new();
    for path in render::files_in(&plan) {
        if let Some(content) = pebble.read_file(path).await? {
            files.insert(path.to_owned(), content);
        }
    }
    let log = if late.is_empty() || !plan.services.contains_key(SERVICE) {
        Vec::new()
    } else {
        pebble.logs(&[SERVICE], ALL_LINES).await?.into_iter().map(|line| line.message).collect()
    };
    let (answering, absent) = look_for(late, &log).await;
    Ok(Container {
        answering,
        absent,
        files,
        log,
        config_file: pebble.read_file(CONFIG_FILE).await?,
        program: program(pebble, &plan, &config_path).await?,
        plan,
        config_path,
    })
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
