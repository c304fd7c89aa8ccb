//! One alert: what provokes it, and how it is seen where it arrives.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use serde_json::Value;

use super::SENSITIVE;
use crate::falco_distribution;
use crate::loki::{Loki, LokiReceiver};
use crate::model::Place;

/// Longer than an alert takes, even on a machine that is busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// All alerts that come from a Juju unit.
const QUERY: &str = r#"{juju_unit="falco/0"}"#;

/// Where alerts arrive.
#[derive(Debug)]
pub enum Destination {
    /// The real Loki.
    Loki(Loki),
    /// A receiver of its push API.
    Receiver(LokiReceiver),
}

/// An alert that has arrived.
#[derive(Clone, Debug)]
pub struct Received {
    labels: BTreeMap<String, String>,
    line: String,
    /// Where the way ended, for a sentence.
    pub end: &'static str,
    /// How long the way was.
    pub took: Duration,
}

impl Destination {
    /// Starts one of the two.
    pub fn start(real: bool, folder: &Path) -> Result<Self> {
        if real {
            Ok(Self::Loki(Loki::start(&folder.join("loki")).map_err(anyhow::Error::msg)?))
        } else {
            Ok(Self::Receiver(LokiReceiver::start()))
        }
    }

    /// Where to push to.
    pub fn url(&self) -> String {
        match self {
            Self::Loki(loki) => loki.url(),
            Self::Receiver(receiver) => receiver.url(),
        }
    }

    /// The first alert, if it is there.
    pub fn first(&self, begin: Instant) -> Result<Option<Received>> {
        let elapsed = begin.elapsed();
        match self {
            Self::Loki(loki) => {
                let found = entries(&loki.query(QUERY).map_err(anyhow::Error::msg)?).into_iter().next();
                let end = "the answer of Loki to a query in LogQL";
                Ok(found.map(|(labels, line)| Received { labels, line, end, took: begin.elapsed() }))
            }
            Self::Receiver(receiver) => Ok(receiver.entries().into_iter().next().map(|entry| {
                // It came some moments before somebody looked.
                let since = SystemTime::now().duration_since(entry.arrived).unwrap_or_default();
                let took = elapsed.saturating_sub(since);
                Received { labels: entry.labels, line: entry.line, end: "the receiver in Loki's place", took }
            })),
        }
    }

    /// What has arrived after the first ones.
    pub fn after(&self, known: usize) -> Vec<Received> {
        let all: Vec<_> = match self {
            Self::Loki(loki) => loki.query(QUERY).map(|result| entries(&result)).unwrap_or_default(),
            Self::Receiver(receiver) => {
                receiver.entries().into_iter().map(|entry| (entry.labels, entry.line)).collect()
            }
        };
        let new = all.into_iter().skip(known);
        new.map(|(labels, line)| Received { labels, line, end: "", took: Duration::ZERO }).collect()
    }

    /// How to ask for all alerts.
    pub fn query_hint(&self) -> Option<String> {
        match self {
            Self::Loki(loki) => Some(format!(
                "curl -G http://{}/loki/api/v1/query_range --data-urlencode 'query={QUERY}'",
                loki.address()
            )),
            Self::Receiver(_) => None,
        }
    }
}

/// The lines of a query's result, oldest first.
fn entries(result: &Value) -> Vec<(BTreeMap<String, String>, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for stream in result.as_array().into_iter().flatten() {
        let labels = stream["stream"].as_object().into_iter().flatten();
        let labels: BTreeMap<String, String> = labels.map(|(name, value)| (name.clone(), text(value))).collect();
        for value in stream["values"].as_array().into_iter().flatten() {
            found.push((text(&value[0]), labels.clone(), text(&value[1])));
        }
    }
    found.sort();
    found.into_iter().map(|(_, labels, line)| (labels, line)).collect()
}

impl Received {
    /// The alert for somebody to read: labels of Juju first.
    pub fn text(&self) -> String {
        let (juju, others): (Vec<_>, Vec<_>) = self.labels.iter().partition(|(name, _)| name.starts_with("juju_"));
        let mut text = "The alert, as it arrived:\n\n  labels\n".to_owned();
        for (name, value) in juju.into_iter().chain(others) {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "    {name:<20} {value}");
        }
        text + "  line\n    " + &self.line + "\n"
    }
}

/// What reads the sensitive file on the machine, and how to type it here. The real Falco sees the files of this
/// machine, the stand-in those of the folder that stands for a machine.
pub fn reading(place: &Place) -> (Command, String) {
    let mut command = match place {
        Place::Booted(host) => {
            let mut command = host.command("cat");
            command.arg(SENSITIVE);
            command
        }
        Place::Machine(host) if falco_distribution::real_tarball().is_none() => {
            let mut command = Command::new("cat");
            command.arg(host.machine.path(SENSITIVE));
            command
        }
        Place::Machine(_) | Place::Pod(_) | Place::Bare(_) => {
            let mut command = Command::new("cat");
            command.arg(SENSITIVE);
            command
        }
    };
    command.stdout(Stdio::null());
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let shown: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    (command, shown.join(" "))
}
