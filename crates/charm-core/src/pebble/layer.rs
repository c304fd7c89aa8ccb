//! A Pebble layer as types, and the question whether the combined plan has it already.
//!
//! Two rules of Pebble shape these types. `override: merge` appends to lists, so that sending the same layer twice
//! changes the plan and restarts the service: every entry here says `replace`. And the plan leaves out what was not
//! said and writes durations in its own way, so layers are compared by what they mean, never by their text.
//!
//! Nothing here talks to Pebble. A plan may be read by everybody who reaches the socket: no secret belongs in a layer.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::IgnoredAny};

use super::duration;

/// What a charm wants of Pebble, or the combination of all layers: the plan.
///
/// Keys and sections that are not named here are ignored when a plan is read, for a newer Pebble may have some.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Layer {
    /// One line about the layer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// More about the layer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Programs that Pebble keeps running.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, Service>,
    /// Questions that Pebble asks at intervals.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, Check>,
    /// Servers that receive what services print.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub log_targets: BTreeMap<String, LogTarget>,
}

impl Layer {
    /// Whether the plan already says all that this layer says, so that it need not be sent.
    ///
    /// Sending it again would change nothing, but the request waits for every log delivery that is under way, which
    /// takes many seconds when a log server hangs.
    pub fn is_in(&self, plan: &Self) -> bool {
        are_in(&self.services, &plan.services, Service::with_defaults)
            && are_in(&self.checks, &plan.checks, Check::with_defaults)
            && are_in(&self.log_targets, &plan.log_targets, LogTarget::clone)
    }
}

fn are_in<T: PartialEq>(wanted: &BTreeMap<String, T>, there: &BTreeMap<String, T>, meaning: impl Fn(&T) -> T) -> bool {
    wanted.iter().all(|(name, entry)| there.get(name).is_some_and(|other| meaning(entry) == meaning(other)))
}

/// A program that Pebble runs. What is not said is left to Pebble's default.
///
/// Any difference in here, even in a summary, makes Pebble restart the service at the next replan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Service {
    /// Always `replace`.
    pub r#override: Replace,
    /// One line about the service.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// More about the service.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whether a replan starts it; by default it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup: Option<Startup>,
    /// Program and arguments in shell words: quotes and backslashes count, variables and patterns do not.
    pub command: String,
    /// Services that start before this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// Services that start after this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// Services that are started with this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Variables in addition to Pebble's own; each value reaches the process byte for byte.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// User to run as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u32>,
    /// User to run as, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Group to run as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<u32>,
    /// Group to run as, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Folder to start in; Pebble's own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// What to do when it ends with code 0; `Restart` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_success: Option<OnEnd>,
    /// What to do when it ends otherwise; `Restart` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnEnd>,
    /// What to do when the named check reaches its threshold; nothing by default.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub on_check_failure: BTreeMap<String, OnEnd>,
    /// Pause before the first restart; 500 ms by default.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub backoff_delay: Option<Duration>,
    /// How much longer each further pause is; 2.0 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_factor: Option<f64>,
    /// The longest pause; 30 s by default.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub backoff_limit: Option<Duration>,
    /// Time between SIGTERM and SIGKILL; 5 s by default.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub kill_delay: Option<Duration>,
}

impl Service {
    fn with_defaults(&self) -> Self {
        Self {
            startup: self.startup.or(Some(Startup::Disabled)),
            on_success: self.on_success.or(Some(OnEnd::Restart)),
            on_failure: self.on_failure.or(Some(OnEnd::Restart)),
            backoff_delay: self.backoff_delay.or(Some(Duration::from_millis(500))),
            backoff_factor: self.backoff_factor.or(Some(2.0)),
            backoff_limit: self.backoff_limit.or(Some(Duration::from_secs(30))),
            kill_delay: self.kill_delay.or(Some(Duration::from_secs(5))),
            ..self.clone()
        }
    }
}

/// A question that Pebble asks at intervals. Exactly one of `http`, `tcp` and `exec` says what it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Check {
    /// Always `replace`.
    pub r#override: Replace,
    /// Which of the container's probes it counts for; neither by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// Whether it runs as soon as it is in the plan; by default it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup: Option<Startup>,
    /// Time from one run to the next, and before the first; 10 s by default.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub period: Option<Duration>,
    /// How long one run may take; 3 s by default, never more than the period.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// How many failures in a row make the check fail; 3 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u32>,
    /// Passes when the answer to a GET request is 2xx.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpCheck>,
    /// Passes when a port takes connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpCheck>,
    /// Passes when a command ends with code 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecCheck>,
}

impl Check {
    fn with_defaults(&self) -> Self {
        let period = self.period.unwrap_or(Duration::from_secs(10));
        let timeout = self.timeout.unwrap_or(Duration::from_secs(3));
        Self {
            startup: self.startup.or(Some(Startup::Enabled)),
            period: Some(period),
            timeout: Some(timeout.min(period)), // as Pebble cuts it
            threshold: self.threshold.or(Some(3)),
            ..self.clone()
        }
    }
}

/// A GET request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct HttpCheck {
    /// Where to ask.
    pub url: String,
    /// Headers to send.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// A connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct TcpCheck {
    /// The port to connect to.
    pub port: u16,
    /// Its host; `localhost` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// A command, in shell words as the one of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct ExecCheck {
    /// Program and arguments.
    pub command: String,
    /// A service whose environment, user and folder it takes over. The check then starts anew with every change of
    /// that service, a changed digest included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_context: Option<String>,
    /// Variables in addition to Pebble's own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// User to run as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u32>,
    /// User to run as, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Group to run as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<u32>,
    /// Group to run as, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Folder to start in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
}

/// A server that receives what services print.
///
/// Pebble ignores a new `location` of a name it knows until it restarts, although the plan shows it: give each location
/// a name of its own, and silence the old name with an empty list of services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct LogTarget {
    /// Always `replace`.
    pub r#override: Replace,
    /// `loki`, `opentelemetry` (Pebble 1.24 and later) or `syslog` (1.27 and later).
    pub r#type: String,
    /// Where to send to; required even if no service is named.
    pub location: String,
    /// Names of services, or `all`; with a minus sign in front, those that are left out.
    pub services: Vec<String>,
    /// Labels of every line; `$NAME` stands for a variable in the environment of the service.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Whether Pebble starts something without being asked for it by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", from = "String")]
pub enum Startup {
    /// It does.
    Enabled,
    /// It does not.
    Disabled,
}

impl From<String> for Startup {
    // Pebble takes any word, and means this by it.
    fn from(word: String) -> Self {
        if word == "enabled" { Self::Enabled } else { Self::Disabled }
    }
}

/// What Pebble does when a service ends or a check fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnEnd {
    /// Start it again, after a pause.
    Restart,
    /// End Pebble, and with it the container.
    Shutdown,
    /// Nothing.
    Ignore,
    /// End Pebble with code 0.
    SuccessShutdown,
    /// End Pebble with code 10.
    FailureShutdown,
    /// Something that Pebble learned later.
    #[serde(other)]
    Unknown,
}

/// Which probe of Kubernetes a check counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Liveness: Kubernetes restarts the container when it fails.
    Alive,
    /// Readiness: no traffic while it fails.
    Ready,
    /// Something that Pebble learned later.
    #[serde(other)]
    Unknown,
}

/// `override: replace`, the only way in which an entry of ours meets an earlier one of the same name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replace;

impl Serialize for Replace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("replace")
    }
}

impl<'de> Deserialize<'de> for Replace {
    // In a plan the word tells how an entry came about, which does not matter any more.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

#[cfg(test)]
mod tests;
