//! What to do about the facts. Pure: no clock, no disk, no Juju, no Pebble.

mod sinks;

use std::collections::BTreeMap;

use charm_core::Status;
use charm_core::digest::Digest;
use charm_core::interfaces::{RelationData, falcosidekick_http_endpoint, loki_push_api};
use charm_core::names::RelationId;
use charm_core::pebble::{File, Layer};
use charm_core::relation::{self, Databag};
use charm_core::secret::Redacted;
use serde::{Serialize, Serializer};
use url::Url;

pub use self::sinks::{Dropped, Expected};
use self::sinks::{expected, leave_out, note_late_outputs, remarks};
use crate::config::{ALLOW_PLAIN_HTTP, Config};
use crate::facts::{Container, Facts, Unusable};
use crate::listener::Listener;
use crate::names::{CERTIFICATES, CONFIG_FILE, CONTAINER, HTTP_ENDPOINT, INGRESS, PROGRAMS, SEND_LOKI_LOGS, SERVICE};
use crate::outputs::{OUTPUTS, Surroundings};
use crate::sinks::Sinks;
use crate::{proxy, render};

/// What differs from what should be, and what to do about it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// Files of the container whose content differs.
    #[serde(serialize_with = "without_content")]
    pub write: Vec<File>,
    /// Files of the container that nobody reads any more.
    pub remove: Vec<&'static str>,
    /// Our layer, if Pebble's plan lacks it.
    pub layer: Option<Layer>,
    /// What becomes of the service.
    pub service: ServiceAction,
    /// The outputs that it has to have enabled.
    pub outputs: Vec<Expected>,
    /// Texts that are cut out of what it says.
    #[serde(skip)]
    pub secrets: Redacted<Vec<String>>,
    /// What is written to databags of our application once the service is as wanted.
    pub publish: Vec<Publish>,
    /// The port to open.
    pub open_port: Option<u16>,
    /// Ports to close, as Juju lists them.
    pub close_ports: Vec<String>,
    /// Whether to tell Juju the version of the program.
    pub tell_version: bool,
    /// What to tell the operator, whatever is seen afterwards.
    #[serde(serialize_with = "as_text")]
    pub notes: Vec<Status>,
}

/// What becomes of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceAction {
    /// It shall run as Pebble's plan says, and answer here. Whether that takes a start, a restart or nothing is for
    /// Pebble to say.
    Run(Listener),
    /// It shall not run.
    Stop,
}

/// Keys to set in the databag of our application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Publish {
    /// The endpoint, for the log.
    pub endpoint: &'static str,
    /// The relation.
    pub relation: RelationId,
    /// An empty value removes its key.
    pub changes: Databag,
}

/// What was there after the plan was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Falcosidekick answers, and passes alerts on.
    Serving,
    /// It does not run, as it should not.
    Stopped,
    /// It ends, or cannot be started; why.
    Down(String),
    /// It runs, and does not answer where it should; why.
    NotServing(String),
    /// It answers, and lacks some of its outputs.
    Without {
        /// Those.
        dropped: Vec<Dropped>,
        /// Whether there is none left, so that alerts would be taken and lost.
        nothing_left: bool,
    },
}

impl Plan {
    /// One status, from what is really there.
    pub fn status(&self, seen: &Seen) -> Status {
        let service = match seen {
            Seen::Serving | Seen::Stopped => None,
            Seen::Down(words) => Some(Status::Blocked(format!("{SERVICE} does not stay up: {words}"))),
            Seen::NotServing(words) => Some(Status::Blocked(format!("{SERVICE} runs, but does not answer: {words}"))),
            Seen::Without { dropped, nothing_left: _ } => Status::worst(dropped.iter().map(Dropped::status)),
        };
        let notes = self.notes.iter().cloned();
        Status::worst(service.into_iter().chain(notes)).unwrap_or_else(Status::active)
    }
}

/// Decides. `Err`: nothing is touched this time, what runs goes on and what is published stays.
pub fn decide(facts: &Facts) -> Result<Plan, Status> {
    let (config, mut sinks) = options(facts)?;
    let container = facts.container.as_ref().ok_or_else(waiting_for_pebble)?;
    let missing: Vec<String> =
        [plain_http_problem(facts, &config), loki_problem(facts, &sinks)].into_iter().flatten().collect();
    if !missing.is_empty() {
        return Ok(stop(facts, Status::Blocked(missing.join("; "))));
    }
    let left_out = leave_out(&mut sinks, container);
    if let Some(reason) = left_out.first().filter(|_| facts.loki.is_none() && sinks.outputs.is_empty()) {
        return Ok(stop(facts, reason.clone()));
    }
    let loki = match &facts.loki {
        None => None,
        Some(Ok(Some(loki))) => Some(loki),
        Some(Ok(None)) => {
            return Err(Status::Waiting(format!("{SEND_LOKI_LOGS}: waiting for Loki to publish its address")));
        }
        Some(Err(Unusable(unit, error))) => return Err(Status::Blocked(format!("{SEND_LOKI_LOGS}: {unit} {error}"))),
    };
    let mut plan = run(facts, container, Listener::plain(config.port), loki, &sinks)?;
    plan.notes.extend(left_out);
    Ok(plan)
}

/// All options. Every problem of all of them is told at once.
fn options(facts: &Facts) -> Result<(Config, Sinks), Status> {
    let around = Surroundings {
        app: &facts.topology.application,
        loki_is_related: facts.loki.is_some(),
        secrets: &facts.secrets,
    };
    match (Config::parse(&facts.config), Sinks::parse(&facts.config, &around)) {
        (Ok(config), Ok(sinks)) => Ok((config, sinks)),
        (Err(Status::Blocked(one)), Err(Status::Blocked(other))) => Err(Status::Blocked(format!("{one}; {other}"))),
        (Err(status), _) | (_, Err(status)) => Err(status),
    }
}

/// The container comes up by itself, and says so.
pub fn waiting_for_pebble() -> Status {
    Status::Waiting(format!("{CONTAINER}: waiting for the container's Pebble to answer"))
}

fn plain_http_problem(facts: &Facts, config: &Config) -> Option<String> {
    let unserved = match facts.unserved[..] {
        [] => format!("{CERTIFICATES} or {INGRESS}"),
        ref related => related.join(" and "),
    };
    let app = &facts.topology.application;
    (!config.allow_plain_http).then(|| {
        format!(
            "{ALLOW_PLAIN_HTTP}: it is false, and this revision of the charm cannot serve {unserved} yet; \
             in a laboratory: juju config {app} {ALLOW_PLAIN_HTTP}=true"
        )
    })
}

fn loki_problem(facts: &Facts, sinks: &Sinks) -> Option<String> {
    let app = &facts.topology.application;
    let text = format!(
        "{SEND_LOKI_LOGS}: add a relation to Loki, for example: juju integrate {app}:{SEND_LOKI_LOGS} loki; or set {OUTPUTS}"
    );
    (facts.loki.is_none() && sinks.outputs.is_empty()).then_some(text)
}

/// Without a place to pass alerts on to, or not allowed to receive them, Falcosidekick would take them and lose them:
/// worse than none.
fn stop(facts: &Facts, reason: Status) -> Plan {
    let nothing = |databag: &Databag| databag.iter().map(|(key, _)| (key.to_owned(), String::new())).collect();
    Plan {
        write: Vec::new(),
        remove: Vec::new(),
        layer: None,
        service: ServiceAction::Stop,
        outputs: Vec::new(),
        secrets: Redacted::default(),
        publish: publish(HTTP_ENDPOINT, &facts.told_falcos, nothing),
        open_port: None,
        close_ports: facts.opened_ports.clone(),
        tell_version: false,
        notes: vec![reason],
    }
}

fn run(
    facts: &Facts,
    container: &Container,
    listener: Listener,
    loki: Option<&loki_push_api::Provider>,
    sinks: &Sinks,
) -> Result<Plan, Status> {
    let program = container.program.as_ref().ok_or_else(|| {
        let places = PROGRAMS.join(", ");
        Status::Blocked(format!("falcosidekick-image: no Falcosidekick found in the image (looked at {places})"))
    })?;
    let sections = sinks.outputs.sections(loki.map(|loki| &loki.url));
    let configuration = render::configuration(listener, &facts.topology, &sinks.fields, &sections);
    let peers: Vec<&Url> = loki.iter().map(|loki| &loki.url).collect();
    let (proxies, proxy_remark) = proxy::environment(&facts.proxy, &peers);
    // Under test, a folder stands in front of every path.
    let root = container.config_path.strip_suffix(CONFIG_FILE).unwrap_or_default();
    let mut environment = sinks.environment(root, &sections);
    environment.extend(proxies);
    let mut files = sinks.outputs.files();
    let command = render::command(program, &container.config_path);
    let mut layer = render::layer(listener, command, &configuration, &files, environment);
    note_late_outputs(&mut layer, container);
    let layer = Some(layer).filter(|layer| !layer.is_in(&container.plan));
    let unused = |path: &&str| !files.iter().any(|file| file.path == *path);
    let remove = render::files_in(&container.plan).into_iter().filter(unused).collect();
    files.retain(|file| container.files.get(&file.path) != Some(&file.content));
    let file = File {
        path: CONFIG_FILE.to_owned(),
        content: configuration.into_bytes(),
        mode: 0o600,
        user: None,
        group: None,
        make_dirs: true,
    };
    let url = facts.addresses.iter().find_map(|address| listener.url_at(address));
    let nowhere = url.is_none() && !facts.told_falcos.is_empty();
    let port = format!("{}/tcp", listener.port);
    let (opened, close_ports): (Vec<_>, Vec<_>) =
        facts.opened_ports.iter().cloned().partition(|opened| *opened == port);
    let open_port = opened.is_empty().then_some(listener.port);
    Ok(Plan {
        write: Some(file)
            .into_iter()
            .filter(|file| container.config_file.as_ref() != Some(&file.content))
            .chain(files)
            .collect(),
        remove,
        // A hook that was interrupted has told nothing; its signs are a port that is not open and a layer that is not
        // there.
        tell_version: facts.program_may_be_new || layer.is_some() || open_port.is_some(),
        layer,
        service: ServiceAction::Run(listener),
        outputs: expected(container, sinks, loki.is_some()),
        secrets: Redacted::new(sinks.outputs.secret_texts()),
        publish: publications(facts, url),
        open_port,
        close_ports,
        notes: [remark(facts), nowhere.then(waiting_for_address)]
            .into_iter()
            .flatten()
            .chain(remarks(sinks, loki.is_some(), proxy_remark))
            .collect(),
    })
}

fn waiting_for_address() -> Status {
    Status::Waiting(format!("{HTTP_ENDPOINT}: waiting for an address of this application"))
}

fn remark(facts: &Facts) -> Option<Status> {
    let related = facts.unserved.join(" and ");
    let text = format!("alerts are received over plain HTTP: this revision of the charm cannot serve {related} yet");
    (!related.is_empty()).then_some(Status::Active(text))
}

/// What Loki and the Falcos are told. Without a new URL the one that they know stays, as it may still be right.
fn publications(facts: &Facts, url: Option<Url>) -> Vec<Publish> {
    let requirer = loki_push_api::Requirer { topology: facts.topology.clone(), alert_rules: serde_json::json!({}) };
    let mut all = publish(SEND_LOKI_LOGS, &facts.told_loki, |_| requirer.write());
    if let Some(url) = url {
        let provider = falcosidekick_http_endpoint::Provider { url };
        all.extend(publish(HTTP_ENDPOINT, &facts.told_falcos, |_| provider.write()));
    }
    all
}

/// What has to change in the databags of an endpoint; nothing for those that are right.
fn publish(
    endpoint: &'static str,
    told: &BTreeMap<RelationId, Databag>,
    wanted: impl Fn(&Databag) -> Databag,
) -> Vec<Publish> {
    let changes = told.iter().map(|(relation, now)| {
        let changes = relation::difference(now, &wanted(now));
        Publish { endpoint, relation: *relation, changes }
    });
    changes.filter(|publish| publish.changes.iter().next().is_some()).collect()
}

/// The file holds what is nobody's business, so a plan shows what identifies it.
fn without_content<S: Serializer>(files: &[File], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Shown<'a> {
        path: &'a str,
        mode: String,
        sha256: Digest,
    }
    serializer.collect_seq(files.iter().map(|File { path, mode, content, user: _, group: _, make_dirs: _ }| Shown {
        path,
        mode: format!("{mode:o}"),
        sha256: Digest::of(content),
    }))
}

fn as_text<S: Serializer>(notes: &[Status], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(notes.iter().map(ToString::to_string))
}

#[cfg(test)]
mod tests;
