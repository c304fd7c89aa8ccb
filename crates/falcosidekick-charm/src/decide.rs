//! What to do about the facts. Pure: no clock, no disk, no Juju, no Pebble.

mod reach;
pub mod sinks;

use std::collections::BTreeMap;

use charm_core::Status;
use charm_core::config::RawConfig;
use charm_core::digest::Digest;
use charm_core::interfaces::{RelationData, falcosidekick_http_endpoint, ingress, loki_push_api};
use charm_core::names::RelationId;
use charm_core::notes::Told;
use charm_core::relation::{Databag, Side};
use charm_core::secret::Redacted;
use charm_core::topology::Topology;
use charm_core::x509;
use serde_json::json;
use url::Url;

use self::reach::{names, question};
use self::sinks::{expected, leave_out, note_late_outputs, remarks};
use crate::config::{ALLOW_PLAIN_HTTP, Config};
use crate::facts::{Container, Facts, Ingress, Unusable};
use crate::listener::{Listener, PING};
use crate::names::{
    AUTHORITIES_FILE, CERTIFICATE_FILE, CERTIFICATES, CONFIG_FILE, CONTAINER, FILES, HTTP_ENDPOINT, INGRESS, KEY_FILE,
    PROGRAMS, SEND_LOKI_LOGS, SHADOWS,
};
use crate::observability::{self, logs, metrics};
use crate::outputs::{OUTPUTS, Surroundings};
use crate::plan::{Plan, Publish, ServiceAction};
use crate::sinks::Sinks;
use crate::tls::{self, Identity, Tls};
use crate::{address, kubernetes, proxy, render, trust, turns};

/// Juju takes no more, in bytes.
const LONGEST_OPTIONS: usize = 65_536;

/// Decides. With bad options those are in force that Falcosidekick served with last. If there are none, what runs goes
/// on, unless it shows a certificate that was revoked, and what is published stays. The certificate needs none of them, and neither does what those who look are told: the end of a relation is
/// told in one hook only, and secrets have to go in that one.
pub fn decide(facts: &Facts) -> Plan {
    let tls = tls(facts);
    let mut plan = match options(facts) {
        Ok((config, sinks)) => with_options(facts, &config, sinks, tls.as_ref()),
        Err(status) => Plan::leave(status),
    };
    if let Some(refused) = &facts.refused {
        tell_of(refused, &mut plan);
    }
    if let (Some(Tls { is_revoked: true, status, .. }), Some(container)) = (&tls, &facts.container) {
        stop_for_a_while(&mut plan, container, status.as_ref());
    }
    plan.certificate = match (tls, &facts.last_asked) {
        (Some(tls), _) => {
            plan.notes.extend(tls.status);
            tls.steps
        }
        (None, Some(asked)) => tls::forget_all(facts.unit, asked),
        (None, None) => tls::Steps::default(),
    };
    turns::decide(facts, plan.restarts).put_into(&mut plan);
    observability::decide(facts).put_into(&mut plan);
    plan
}

fn with_options(facts: &Facts, config: &Config, sinks: Sinks, tls: Option<&Tls>) -> Plan {
    let mut plan = workload(facts, config, sinks, tls).unwrap_or_else(Plan::leave);
    let Topology { application, model, .. } = &facts.topology;
    let kubernetes = kubernetes::decide::decide(&facts.cluster, application, model, config.port.number());
    plan.kubernetes = kubernetes.steps;
    plan.notes.extend(kubernetes.status);
    plan
}

/// Options that cannot be used are told first, together with whatever else somebody has to see to.
fn tell_of(refused: &Status, plan: &mut Plan) {
    let others = plan.notes.iter().filter(|note| matches!(note, Status::Blocked(_)));
    let all: Vec<String> = [refused].into_iter().chain(others).map(Status::message).collect();
    plan.notes.insert(0, Status::Blocked(all.join("; ")));
}

/// All options that are in force. Every problem of all of them is told at once.
pub fn options(facts: &Facts) -> Result<(Config, Sinks), Status> {
    let around = Surroundings {
        app: &facts.topology.application,
        loki_is_related: facts.loki.is_some(),
        secrets: &facts.secrets,
    };
    parse(&facts.config, &around)
}

/// The same of any options.
pub fn parse(options: &RawConfig, around: &Surroundings<'_>) -> Result<(Config, Sinks), Status> {
    match (Config::parse(options), Sinks::parse(options, around)) {
        (Ok(config), Ok(sinks)) => Ok((config, sinks)),
        (Err(Status::Blocked(one)), Err(Status::Blocked(other))) => Err(Status::Blocked(format!("{one}; {other}"))),
        (Err(status), _) | (_, Err(status)) => Err(status),
    }
}

/// What is served and asked for, if there is somebody who signs.
pub fn tls(facts: &Facts) -> Option<Tls> {
    let authority = facts.authority.as_ref()?;
    let mut tls = tls::decide(authority, &names(facts), facts.unit, facts.due.as_ref(), facts.now);
    tls.steps.remove.extend(facts.unread.as_ref().and_then(tls::forget_revision));
    Some(tls)
}

/// The container comes up by itself, and says so.
pub fn waiting_for_pebble() -> Status {
    Status::Waiting(format!("{CONTAINER}: waiting for the container's Pebble to answer"))
}

/// What becomes of Falcosidekick. `Err`: something has to come first.
fn workload(facts: &Facts, config: &Config, mut sinks: Sinks, tls: Option<&Tls>) -> Result<Plan, Status> {
    // Whoever has a way in fails on a port that is one too high.
    if facts.ingress.is_some() && config.port.number() == u16::MAX {
        return Err(Status::Blocked(format!("port: 65535 is none that {INGRESS} can lead to (1-65534)")));
    }
    let container = facts.container.as_ref().ok_or_else(waiting_for_pebble)?;
    let missing: Vec<String> =
        [plain_http_problem(facts, config), loki_problem(facts, &sinks)].into_iter().flatten().collect();
    if !missing.is_empty() {
        return Ok(stop(facts, tls, Status::Blocked(missing.join("; "))));
    }
    let left_out = leave_out(&mut sinks, facts, container);
    if let Some(reason) = left_out.first().filter(|_| facts.loki.is_none() && sinks.outputs.is_empty()) {
        return Ok(stop(facts, tls, reason.clone()));
    }
    let identity = match tls {
        None => None,
        Some(tls) => match &tls.identity {
            Some(identity) => Some(identity),
            // What we configured goes on meanwhile; the image's own configuration takes alerts in clear text and passes
            // them on to nobody. The reason stands in the status already.
            None if render::is_ours(&container.plan) => return Ok(Plan::default()),
            None => return Ok(Plan { service: ServiceAction::Stop, ..Plan::default() }),
        },
    };
    let loki = match &facts.loki {
        Some(Ok(Some(loki))) => Some(loki),
        Some(Ok(None)) if sinks.outputs.is_empty() => return Err(Status::Waiting(waiting_for_loki())),
        None | Some(Ok(None)) => None,
        Some(Err(Unusable(unit, error))) => return Err(Status::Blocked(format!("{SEND_LOKI_LOGS}: {unit} {error}"))),
    };
    let listener = match identity {
        Some(_) => Listener::tls(config.port, config.metrics_port),
        None => Listener::plain(config.port),
    };
    let mut plan = run(facts, config, container, listener, tls, loki, &sinks)?;
    plan.notes.extend(left_out);
    Ok(plan)
}

fn waiting_for_loki() -> String {
    format!("{SEND_LOKI_LOGS}: waiting for Loki to publish its address")
}

fn plain_http_problem(facts: &Facts, config: &Config) -> Option<String> {
    let app = &facts.topology.application;
    let text = format!(
        "{ALLOW_PLAIN_HTTP}: it is false, and nothing encrypts alerts; add a relation, for example: juju integrate \
         {app}:{CERTIFICATES} self-signed-certificates; in a laboratory: juju config {app} {ALLOW_PLAIN_HTTP}=true"
    );
    (!config.allow_plain_http && facts.authority.is_none() && facts.ingress.is_none()).then_some(text)
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
fn stop(facts: &Facts, tls: Option<&Tls>, reason: Status) -> Plan {
    let nothing = |_, told: &Told| told.keys().map(|key| (key, "")).collect();
    Plan {
        service: ServiceAction::Stop,
        remove: facts.container.as_ref().map(|container| leftovers(container, &[CONFIG_FILE])).unwrap_or_default(),
        publish: [
            publish(HTTP_ENDPOINT, &facts.told_falcos, nothing),
            trust::publications(facts, tls.map(Tls::authorities).unwrap_or_default()),
        ]
        .concat(),
        close_ports: facts.opened_ports.clone(),
        notes: vec![reason],
        ..Plan::default()
    }
}

/// With what it has it must not show itself any more, whatever has to come first, and with what it gets it will be back
/// where it was. What else there is to tell the operator would hide why, so that it tells that as well.
fn stop_for_a_while(plan: &mut Plan, container: &Container, why: Option<&Status>) {
    (plan.service, plan.remove) = (ServiceAction::Stop, leftovers(container, &[CONFIG_FILE]));
    for note in &mut plan.notes {
        if let (Status::Blocked(text) | Status::Waiting(text), Some(why)) = (note, why) {
            *text = format!("{text}; {}", why.message());
        }
    }
}

/// Our files that are there and not among those that are needed.
fn leftovers(container: &Container, needed: &[&str]) -> Vec<&'static str> {
    FILES.into_iter().filter(|path| container.files.contains_key(*path) && !needed.contains(path)).collect()
}

fn run(
    facts: &Facts,
    config: &Config,
    container: &Container,
    listener: Listener,
    tls: Option<&Tls>,
    loki: Option<&loki_push_api::Provider>,
    sinks: &Sinks,
) -> Result<Plan, Status> {
    let identity = tls.and_then(|tls| tls.identity.as_ref());
    let program = container.program.as_ref().ok_or_else(|| {
        let places = PROGRAMS.join(", ");
        Status::Blocked(format!("falcosidekick-image: no Falcosidekick found in the image (looked at {places})"))
    })?;
    if let Some(shadow) = SHADOWS.iter().find(|path| container.files.contains_key(**path)) {
        return Err(Status::Blocked(format!(
            "falcosidekick-image: {shadow} is in the image, and Falcosidekick would read it in the place of its configuration"
        )));
    }
    let believed = trust::received(facts);
    let sections = sinks.outputs.sections(loki.map(|loki| &loki.url));
    let configuration = render::configuration(
        listener,
        &facts.topology,
        &sinks.fields,
        &sections,
        &container.root,
        !believed.is_empty(),
    );
    let mut files = vec![render::file(CONFIG_FILE, configuration)];
    if !believed.is_empty() {
        files.push(render::file(AUTHORITIES_FILE, x509::bundle(&believed)));
    }
    if let Some(identity) = identity {
        files.push(render::file(CERTIFICATE_FILE, x509::bundle(&identity.chain)));
        files.push(render::file(KEY_FILE, identity.key.expose().clone()));
    }
    files.extend(sinks.outputs.files());
    let peers: Vec<&Url> = loki.iter().map(|loki| &loki.url).collect();
    let (proxies, proxy_remark) = proxy::environment(&facts.proxy, &peers);
    let mut environment = sinks.environment(&container.root, &sections);
    environment.extend(proxies);
    environment.extend((!believed.is_empty()).then(|| render::folders_of_authorities(&container.root)));
    let command = render::command(program, &container.path(CONFIG_FILE));
    let mut layer = render::layer(listener, command, &files, environment);
    note_late_outputs(&mut layer, container);
    let restarts = render::restarts(&layer, &container.plan);
    let layer = Some(layer).filter(|layer| !layer.is_in(&container.plan));
    let needed: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let remove = leftovers(container, &needed);
    let address = address::decide(facts, config, listener, tls);
    let awaited = (facts.loki.is_some() && loki.is_none()).then(waiting_for_loki);
    let near_end = tls.and_then(|tls| tls.remark.clone());
    let others = near_end.into_iter().chain(awaited).chain(proxy_remark).chain(logs::remark(facts, &sinks.outputs));
    let port = format!("{}/tcp", listener.port);
    let (opened, close_ports): (Vec<_>, Vec<_>) =
        facts.opened_ports.iter().cloned().partition(|opened| *opened == port);
    let open_port = opened.is_empty().then_some(listener.port);
    files.retain(|file| container.files.get(&file.path) != Some(&Digest::of(&file.content)));
    Ok(Plan {
        restarts: restarts && open_port.is_none(),
        write: files,
        // A hook that was interrupted has told nothing; its signs are a port that is not open and a layer that is not
        // there.
        keep_options: keep_options(facts),
        tell_version: facts.program_may_be_new || layer.is_some() || open_port.is_some(),
        layer,
        service: ServiceAction::Run(listener, question(listener, identity, address.hosts)),
        outputs: expected(container, sinks, loki.is_some()),
        secrets: Redacted::new(sinks.outputs.secret_texts()),
        targets: Redacted::new(sinks.outputs.targets(loki.map(|loki| &loki.url))),
        remove,
        publish: publications(facts, listener, tls),
        way_in: address.way_in,
        send: send(facts, &address.told),
        open_port,
        close_ports,
        notes: address
            .note
            .into_iter()
            .chain(trust::problems(facts))
            .chain(remarks(sinks, loki.is_some(), others))
            .collect(),
        ..Plan::default()
    })
}

/// What to keep of options, unless it is kept already. Those that are not in force have been kept.
fn keep_options(facts: &Facts) -> Redacted<Option<String>> {
    let text = serde_json::to_string(&facts.config).expect("texts, numbers and switches are JSON");
    let is_new = facts.refused.is_none() && facts.kept_options.expose().as_ref() != Some(&text);
    Redacted::new(Some(text).filter(|text| is_new && text.len() <= LONGEST_OPTIONS))
}

/// What Loki, whoever has a way in and Prometheus are told.
fn publications(facts: &Facts, listener: Listener, tls: Option<&Tls>) -> Vec<Publish> {
    let requirer = || loki_push_api::Requirer {
        topology: facts.topology.clone(),
        alert_rules: json!(logs::detection_rules(&facts.topology)),
    };
    let mut all = publish(SEND_LOKI_LOGS, &facts.told_loki, |_, _| requirer().write());
    all.extend(trust::publications(facts, tls.map(Tls::authorities).unwrap_or_default()));
    if let Some(Ingress { relation, app: _, published: _, told_app, told_unit }) = &facts.ingress {
        let unit = ingress::RequirerUnit { host: address::service_name(facts), ip: facts.own_address };
        let app = ingress::Requirer {
            model: facts.topology.model.clone(),
            name: facts.topology.application.clone(),
            port: listener.port,
            scheme: listener.scheme(),
            health_path: PING,
        };
        all.extend(Publish::of(INGRESS, *relation, Side::Unit, told_unit, &unit.write()));
        all.extend(told_app.iter().filter_map(|told| Publish::of(INGRESS, *relation, Side::App, told, &app.write())));
    }
    all.extend(metrics::publish(facts, listener, tls.and_then(|tls| tls.identity.as_ref()).map(Identity::leaf)));
    all
}

/// What the Falcos are told. Without a new URL the one that they know stays, as it may still be right.
fn send(facts: &Facts, told: &BTreeMap<RelationId, falcosidekick_http_endpoint::Provider>) -> Vec<Publish> {
    publish(HTTP_ENDPOINT, &facts.told_falcos, |relation, _| {
        told.get(&relation).map(RelationData::write).unwrap_or_default()
    })
}

/// What has to change in the databags of an endpoint; nothing for those that are right. What is wanted is asked for only
/// when there is a databag: rules and dashboards are read and packed to be compared.
pub fn publish(
    endpoint: &'static str,
    told: &BTreeMap<RelationId, Told>,
    wanted: impl Fn(RelationId, &Told) -> Databag,
) -> Vec<Publish> {
    let of = |(relation, told): (&RelationId, &Told)| {
        Publish::of(endpoint, *relation, Side::App, told, &wanted(*relation, told))
    };
    told.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests;
