//! One hook inside the agent: what is known, what is buffered, what was sent at once.
//!
//! No process, no socket: a test can call commands here directly, as the recordings of the real ones are replayed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::buffer::Buffer;
use super::command::{Answer, Invocation};
use super::commands;
use super::commit::{self, Commit};
use super::event::{Event, Kind, RelationStep};
use super::metadata::Role;
use super::state::{Life, Relation, State, Status, Substrate};
use super::unit::Unit;

/// One hook of one unit.
#[derive(Clone, Debug)]
pub struct Hook {
    /// The unit.
    pub unit: Unit,
    /// Why it runs.
    pub event: Event,
    /// The controller's side, with everything that took effect at once.
    pub state: State,
    /// The charm folder.
    pub charm_dir: PathBuf,
    /// What will be sent on success.
    pub buffer: Buffer,
    /// The records of `juju-log`.
    pub log: Vec<LogRecord>,
    /// The calls that took effect at once.
    pub sent: Vec<Value>,
    /// The statuses set, in order: unit and application.
    pub statuses: Vec<StatusChange>,
    /// What the action has said so far.
    pub action: Option<ActionResult>,
    /// Whether a reboot was asked for.
    pub reboot: Option<Reboot>,
    /// The answer of `status-get`, kept for the hook.
    pub seen_status: Option<Status>,
    /// How many secret ids were handed out.
    pub new_secrets: usize,
    /// The controller will refuse the commit with this text, whatever is in it.
    pub refuse_commit: Option<String>,
    /// Whether there is a process that `juju-reboot --now` can end.
    pub has_process: bool,
}

/// One record of `juju-log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// `INFO` and so on.
    pub level: String,
    /// The logger.
    pub module: String,
    /// The text.
    pub message: String,
}

/// One `status-set`, or what Juju has set by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusChange {
    /// The status.
    pub status: Status,
    /// Of the application; else of the unit.
    pub of_app: bool,
    /// Set by Juju, not by the charm.
    pub by_juju: bool,
}

/// What the user of an action gets to see.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ActionResult {
    /// Whether it failed.
    pub failed: bool,
    /// The text of the failure.
    pub message: String,
    /// The results.
    pub results: BTreeMap<String, Value>,
    /// The lines of `action-log`.
    pub log: Vec<String>,
}

impl ActionResult {
    /// `completed` or `failed`.
    pub fn status(&self) -> &'static str {
        if self.failed { "failed" } else { "completed" }
    }
}

/// When the machine is to be rebooted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reboot {
    /// After the hook.
    After,
    /// At once; the hook is killed and run again.
    Now,
}

/// What the agent says to one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The answer.
    Answer(Answer),
    /// The call has to be made again with its standard input.
    NeedsStdin,
    /// There is no such command; the client prints this.
    Unknown(Answer),
}

/// How the charm's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

impl Exit {
    /// Whether it is a success.
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

/// A hook that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The controller's side afterwards.
    pub state: State,
    /// What was sent; `None` if there was nothing to send.
    pub commit: Option<Commit>,
    /// Why the hook failed although the charm ended well.
    pub error: Option<String>,
    /// What the user of the action sees.
    pub action: Option<ActionResult>,
}

impl Hook {
    /// Starts a hook.
    pub fn new(unit: &Unit, event: &Event, state: &State, charm_dir: impl Into<PathBuf>) -> Self {
        Self {
            unit: unit.clone(),
            event: event.clone(),
            state: state.clone(),
            charm_dir: charm_dir.into(),
            buffer: Buffer::default(),
            log: Vec::new(),
            sent: Vec::new(),
            statuses: Vec::new(),
            action: event.action_name().map(|_| ActionResult::default()),
            reboot: None,
            seen_status: None,
            new_secrets: 0,
            refuse_commit: None,
            has_process: false,
        }
    }

    /// Answers one hook command.
    pub fn answer(&mut self, invocation: &Invocation) -> Reply {
        commands::answer(self, invocation)
    }

    /// Ends the hook: sends the buffer if it went well.
    pub fn finish(mut self, exit: Exit) -> Finished {
        let mut action = self.action.take();
        if self.reboot == Some(Reboot::Now) {
            return Finished { state: self.state, commit: None, error: Some("reboot now".into()), action };
        }
        if !exit.is_success() {
            if let Some(action) = &mut action {
                action.failed = true;
                action.message = match exit {
                    Exit::Code(code) => format!("exit status {code}"),
                    Exit::Signal(signal) => format!("signal: {signal}"),
                };
            }
            return Finished { state: self.state, commit: None, error: None, action };
        }
        let commit = Commit::of(&self);
        let refused = match (&commit, self.refuse_commit.clone()) {
            (Some(_), Some(text)) => Some(text),
            (Some(commit), None) => commit::apply(commit, &self.unit, &mut self.state).err(),
            (None, _) => None,
        };
        if let (Some(text), Some(action)) = (&refused, &mut action) {
            if !action.failed {
                action.message = "committing requested changes failed".into();
            }
            action.failed = true;
            action.results.insert("return-code".into(), json!("1"));
            action.results.insert("stderr".into(), json!(text));
        }
        let reboot = self.reboot.map(|_| "reboot after hook".to_owned());
        // A refused commit is the failure of an action, but no fault of the unit.
        let error = refused.filter(|_| action.is_none()).or(reboot);
        Finished { state: self.state, commit, error, action }
    }

    /// Whether this is `config-changed`, after which Juju always writes.
    pub fn is_config_changed(&self) -> bool {
        self.event.kind == Kind::Plain("config-changed")
    }

    /// Whether the unit is in a pod.
    pub fn on_kubernetes(&self) -> bool {
        self.state.model.substrate == Substrate::Kubernetes
    }

    /// The relation of the hook.
    pub fn own_relation(&self) -> Option<&Relation> {
        self.event.relation_event().and_then(|event| self.state.find_relation(event.id))
    }

    /// Whether a relation is one among the units of the application.
    pub fn is_peer(&self, relation: &Relation) -> bool {
        self.unit.metadata.endpoints.get(&relation.endpoint).map(|endpoint| endpoint.role) == Some(Role::Peer)
    }

    /// The units of a relation, without this one and without one that is leaving.
    pub fn members(&self, relation: &Relation) -> Vec<String> {
        let event = self.event.relation_event().filter(|event| event.id == relation.id);
        if event.is_some_and(|event| matches!(event.what, RelationStep::Created | RelationStep::Broken)) {
            return Vec::new();
        }
        let leaving =
            event.filter(|event| event.what == RelationStep::Departed).and_then(|event| event.unit.as_deref());
        relation.remote_units.keys().filter(|name| Some(name.as_str()) != leaving).cloned().collect()
    }

    /// Whether a relation is gone for `relation-ids`, although its id still works.
    pub fn is_ending(&self, relation: &Relation) -> bool {
        let empty = relation.life != Life::Alive && self.members(relation).is_empty();
        !self.is_peer(relation) && (self.event.breaks(relation.id) || empty)
    }
}

/// What a finished action looks like in the recordings.
pub fn finished_action(action: &ActionResult) -> Value {
    let mut out = json!({ "status": action.status() });
    if !action.message.is_empty() {
        out["message"] = json!(action.message);
    }
    if !action.results.is_empty() {
        out["results"] = json!(action.results);
    }
    out
}
