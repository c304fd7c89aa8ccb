//! The Pebble API of one workload container, over its Unix socket.
//!
//! One method per request, named like it, and for changes the wait that belongs to it. What a charm should want of
//! Pebble is not decided here. Written for the Pebble that Juju 3.6 and 4.x embed (1.26), whose habits shape the use:
//!
//! * **Any request may find Pebble gone.** That is [`Error::Unreachable`], and means "not ready", whichever request it
//!   is.
//! * **Send a layer only when the plan lacks it** ([`layer::Layer::is_in`]), then `replan`, and nothing else. Pebble
//!   remembers at every replan *and every start* what it believes a service to run with, so a `start` between
//!   [`Client::add_layer`] and [`Client::replan`] leaves the old process running for good.
//! * **A change that is done is no proof.** One that was aborted, or failed before, reads as done: look at
//!   [`Client::services`] afterwards.
//! * A service start takes a second at least, during which Pebble watches whether it stays up.

mod duration;
mod error;
mod files;
pub mod layer;
pub mod multipart;
mod transport;

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use self::transport::{Request, Transport};

pub use self::error::{Error, Result};
pub use self::files::{Directory, File, FileInfo, FileType};
pub use self::layer::Layer;

/// Adding a layer waits for all log deliveries under way. Behind a log server that accepts and never answers this took
/// up to 19 s.
const LAYER_TIMEOUT: Duration = Duration::from_secs(60);
/// A restart takes up to the kill delay of the service (5 s unless the layer says otherwise) and one second.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(60);

/// The Pebble of one container. Making one connects to nothing.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Transport,
    root: String,
}

/// Which Pebble this is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SystemInfo {
    /// For instance `v1.26.0`.
    pub version: String,
}

/// A service, and how it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceInfo {
    /// Its name in the plan.
    pub name: String,
    /// Whether a replan starts it.
    pub startup: layer::Startup,
    /// How it is at this moment. One that keeps crashing is active and in backoff by turns.
    pub current: Current,
    /// When that began, in RFC 3339; absent if it was never started.
    pub current_since: Option<String>,
}

/// How a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Current {
    /// It runs.
    Active,
    /// It does not run, and is not meant to.
    Inactive,
    /// It ended, and Pebble will start it again in a moment.
    Backoff,
    /// It ended, and Pebble leaves it at that.
    Error,
    /// Something that Pebble learned later.
    #[serde(other)]
    Unknown,
}

/// A check, and how it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CheckInfo {
    /// Its name in the plan.
    pub name: String,
    /// How it is at this moment.
    pub status: CheckStatus,
    /// Failures since the last success.
    #[serde(default)]
    pub failures: u64,
    /// How many make it fail.
    #[serde(default)]
    pub threshold: u64,
}

/// How a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckStatus {
    /// It passes, or has not failed often enough, or has not run yet.
    Up,
    /// It fails.
    Down,
    /// It was stopped, or never started.
    Inactive,
    /// Something that Pebble learned later.
    #[serde(other)]
    Unknown,
}

/// One line that a service printed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LogLine {
    /// When, in RFC 3339.
    pub time: String,
    /// Who.
    pub service: String,
    /// What.
    pub message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Change {
    summary: String,
    status: String,
    err: String,
    tasks: Vec<Task>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Task {
    log: Vec<String>,
}

impl Client {
    /// The Pebble of this container behind this socket. `root` stands for the root of the container: `/` on a unit, a
    /// folder under test, so that a test world is a folder.
    pub fn new(container: &str, socket: &Path, root: &Path) -> Result<Self> {
        let root = root.to_str().ok_or_else(|| Error::Request {
            doing: format!("prepare for pebble of container {container}"),
            problem: format!("the root folder {} is not UTF-8", root.display()),
        })?;
        let root = root.trim_end_matches('/').to_owned();
        Ok(Self { transport: Transport::new(container, socket)?, root })
    }

    /// An absolute path as the workload sees it: what belongs into a command line or a configuration file. Methods that
    /// take a path do this by themselves.
    pub fn path(&self, absolute: &str) -> String {
        format!("{}{absolute}", self.root)
    }

    /// The reverse of [`Self::path`], for paths in answers.
    fn as_on_a_unit(&self, path: &str) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).to_owned()
    }

    /// Which Pebble this is: the cheapest way to see that it answers.
    pub async fn system_info(&self) -> Result<SystemInfo> {
        self.transport.result(Request::get("ask pebble for its version", "/v1/system-info")).await
    }

    /// All layers combined.
    pub async fn plan(&self) -> Result<Layer> {
        let doing = "read the plan of pebble";
        let yaml: String = self.transport.result(Request::get(doing, "/v1/plan").query("format", "yaml")).await?;
        serde_yaml::from_str(&yaml)
            .map_err(|error| Error::Answer { doing: doing.to_owned(), problem: error.to_string() })
    }

    /// Adds a layer, or puts its entries in place of those in the layer of this label. Checks and log targets follow at
    /// once, services at the next [`Self::replan`]. An entry can be replaced but never removed while Pebble runs.
    pub async fn add_layer(&self, label: &str, layer: &Layer) -> Result<()> {
        let doing = format!("add layer {label}");
        // JSON is YAML, without a question of quoting.
        let layer = serde_json::to_string(layer)
            .map_err(|error| Error::Request { doing: doing.clone(), problem: error.to_string() })?;
        let body = json!({ "action": "add", "combine": true, "label": label, "format": "yaml", "layer": layer });
        let request = Request::post_json(doing, "/v1/layers", &body).timeout(LAYER_TIMEOUT);
        self.transport.result::<bool>(request).await.map(drop)
    }

    /// These services, or all if none is named. Pebble leaves out names it does not know.
    pub async fn services(&self, names: &[&str]) -> Result<Vec<ServiceInfo>> {
        self.transport.result(named(Request::get("list the services", "/v1/services"), names)).await
    }

    /// Makes the running services what the plan says: starts those that are enabled, restarts those whose entry differs
    /// from the one of the last replan or start. Does nothing to those that are as they should be.
    pub async fn replan(&self) -> Result<()> {
        self.change("replan the services", "replan", &[]).await
    }

    /// Starts services that do not run. To change a running one is the business of [`Self::replan`].
    pub async fn start(&self, names: &[&str]) -> Result<()> {
        self.change(&format!("start {}", names.join(", ")), "start", names).await
    }

    /// Stops services.
    pub async fn stop(&self, names: &[&str]) -> Result<()> {
        self.change(&format!("stop {}", names.join(", ")), "stop", names).await
    }

    /// Stops and starts services.
    pub async fn restart(&self, names: &[&str]) -> Result<()> {
        self.change(&format!("restart {}", names.join(", ")), "restart", names).await
    }

    /// These checks, or all if none is named. Pebble leaves out names it does not know.
    pub async fn checks(&self, names: &[&str]) -> Result<Vec<CheckInfo>> {
        self.transport.result(named(Request::get("list the checks", "/v1/checks"), names)).await
    }

    /// The last `count` lines that these services printed, or all services if none is named; oldest first.
    pub async fn logs(&self, services: &[&str], count: u32) -> Result<Vec<LogLine>> {
        let request = Request::get("read the logs", "/v1/logs").query("n", &count.to_string());
        let request = match services {
            [] => request,
            _ => request.query("services", &services.join(",")),
        };
        let answer = self.transport.send(&request).await?;
        let lines = answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).map_err(|error| request.unusable(error))).collect()
    }

    async fn change(&self, doing: &str, action: &str, services: &[&str]) -> Result<()> {
        let mut body = json!({ "action": action });
        if !services.is_empty() {
            body["services"] = services.into();
        }
        let change = self.transport.change(Request::post_json(doing, "/v1/services", &body)).await?;
        self.wait(doing, &change).await
    }

    async fn wait(&self, doing: &str, id: &str) -> Result<()> {
        let request = Request::get(doing, &format!("/v1/changes/{id}/wait"))
            .query("timeout", &duration::to_text(CHANGE_TIMEOUT))
            .timeout(CHANGE_TIMEOUT + Duration::from_secs(5)); // Pebble is to be the first to give up
        match self.transport.result::<Change>(request).await {
            Ok(change) if change.status == "Done" && change.err.is_empty() => Ok(()),
            Ok(Change { summary, status, err, tasks }) => Err(Error::Change {
                summary,
                message: if err.is_empty() { format!("ended as {status}") } else { err },
                log: tasks.into_iter().flat_map(|task| task.log).collect(),
            }),
            Err(Error::Refused { status: 504, .. }) => {
                Err(Error::Timeout { doing: doing.to_owned(), after: CHANGE_TIMEOUT })
            }
            Err(error) => Err(error),
        }
    }
}

fn named(request: Request, names: &[&str]) -> Request {
    if names.is_empty() { request } else { request.query("names", &names.join(",")) }
}
