//! What differs from what should be, what to do about it, and what status comes of it. Plain data.

use std::fmt::Display;

use charm_core::Status;
use charm_core::digest::Digest;
use charm_core::names::RelationId;
use charm_core::notes::Told;
use charm_core::pebble::{File, Layer};
use charm_core::relation::{Databag, Side};
use charm_core::secret::Redacted;
use charm_core::x509::Certificate;
use serde::{Serialize, Serializer};
use url::Url;

use crate::address::WayIn;
use crate::health::redirects::Target;
use crate::kubernetes;
use crate::listener::Listener;
use crate::names::{CERTIFICATES, INGRESS, SEND_LOKI_LOGS, SERVICE};
use crate::outputs::OUTPUTS;
use crate::tls::Steps;

/// What differs from what should be, and what to do about it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Plan {
    /// What to do about the certificate, whatever becomes of the service.
    pub certificate: Steps,
    /// What those who look at Falcosidekick are told, whatever becomes of the service.
    pub introduce: Vec<Publish>,
    /// What to do about our objects in the cluster, whatever becomes of the service.
    pub kubernetes: kubernetes::Steps,
    /// Files of the container whose content differs.
    #[serde(serialize_with = "without_content")]
    pub write: Vec<File>,
    /// Our layer, if Pebble's plan lacks it.
    pub layer: Option<Layer>,
    /// What becomes of the service.
    pub service: ServiceAction,
    /// Whether a process that serves would have to be started anew, on the same port.
    pub restarts: bool,
    /// Whether that has to be decided about once more, with what the other units say.
    pub look_at_peers: bool,
    /// The outputs that it has to have enabled.
    pub outputs: Vec<Expected>,
    /// Texts that are cut out of what it says.
    #[serde(skip)]
    pub secrets: Redacted<Vec<String>>,
    /// Where its outputs send alerts.
    #[serde(skip)]
    pub targets: Redacted<Vec<Target>>,
    /// Files of the container that the service needs no more once it is as wanted.
    pub remove: Vec<&'static str>,
    /// What is written to databags once the service is as wanted.
    pub publish: Vec<Publish>,
    /// Where it has to answer as well before Falcos are sent there.
    pub way_in: Option<WayIn>,
    /// What Falcos are told then.
    pub send: Vec<Publish>,
    /// The port to open.
    pub open_port: Option<u16>,
    /// Ports to close, as Juju lists them.
    pub close_ports: Vec<String>,
    /// Options to keep once Falcosidekick serves with them.
    #[serde(skip)]
    pub keep_options: Redacted<Option<String>>,
    /// Whether to tell Juju the version of the program.
    pub tell_version: bool,
    /// What to tell the operator, whatever is seen afterwards.
    #[serde(serialize_with = "as_text")]
    pub notes: Vec<Status>,
}

/// What becomes of the service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceAction {
    /// It is left alone, and nobody looks at it: something has to come first.
    #[default]
    Leave,
    /// It shall run as Pebble's plan says, and answer here. Whether that takes a start, a restart or nothing is for
    /// Pebble to say.
    Run(Listener, Question),
    /// It shall not run.
    Stop,
}

/// What the service has to answer before anybody is told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// In clear text.
    Plain,
    /// Over TLS, as every one of these, to somebody who believes these and nobody else.
    Tls {
        /// The URLs that others are told, or one that the certificate allows.
        #[serde(serialize_with = "as_text")]
        urls: Vec<Url>,
        /// Whom they will believe.
        #[serde(serialize_with = "subjects")]
        authorities: Vec<Certificate>,
    },
}

/// Keys to set in one of our databags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Publish {
    /// The endpoint, for the log.
    pub endpoint: &'static str,
    /// The relation.
    pub relation: RelationId,
    /// Whose databag.
    pub side: Side,
    /// An empty value removes its key.
    pub changes: Databag,
}

impl Publish {
    /// What has to be set so that a databag holds what is wanted; nothing when it does.
    pub fn of(endpoint: &'static str, relation: RelationId, side: Side, told: &Told, wanted: &Databag) -> Option<Self> {
        let changes = told.lacks(wanted);
        (!changes.is_empty()).then_some(Self { endpoint, relation, side, changes })
    }
}

/// What was there after the plan was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nobody looked.
    Nothing,
    /// Falcosidekick answers, and passes alerts on.
    Serving,
    /// It does not run, as it should not.
    Stopped,
    /// It ends, or cannot be started; why.
    Down(String),
    /// It runs, and does not answer where it should; why.
    NotServing(String),
    /// It answers, and whom we send there will not believe it; why.
    NotTrusted(String),
    /// It answers, and lacks some of its outputs.
    Without {
        /// Those.
        dropped: Vec<Dropped>,
        /// Whether there is none left, so that alerts would be taken and lost.
        nothing_left: bool,
    },
    /// It answers, and not through the way in from outside; why.
    NoWayIn(String),
}

/// The place of the one output that an operator does not write.
pub const LOKI_BY_RELATION: &str = SEND_LOKI_LOGS;

/// An output that Falcosidekick has to have enabled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// Its place in the configuration.
    pub path: &'static str,
    /// What Falcosidekick calls it.
    pub name: &'static str,
    /// What stands in front of its errors.
    pub says: &'static str,
    /// The server that may have been down when Falcosidekick started, as `host:port`.
    pub server: Option<String>,
}

/// An output that Falcosidekick has not enabled, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// What was expected.
    pub output: Expected,
    /// What Falcosidekick says about it.
    pub words: String,
}

impl Dropped {
    /// What to tell the operator about it.
    pub fn status(&self) -> Status {
        let Self { output: Expected { path, server, .. }, words } = self;
        match server {
            None if *path == LOKI_BY_RELATION => {
                Status::Blocked(format!("{SEND_LOKI_LOGS}: Falcosidekick dropped the Loki output: {words}"))
            }
            None => Status::Blocked(format!("{OUTPUTS}: {path}: Falcosidekick dropped it: {words}")),
            Some(server) => Status::Waiting(format!(
                "{OUTPUTS}: {path}: {server} was not there when Falcosidekick started, which is started once more when it \
                 answers: {words}"
            )),
        }
    }
}

impl Plan {
    /// Leaves everything as it is, for this reason.
    pub fn leave(reason: Status) -> Self {
        Self { notes: vec![reason], ..Self::default() }
    }

    /// One status, from what is really there.
    pub fn status(&self, seen: &Seen) -> Status {
        let blocked = |text| Some(Status::Blocked(text));
        let service = match seen {
            Seen::Nothing | Seen::Serving | Seen::Stopped => None,
            Seen::Down(words) => blocked(format!("{SERVICE} does not stay up: {words}")),
            Seen::NotServing(words) => blocked(format!("{SERVICE} runs, but does not answer: {words}")),
            Seen::NotTrusted(words) => {
                blocked(format!("{CERTIFICATES}: {SERVICE} answers, but would not be believed: {words}"))
            }
            // It takes a proxy a while to find its way here.
            Seen::NoWayIn(words) => {
                Some(Status::Waiting(format!("{INGRESS}: waiting until Falcosidekick answers through it: {words}")))
            }
            Seen::Without { dropped, nothing_left: _ } => Status::worst(dropped.iter().map(Dropped::status)),
        };
        let notes = self.notes.iter().cloned();
        Status::worst(service.into_iter().chain(notes)).unwrap_or_else(Status::active)
    }
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

fn subjects<S: Serializer>(certificates: &[Certificate], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(certificates.iter().map(|certificate| &certificate.subject))
}

fn as_text<T: Display, S: Serializer>(all: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(all.iter().map(ToString::to_string))
}
