//! Kubernetes audit events as a second source of Falco: where it listens for them, with which certificate, and by which
//! rules it judges them. Pure, but for reading the secret and trying the address.
//!
//! A source that fails to open ends all of Falco (seen with 0.44.1: `bind: address already in use`, and no system call
//! is watched any more). So whatever could make it fail is looked at before falco.yaml names the listener, and what is
//! wrong with it leaves out the listener alone.

mod files;
mod identity;
mod option;
mod ports;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};

use anyhow::Result;
use charm_core::digest::Digest;
use charm_core::files::File;
use charm_core::{Hook, Status, juju};
use serde::Serialize;
use serde_yaml::Value;

pub use self::files::{Change, gather as gather_files, tidy};
pub use self::identity::Identity;
pub use self::option::{Address, Wanted};
pub use self::ports::{Ports, Record};

use crate::config::Config;
use crate::distribution::Distribution;
use crate::facts::{Facts, Machine};
use crate::paths::{CONFIG_FILE, JSON_PLUGIN, K8S_AUDIT_FOLDER, K8S_AUDIT_PLUGIN, K8S_AUDIT_RULES};

/// The option that turns it on.
pub const K8S_AUDIT: &str = "k8s-audit";

/// The option with address and port.
pub const ADDRESS: &str = "k8s-audit-address";

/// The option with the secret that holds certificate and key.
pub const SECRET: &str = "k8s-audit-secret";

/// The path of the URL that events are sent to.
pub const URL_PATH: &str = "/k8s-audit";

/// The name of the plugin that listens.
pub const PLUGIN: &str = "k8saudit";

/// The name of the plugin whose fields rules about audit events may use. It is loaded first.
pub const JSON: &str = "json";

/// The rules of the charm, for a distribution without any.
const OWN_RULES: &str = include_str!("../../../charms/falco/k8s-audit-rules.yaml");

/// What is there for it on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Why nobody could listen on the wanted address, unless Falco does already.
    pub unusable: Option<String>,
    /// What is in its folder, by path.
    pub stored: BTreeMap<String, File>,
    /// The digest of the rules of the distribution, if it brings some and is unpacked.
    pub rules: Option<Digest>,
}

/// The listener as falco.yaml has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listener {
    /// Where.
    pub address: SocketAddr,
    /// The file with certificate and key, as a path of this unit.
    pub certificate: String,
    /// The file with its rules, as a path of this unit.
    pub rules: String,
    /// The digest of the rules, once they can be read.
    #[serde(skip)]
    pub rules_digest: Option<Digest>,
    /// What has to be on disk before anything names it. Each is named by its content, so that it never changes.
    #[serde(skip)]
    pub files: Vec<File>,
}

/// Reads the secret, if the option names one. A dry run does not: that would use up the revision for the next hook.
pub fn read_secret(hook: &Hook, wanted: &Wanted, now: i64) -> Result<Option<Result<Identity, Status>>> {
    match wanted.secret.as_ref().filter(|_| !hook.dry_run) {
        Some(id) => identity::read(hook, id, now).map(Some),
        None => Ok(None),
    }
}

/// What was asked of Juju about ports, and what it says of that as long as nobody has looked.
pub fn gather_ports(hook: &Hook) -> Result<(Option<Record>, Option<Vec<String>>)> {
    let record = Record::read(hook)?;
    let opened = match &record {
        Some(record) if !record.confirmed && !hook.dry_run => Some(juju::opened_ports()?),
        _ => None,
    };
    Ok((record, opened))
}

/// Why a new listener could not have this address, found out by listening there for a moment. `held` is where Falco
/// itself listens now: it lets go of that when it moves.
pub fn unusable(address: SocketAddr, held: Option<SocketAddr>) -> Option<String> {
    if held == Some(address) {
        return None;
    }
    let port = if held.is_some_and(|held| held.port() == address.port()) { 0 } else { address.port() };
    let error = TcpListener::bind((address.ip(), port)).err()?;
    Some(match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            format!("{address} is taken by another program; stop that program or choose another port")
        }
        std::io::ErrorKind::AddrNotAvailable => {
            format!("{} is no address of this machine; choose one that is, or 0.0.0.0 for all", address.ip())
        }
        _ => format!("nobody can listen on {address} ({error})"),
    })
}

/// Where the Falco that runs listens, if it does.
pub fn held(machine: &Machine) -> Option<SocketAddr> {
    in_use(machine).map(|(address, _)| address)
}

fn in_use(machine: &Machine) -> Option<(SocketAddr, Option<String>)> {
    let config = machine.files.get(CONFIG_FILE).filter(|_| machine.service.is_running())?;
    listener_in(&config.content)
}

/// Address and certificate of the listener in a falco.yaml on disk. The path is as it stands there.
pub fn listener_in(falco_yaml: &[u8]) -> Option<(SocketAddr, Option<String>)> {
    let yaml: Value = serde_yaml::from_slice(falco_yaml).ok()?;
    let plugins = yaml.get("plugins")?.as_sequence()?;
    let plugin = plugins.iter().find(|plugin| plugin.get("name").and_then(Value::as_str) == Some(PLUGIN))?;
    let address = plugin.get("open_params")?.as_str()?.strip_prefix("https://")?.strip_suffix(URL_PATH)?;
    let certificate = plugin.get("init_config").and_then(|init| init.get("sslCertificate")).and_then(Value::as_str);
    Some((address.parse().ok()?, certificate.map(|path| path.replace("$${", "${"))))
}

/// The port that others have to reach, if a falco.yaml has a listener that they can reach at all.
pub fn port_to_open(falco_yaml: &[u8]) -> Option<u16> {
    let (address, _) = listener_in(falco_yaml)?;
    if address.ip().is_loopback() { None } else { Some(address.port()) }
}

/// The listener to have, if there is one to be and it can be had. Why it is not as the options say goes to `notes`: it
/// holds back nothing else, and a listener that works stays as long as it can.
pub fn choose(
    facts: &Facts,
    config: &Config,
    distribution: &Distribution,
    notes: &mut Vec<Status>,
) -> Option<Listener> {
    let wanted = config.k8s_audit.as_ref()?;
    let missing = distribution.audit.missing();
    if !missing.is_empty() {
        notes.push(Status::Blocked(format!(
            "{K8S_AUDIT}: Falco {} comes without {}; attach a distribution that has both plugins, as the resource \
             falco, or set the option to false",
            distribution.version(),
            missing.join(" and ")
        )));
        return None;
    }
    let found = &facts.machine.audit;
    let in_use = in_use(&facts.machine);
    let address = match &found.unusable {
        None => Some(wanted.address.0),
        Some(problem) => {
            let goes_on = if in_use.is_some() { "the address before stays in use" } else { WITHOUT };
            notes.push(Status::Blocked(format!("{ADDRESS}: {problem}; {goes_on}")));
            in_use.as_ref().map(|(address, _)| *address)
        }
    };
    let kept = || {
        let path = in_use.as_ref()?.1.as_ref()?;
        found.stored.get(path.strip_prefix(&facts.root).unwrap_or(path)).cloned()
    };
    let certificate = match (&wanted.secret, &facts.k8s_audit) {
        (None, _) => {
            notes.push(Status::Blocked(format!("{SECRET}: {}; {WITHOUT}", identity::NONE)));
            None
        }
        (Some(_), Some(Ok(identity))) => {
            notes.extend(identity.remark.clone().map(Status::Active));
            Some(identity.file.clone())
        }
        (Some(_), Some(Err(problem))) => {
            let kept = kept();
            let goes_on = if kept.is_some() { "the certificate before stays in use" } else { WITHOUT };
            notes.push(problem.clone().with_message(format!("{}; {goes_on}", problem.message())));
            kept
        }
        // Only a dry run has not asked.
        (Some(_), None) => kept(),
    };
    let (address, certificate) = (address?, certificate?);
    Some(Listener::new(address, certificate, distribution, found.rules.as_ref()))
}

/// How it goes on when there was no listener before.
const WITHOUT: &str = "Falco goes on without Kubernetes audit events";

impl Listener {
    /// With this certificate, and the rules of the distribution or else those of the charm.
    pub fn new(address: SocketAddr, certificate: File, distribution: &Distribution, rules: Option<&Digest>) -> Self {
        let path = certificate.path.clone();
        if distribution.audit.rules {
            let rules_digest = rules.cloned();
            let rules = distribution.path(K8S_AUDIT_RULES);
            return Self { address, certificate: path, rules, rules_digest, files: vec![certificate] };
        }
        let digest = Digest::of(OWN_RULES);
        let rules = format!("{K8S_AUDIT_FOLDER}/k8s_audit_rules-{}.yaml", digest.short());
        let file = File { path: rules.clone(), mode: 0o600, content: OWN_RULES.as_bytes().to_vec() };
        Self { address, certificate: path, rules, rules_digest: Some(digest), files: vec![certificate, file] }
    }

    /// What the plugin is opened with.
    pub fn url(&self) -> String {
        format!("https://{}{URL_PATH}", self.address)
    }
}

/// What a distribution brings for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Carried {
    /// The plugin that listens.
    pub plugin: bool,
    /// The plugin for fields of JSON.
    pub json: bool,
    /// Rules about audit events.
    pub rules: bool,
}

impl Carried {
    /// The files that are not there and without which nothing can listen.
    fn missing(&self) -> Vec<&'static str> {
        let Self { plugin, json, rules: _ } = self;
        let all = [(*plugin, K8S_AUDIT_PLUGIN), (*json, JSON_PLUGIN)];
        all.into_iter().filter(|(is_there, _)| !is_there).map(|(_, path)| crate::paths::file_name(path)).collect()
    }
}

#[cfg(test)]
mod tests;
