//! The options, checked. Pure.
//!
//! What is wrong here keeps everything as it is. So only a value that means nothing is refused: what has to be asked of
//! git, of Falco or of the merged overrides is told by those, and holds back no other option.

mod engine;
mod labels;
mod memory;
mod port;
mod rules;
mod selector;

use std::fmt;
use std::str::FromStr;

use charm_core::Status;
use charm_core::config::{Kind, Problem, Problems, RawConfig};
pub use charm_core::priority::Priority;

pub use self::engine::Engine;
pub use self::memory::MemoryLimit;
pub use self::port::Port;
pub use self::rules::inline_rules;
pub use self::selector::Selector;

use self::engine::BufferSizePreset;
use self::labels::Labels;
use self::memory::Limit;
use self::selector::Selectors;
use crate::k8s_audit::{self, Address, K8S_AUDIT};
use crate::repository::{KNOWN_HOSTS, REPOSITORY, SSH_KEY, TOKEN, Wanted};

/// The option with overrides of falco.yaml.
pub const FALCO_CONFIG: &str = "falco-config";

/// The option that lets overrides do what makes whoever writes them root.
pub const ALLOW_UNSAFE_OVERRIDES: &str = "allow-unsafe-overrides";

/// The option with rules that are not wanted.
pub const DISABLED_RULES: &str = "disabled-rules";

/// The option with rules that are wanted all the same.
pub const ENABLED_RULES: &str = "enabled-rules";

const BUFFER_SIZE_PRESET: &str = "buffer-size-preset";
const DEFAULT_RULES: &str = "default-rules";
const DROP_FAILED_EXIT: &str = "drop-failed-exit";
const ENGINE: &str = "engine";
const EXTRA_LABELS: &str = "extra-labels";
const MEMORY_LIMIT: &str = "memory-limit";
const METRICS_PORT: &str = "metrics-port";
const PRIORITY: &str = "priority";
const RULES: &str = "rules";
const SYSLOG_OUTPUT: &str = "syslog-output";

/// Every option, as `charmcraft.yaml` has to declare it.
pub const OPTIONS: [(&str, Kind); 21] = [
    (PRIORITY, Kind::Text),
    (METRICS_PORT, Kind::Integer),
    (ENGINE, Kind::Text),
    (BUFFER_SIZE_PRESET, Kind::Integer),
    (DROP_FAILED_EXIT, Kind::Switch),
    (SYSLOG_OUTPUT, Kind::Switch),
    (MEMORY_LIMIT, Kind::Text),
    (DEFAULT_RULES, Kind::Switch),
    (RULES, Kind::Text),
    (DISABLED_RULES, Kind::Text),
    (ENABLED_RULES, Kind::Text),
    (EXTRA_LABELS, Kind::Text),
    (FALCO_CONFIG, Kind::Text),
    (ALLOW_UNSAFE_OVERRIDES, Kind::Switch),
    (REPOSITORY, Kind::Text),
    (SSH_KEY, Kind::Secret),
    (TOKEN, Kind::Secret),
    (KNOWN_HOSTS, Kind::Text),
    (K8S_AUDIT, Kind::Switch),
    (k8s_audit::ADDRESS, Kind::Text),
    (k8s_audit::SECRET, Kind::Secret),
];

/// What the operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own to the operator")]
pub struct Config {
    /// The lowest priority of a rule that is loaded.
    pub priority: Priority,
    /// Where Falco serves its metrics, on loopback.
    pub metrics_port: Port,
    /// How Falco gets at the system calls.
    pub engine: Engine,
    /// The size of its buffers, in Falco's numbering: 1 to 10.
    pub buffer_size_preset: u8,
    /// Events of system calls that failed are dropped in the kernel.
    pub drop_failed_exit: bool,
    /// Alerts go to the system log.
    pub syslog_output: bool,
    /// How much memory Falco may take.
    pub memory_limit: Option<MemoryLimit>,
    /// The rules that come with Falco are loaded.
    pub default_rules: bool,
    /// Rules, not empty.
    pub rules: Option<String>,
    /// Rules that are off.
    pub disabled_rules: Vec<Selector>,
    /// Rules that are on, also when the above would turn them off.
    pub enabled_rules: Vec<Selector>,
    /// Fields that every alert gets.
    pub extra_labels: Vec<(String, String)>,
    /// Overrides of falco.yaml, not empty. They are merged, and checked, with those of the repository.
    pub falco_config: Option<String>,
    /// Overrides may do what makes whoever writes them root.
    pub allow_unsafe_overrides: bool,
    /// The repository with more rules and overrides. One whose address cannot be understood holds back nothing but itself.
    pub repository: Option<Result<Wanted, Status>>,
    /// The listener for Kubernetes audit events.
    pub k8s_audit: Option<k8s_audit::Wanted>,
}

impl Config {
    /// Checks all options. Every problem is told at once.
    pub fn parse(raw: &RawConfig) -> Result<Self, Status> {
        let mut options = Options { raw, problems: Problems::default() };
        let repository = Options { raw, problems: Problems::default() }.repository();
        let engine = options.get::<Engine>(ENGINE).unwrap_or_default();
        let preset = options.get::<BufferSizePreset>(BUFFER_SIZE_PRESET).unwrap_or_default();
        let config = Self {
            priority: options.get(PRIORITY).unwrap_or_default(),
            metrics_port: options.get(METRICS_PORT).unwrap_or_default(),
            engine,
            buffer_size_preset: preset.0,
            drop_failed_exit: options.get(DROP_FAILED_EXIT).unwrap_or(false),
            syslog_output: options.get(SYSLOG_OUTPUT).unwrap_or(true),
            memory_limit: options.memory_limit(engine, preset),
            default_rules: options.get(DEFAULT_RULES).unwrap_or(true),
            rules: options.rules(),
            disabled_rules: options.get::<Selectors>(DISABLED_RULES).unwrap_or_default().0,
            enabled_rules: options.get::<Selectors>(ENABLED_RULES).unwrap_or_default().0,
            extra_labels: options.get::<Labels>(EXTRA_LABELS).unwrap_or_default().0,
            falco_config: options.text(FALCO_CONFIG),
            allow_unsafe_overrides: options.get(ALLOW_UNSAFE_OVERRIDES).unwrap_or(false),
            k8s_audit: options.k8s_audit(),
            repository: repository.clone().map(|repository| repository.map_err(Status::from)),
        };
        if options.problems.is_empty() {
            return Ok(config);
        }
        options.problems.extend(repository.and_then(Result::err).unwrap_or_default());
        Err(options.problems.into())
    }
}

/// The text of a problem that concerns the port, not its value.
pub fn port_taken(port: Port) -> Status {
    let text =
        format!("port {port} of this machine is taken by another program; stop that program or choose another port");
    Problem::new(METRICS_PORT, text).into()
}

/// The options on their way, and what was wrong so far.
struct Options<'a> {
    raw: &'a RawConfig,
    problems: Problems,
}

impl Options<'_> {
    fn get<T: FromStr<Err: fmt::Display>>(&mut self, option: &'static str) -> Option<T> {
        self.problems.catch(self.raw.get(option)).flatten()
    }

    /// A text that says something.
    fn text(&mut self, option: &'static str) -> Option<String> {
        self.get::<String>(option).filter(|text| !text.trim().is_empty())
    }

    fn memory_limit(&mut self, engine: Engine, preset: BufferSizePreset) -> Option<MemoryLimit> {
        let limit = self.get::<Limit>(MEMORY_LIMIT)?.0?;
        if let Some(text) = limit.too_small_for(engine, preset) {
            self.problems.push(Problem::new(MEMORY_LIMIT, text));
        }
        Some(limit)
    }

    /// Without quoting a text of any length.
    fn rules(&mut self) -> Option<String> {
        let rules = inline_rules(&self.text(RULES)?).map_err(|wrong| Problem::new(RULES, wrong));
        self.problems.catch(rules).flatten()
    }

    /// Falco would share its port with nobody, not even with itself.
    fn k8s_audit(&mut self) -> Option<k8s_audit::Wanted> {
        let is_on = self.get(K8S_AUDIT).unwrap_or(false);
        let address: Address = self.get(k8s_audit::ADDRESS).unwrap_or_default();
        // What is wrong with that one is told elsewhere.
        let other: Port = self.raw.get(METRICS_PORT).ok().flatten().unwrap_or_default();
        if is_on && other.number() == address.0.port() {
            let text = format!("port {} is that of {METRICS_PORT}; choose another for one of them", address.0.port());
            self.problems.push(Problem::new(k8s_audit::ADDRESS, text));
        }
        is_on.then(|| k8s_audit::Wanted { address, secret: self.text(k8s_audit::SECRET) })
    }

    /// The other options about it mean nothing without the address. They may have been left over, or be there first.
    fn repository(mut self) -> Option<Result<Wanted, Problems>> {
        let url = self.text(REPOSITORY).and_then(|_| self.get(REPOSITORY));
        if url.is_none() && self.problems.is_empty() {
            return None;
        }
        let known_hosts = self.text(KNOWN_HOSTS).and_then(|_| self.get(KNOWN_HOSTS));
        let (key, token) = (self.text(SSH_KEY), self.text(TOKEN));
        match url {
            Some(url) if self.problems.is_empty() => Some(Ok(Wanted { url, key, token, known_hosts })),
            _ => Some(Err(self.problems)),
        }
    }
}

#[cfg(test)]
mod tests;
