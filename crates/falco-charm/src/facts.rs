//! Everything that a decision may depend on, and reading it. Changes nothing, but for the charm's own copy of the
//! operator's repository, and its notes of who is related.
//!
//! What an operator or a peer got wrong is a fact, too: an error here means that the machine itself is broken.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use charm_core::config::RawConfig;
use charm_core::digest::Digest;
use charm_core::interfaces::falcosidekick_http_endpoint::Provider;
use charm_core::interfaces::{DatabagError, RelationData};
use charm_core::names::{AppName, RelationId, UnitName};
use charm_core::relation::{Databag, Side};
use charm_core::systemd::Line;
use charm_core::topology::Topology;
use charm_core::{Hook, Status, clock, files, http, juju, relation, secret, systemd};
use serde::{Deserialize, Serialize};

use crate::authorities;
use crate::checked::Checked;
use crate::config::Config;
use crate::containers::{self, Containers};
use crate::delivery;
use crate::distribution::{self, Available};
use crate::generation::store::{self, Links};
use crate::generation::{Generation, Id};
use crate::host::{self, Abilities};
use crate::k8s_audit;
use crate::leftovers::{self, Leftovers};
use crate::metrics::Served;
use crate::paths::{
    CONFIG_FILE, DEFAULT_RULES, GOOD_CONFIG_FILE, GOOD_UNIT_FILE, PACKAGE_FILES, REFUSED_FILE, UNIT, UNIT_FILE,
    file_name,
};
use crate::remotes::Remotes;
use crate::render::falco_yaml;
use crate::render::unit::{self, DIGEST_VARIABLE};
use crate::repository::{self, Brought, Look};
use crate::trust::{self, Trust};

/// The name of this charm, which the application need not share.
const CHARM: &str = "falco";

/// The files that the charm writes whole, and their modes.
pub const FILES: [(&str, u32); 4] =
    [(CONFIG_FILE, 0o600), (UNIT_FILE, 0o644), (GOOD_CONFIG_FILE, 0o600), (GOOD_UNIT_FILE, 0o600)];

/// How long a running Falco is given to answer before it counts as silent. It opens its engine in two to four seconds.
const PATIENCE: Duration = Duration::from_secs(6);

/// How many of the last lines of Falco are looked at. A receiver that is away costs it one for each alert.
const PRINTED: usize = 200;

/// Everything that a decision may depend on.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Who we are.
    pub topology: Topology,
    /// Where the paths of this unit begin: empty, or a folder under test.
    pub root: String,
    /// The options as Juju gives them.
    pub config: RawConfig,
    /// The Falcosidekick on the other side, if one is related.
    pub sidekick: Option<Sidekick>,
    /// Whom Falco is to trust there, and whether that is enough.
    pub trust: Trust,
    /// The relations to an observability agent, and what this unit has published there.
    pub cos_agent: Vec<(RelationId, Databag)>,
    /// What the Python charm left here.
    pub leftovers: Leftovers,
    /// The operator's repository, as far as it could be had.
    pub repository: Brought,
    /// Certificate and key of the listener for Kubernetes audit events, or why they cannot be had.
    pub k8s_audit: Option<Result<k8s_audit::Identity, Status>>,
    /// What was asked of Juju about ports before.
    pub port_record: Option<k8s_audit::Record>,
    /// The ports that Juju has open, if the above has to be looked at.
    pub opened_ports: Option<Vec<String>>,
    /// Falco is asked to read its files again, whether something differs or not.
    pub asked_to_reload: bool,
    /// Falco is supposed to take whatever it would be asked about: for a plan that is only shown.
    pub without_asking: bool,
    /// What there is to run.
    pub available: Available,
    /// What is there on this machine.
    pub machine: Machine,
}

/// What is there on this machine. A hook that changes it looks again.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// What stands in the way.
    pub host: Host,
    /// What it can do for Falco.
    pub abilities: Abilities,
    /// The containers on it.
    pub containers: Containers,
    /// What is there for Kubernetes audit events.
    pub audit: k8s_audit::Found,
    /// What was known of the delivery of alerts after the last hook.
    pub delivery: delivery::Known,
    /// The last lines that Falco printed, when alerts are sent on.
    pub printed: Vec<Line>,
    /// What is on disk of the files that the charm writes whole, by path.
    pub files: BTreeMap<&'static str, files::File>,
    /// The files of authorities on disk, by path: whether each is what its name says.
    pub authorities: BTreeMap<String, bool>,
    /// The default rules of the distribution to run, once it is unpacked.
    pub default_rules: Option<Digest>,
    /// The rules files that the last good falco.yaml names, by name without folder.
    pub good_rules: BTreeMap<String, Digest>,
    /// Which generations Falco proved to serve.
    pub links: Links,
    /// The generations that the links name, as far as they are whole.
    pub generations: Vec<Generation>,
    /// What Falco said of earlier candidates.
    pub checked: Checked,
    /// The generation that an operator rolled back from.
    pub refused: Option<Refused>,
    /// What systemd says.
    pub service: systemd::Unit,
    /// The digest that the running process was started with.
    pub running: Option<Digest>,
    /// What the running process says that it has loaded.
    pub served: Option<Served>,
}

/// A related Falcosidekick, and what it published.
#[derive(Clone, Debug)]
pub struct Sidekick {
    /// The remote application.
    pub app: AppName,
    /// Its URL: not yet published, usable, or not.
    pub data: Result<Option<Provider>, DatabagError>,
}

/// What stands in the way on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// A Falco that is not ours, by the file that shows it.
    pub foreign: Option<String>,
    /// Another unit of this charm that runs Falco here.
    pub other_unit: Option<UnitName>,
    /// The TCP ports on which somebody listens; looked at only when Falco may have to move to another port.
    pub listening: Vec<u16>,
}

/// The decision of an operator to go back from one generation to another, which holds as long as the sources still
/// give the one that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// What is not used.
    pub refused: Id,
    /// What is used in its place.
    pub instead: Id,
}

/// Reads everything.
pub async fn gather(hook: &Hook, look: Look) -> Result<Facts> {
    let remotes = Remotes::read(hook)?;
    let mut facts = Facts {
        topology: Topology::of(hook, CHARM),
        root: hook.path_text("").trim_end_matches('/').to_owned(),
        config: juju::config_get()?,
        sidekick: sidekick(hook, &remotes)?,
        trust: Trust::default(),
        cos_agent: if trust::is_all_about(&hook.event) { Vec::new() } else { cos_agent(hook)? },
        leftovers: Leftovers::default(),
        repository: Brought::default(),
        k8s_audit: None,
        port_record: None,
        opened_ports: None,
        asked_to_reload: false,
        without_asking: hook.dry_run,
        available: distribution::look(hook, may_have_a_new_tarball(hook))?,
        machine: Machine::default(),
    };
    facts.trust = trust::gather(hook, &remotes, facts.sidekick.as_ref()).await?;
    facts.machine = machine(hook, &facts).await?;
    let host = &facts.machine.host;
    if let (None, None, false) = (&host.foreign, &host.other_unit, hook.dry_run) {
        remotes.keep(hook)?;
    }
    // Neither is answered by anything that the repository could change, and the second unit of a machine shares the
    // folders of the first.
    if let (None, None, Ok(config)) = (&host.foreign, &host.other_unit, facts.config()) {
        if let Some(wanted) = &config.k8s_audit {
            facts.k8s_audit = k8s_audit::read_secret(hook, wanted, clock::now())?;
        }
        (facts.port_record, facts.opened_ports) = k8s_audit::gather_ports(hook)?;
        facts.leftovers = leftovers(hook, &facts.config, &config)?;
        facts.repository = match config.repository.transpose() {
            Ok(wanted) => repository::bring(hook, wanted.as_ref(), look)?,
            Err(problem) => Brought { content: None, problem: Some(problem) },
        };
    }
    Ok(facts)
}

/// Looks at the machine again, after something was done to it. What Juju said stays as it was.
pub async fn look_again(hook: &Hook, facts: &mut Facts) -> Result<()> {
    facts.available = distribution::look_again(hook, &facts.available)?;
    facts.machine = machine(hook, facts).await?;
    Ok(())
}

async fn machine(hook: &Hook, facts: &Facts) -> Result<Machine> {
    let service = systemd::show(UNIT)?;
    let running = systemd::running_environment(hook, &service, DIGEST_VARIABLE).await?.map(Digest::from);
    let files = FILES.into_iter().filter_map(|(path, mode)| {
        let content = files::read(&hook.path(path)).transpose()?;
        Some(content.map(|content| (path, files::File { path: path.to_owned(), mode, content })))
    });
    let files = files.collect::<Result<BTreeMap<_, _>>>()?;
    let port = files.get(CONFIG_FILE).and_then(|file| falco_yaml::port_of(&file.content));
    let served = match port {
        Some(port) if service.is_running() => served(port, PATIENCE).await,
        _ => None,
    };
    let sends = files.get(CONFIG_FILE).is_some_and(|file| falco_yaml::url_of(&file.content).is_some());
    // When somebody deleted the unit file, the one that Falco last proved to serve with tells whose Falco runs.
    let mut host = in_the_way(hook, &service, files.get(UNIT_FILE).or_else(|| files.get(GOOD_UNIT_FILE)))?;
    let wanted = facts.config().ok().map(|config| config.metrics_port.number());
    if !service.is_running() || port != wanted {
        // The kernel walks a large table for it, which would be half of the time of a hook that changes nothing.
        host.listening = listening_ports(hook)?;
    }
    let links = store::links(hook)?;
    let mut generations = Vec::new();
    for id in [&links.current, &links.previous].into_iter().flatten() {
        generations.extend(store::read(hook, id)?);
    }
    let audit = k8s_audit::gather_files(hook, facts.available.to_run())?;
    let mut machine = Machine {
        host,
        audit,
        abilities: host::gather(hook)?,
        containers: containers::gather(hook)?,
        delivery: delivery::Known::read(hook)?,
        printed: if sends && served.is_some() { systemd::printed_lines(UNIT, PRINTED) } else { Vec::new() },
        default_rules: match facts.available.to_run() {
            Some(distribution) => files::read(&hook.path(&distribution.path(DEFAULT_RULES)))?.map(Digest::of),
            None => None,
        },
        good_rules: match files.get(GOOD_CONFIG_FILE) {
            Some(good) => rules_on_disk(hook, &falco_yaml::rules_files_of(&good.content, &facts.root))?,
            None => BTreeMap::new(),
        },
        files,
        authorities: authorities::on_disk(hook)?,
        links,
        generations,
        checked: Checked::read(hook)?,
        // It only holds back what the sources say. One that cannot be read is as good as none.
        refused: files::noted(&hook.path(REFUSED_FILE))?,
        service,
        running,
        served,
    };
    if let Some(wanted) = facts.config().ok().and_then(|config| config.k8s_audit) {
        machine.audit.unusable = k8s_audit::unusable(wanted.address.0, k8s_audit::held(&machine));
    }
    Ok(machine)
}

/// What Falco on this machine says that it has loaded, asked again until it answers or `patience` is over.
pub async fn served(port: u16, patience: Duration) -> Option<Served> {
    const PAUSE: Duration = Duration::from_millis(100);
    let mut left = patience;
    loop {
        if let Some(text) = metrics(port).await {
            return Some(Served::parse(&text));
        }
        left = left.checked_sub(PAUSE)?;
        tokio::time::sleep(PAUSE).await;
    }
}

/// All that Falco on this machine tells on `/metrics`, if it answers.
pub async fn metrics(port: u16) -> Option<String> {
    let url = format!("http://127.0.0.1:{port}/metrics");
    match http::get(&url).await {
        Ok(answer) if answer.status == 200 => return Some(answer.body),
        Ok(answer) => tracing::debug!("{url} answers {}", answer.status),
        Err(error) => tracing::debug!("{url} does not answer: {error}"),
    }
    None
}

/// The digests of rules files, by name without folder, as Falco tells them.
fn rules_on_disk(hook: &Hook, paths: &[String]) -> Result<BTreeMap<String, Digest>> {
    let mut rules = BTreeMap::new();
    for path in paths {
        if let Some(content) = files::read(&hook.path(path))? {
            rules.insert(file_name(path).to_owned(), Digest::of(content));
        }
    }
    Ok(rules)
}

fn sidekick(hook: &Hook, remotes: &Remotes) -> Result<Option<Sidekick>> {
    let related = remotes.apps(hook, "http-endpoint")?.into_iter().next();
    Ok(related.map(|remote| Sidekick { app: remote.app, data: Provider::read(&remote.data) }))
}

fn cos_agent(hook: &Hook) -> Result<Vec<(RelationId, Databag)>> {
    let mut relations = Vec::new();
    for id in relation::ids(hook, "cos-agent")? {
        relations.extend(relation::own(hook, id, Side::Unit)?.map(|own| (id, own)));
    }
    Ok(relations)
}

/// Nothing without the Python charm's folder, which is why its key is asked for only beside that.
fn leftovers(hook: &Hook, raw: &RawConfig, config: &Config) -> Result<Leftovers> {
    let found = leftovers::gather(hook, None, None)?;
    if found == Leftovers::default() {
        return Ok(found);
    }
    // The Python charm took addresses that this one refuses, so that the text of the option counts, whatever it is.
    let wanted = config.repository.as_ref().and_then(|wanted| wanted.as_ref().ok());
    let key = match wanted.and_then(|wanted| wanted.key.as_ref()).filter(|_| !hook.dry_run) {
        Some(id) => secret::get(id, "value")?.ok(),
        None => None,
    };
    let option = raw.get::<String>(repository::REPOSITORY).ok().flatten();
    leftovers::gather(hook, option.as_deref(), key.as_ref().map(|key| key.expose().as_slice()))
}

/// Juju tells of a new charm and of a new resource by the same event.
fn may_have_a_new_tarball(hook: &Hook) -> bool {
    hook.event.is("install") || hook.event.is("upgrade-charm")
}

fn in_the_way(hook: &Hook, service: &systemd::Unit, unit_file: Option<&files::File>) -> Result<Host> {
    let mut host = Host::default();
    match unit_file.map(|file| unit::owner_of(&file.content, hook)) {
        Some(unit::Owner::Us) | None => {}
        Some(unit::Owner::Unit(unit)) => host.other_unit = Some(unit),
        Some(unit::Owner::Foreign) => host.foreign = Some(UNIT_FILE.to_owned()),
    }
    if host.foreign.is_none() && host.other_unit.is_none() {
        for path in PACKAGE_FILES {
            if files::exists(&hook.path(path))? {
                host.foreign = Some(path.to_owned());
                break;
            }
        }
    }
    if unit_file.is_none() && host.foreign.is_none() && service.active_state == "active" {
        host.foreign.clone_from(&service.fragment_path);
    }
    Ok(host)
}

/// The TCP ports on which any process listens, from the tables of the kernel.
fn listening_ports(hook: &Hook) -> Result<Vec<u16>> {
    let mut ports = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = files::read(&hook.path(table))?.unwrap_or_default();
        ports.extend(String::from_utf8_lossy(&text).lines().filter_map(listening_port));
    }
    Ok(ports)
}

/// `  0: 0100007F:223D 00000000:0000 0A …`: number, local address, remote address, state in hexadecimal, 0A for
/// listening.
fn listening_port(line: &str) -> Option<u16> {
    let mut words = line.split_whitespace().skip(1);
    let (local, state) = (words.next()?, words.nth(1)?);
    let (_, port) = local.rsplit_once(':')?;
    if state == "0A" { u16::from_str_radix(port, 16).ok() } else { None }
}

/// The options, checked.
impl Facts {
    /// See [`Config::parse`].
    pub fn config(&self) -> Result<Config, Status> {
        Config::parse(&self.config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_sockets_count() {
        let listening = "   0: 0100007F:223D 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0";
        assert_eq!(listening_port(listening), Some(8765));
        assert_eq!(listening_port(&listening.replace(" 0A ", " 01 ")), None);
        assert_eq!(listening_port("  sl  local_address rem_address   st tx_queue rx_queue"), None);
    }
}
