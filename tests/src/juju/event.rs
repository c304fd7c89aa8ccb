//! Why a charm is started: the hooks and actions of Juju, each with what it carries.

use std::collections::BTreeMap;

use serde_json::Value;

/// One hook or action.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What happens.
    pub kind: Kind,
}

/// The kinds of events that carry different things.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A hook that carries nothing: `install`, `config-changed` and so on.
    Plain(&'static str),
    /// A hook of one relation.
    Relation(RelationEvent),
    /// A hook of one workload container.
    Workload {
        /// The container.
        container: String,
        /// What happened in it.
        what: WorkloadEvent,
    },
    /// A hook about one secret.
    Secret {
        /// Its id, without `secret:`.
        id: String,
        /// What happened to it.
        what: SecretEvent,
    },
    /// A hook of one storage instance.
    Storage {
        /// For example `data/0`.
        id: String,
        /// Attached if true, else detaching.
        attached: bool,
    },
    /// An action with its parameters, without the defaults of the declaration.
    Action {
        /// Its name.
        name: String,
        /// What the user has given.
        params: BTreeMap<String, Value>,
    },
}

/// A hook of one relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationEvent {
    /// The relation.
    pub id: u32,
    /// What happened.
    pub what: RelationStep,
    /// The unit it is about; `None` means the application, where there is a choice.
    pub unit: Option<String>,
    /// The unit that goes away; `None` is the one it is about.
    pub departing: Option<String>,
}

/// The steps in the life of a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationStep {
    /// The relation exists.
    Created,
    /// A remote unit has come.
    Joined,
    /// A remote unit or application has published something.
    Changed,
    /// A remote unit goes.
    Departed,
    /// The relation ends.
    Broken,
}

/// What can happen in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadEvent {
    /// Pebble answers.
    Ready,
    /// A notice was recorded.
    CustomNotice {
        /// The id Pebble has given it.
        id: String,
        /// Its key.
        key: String,
    },
    /// A check has reached its threshold.
    CheckFailed(String),
    /// A failed check has succeeded.
    CheckRecovered(String),
}

/// What can happen to a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretEvent {
    /// A secret this unit reads has a new revision.
    Changed,
    /// A secret this unit owns should get a new revision.
    Rotate,
    /// A revision is read by nobody any more.
    Remove(u32),
    /// A revision has expired.
    Expired(u32),
}

impl Event {
    fn plain(name: &'static str) -> Self {
        Self { kind: Kind::Plain(name) }
    }

    /// The first hook.
    pub fn install() -> Self {
        Self::plain("install")
    }

    /// After the first `config-changed`, and after a reboot or a new pod.
    pub fn start() -> Self {
        Self::plain("start")
    }

    /// Configuration, trust or addresses have changed.
    pub fn config_changed() -> Self {
        Self::plain("config-changed")
    }

    /// A new revision of the charm, or of a resource.
    pub fn upgrade_charm() -> Self {
        Self::plain("upgrade-charm")
    }

    /// Every few minutes.
    pub fn update_status() -> Self {
        Self::plain("update-status")
    }

    /// This unit leads from now on.
    pub fn leader_elected() -> Self {
        Self::plain("leader-elected")
    }

    /// The settings of `leader-set` have changed. Up to Juju 3.
    pub fn leader_settings_changed() -> Self {
        Self::plain("leader-settings-changed")
    }

    /// The unit is going away, or its pod.
    pub fn stop() -> Self {
        Self::plain("stop")
    }

    /// The last hook.
    pub fn remove() -> Self {
        Self::plain("remove")
    }

    fn relation(id: u32, what: RelationStep, unit: Option<String>) -> Self {
        Self { kind: Kind::Relation(RelationEvent { id, what, unit, departing: None }) }
    }

    /// A relation exists.
    pub fn relation_created(id: u32) -> Self {
        Self::relation(id, RelationStep::Created, None)
    }

    /// A remote unit has come.
    pub fn relation_joined(id: u32, unit: impl Into<String>) -> Self {
        Self::relation(id, RelationStep::Joined, Some(unit.into()))
    }

    /// A remote unit has published something.
    pub fn relation_changed(id: u32, unit: impl Into<String>) -> Self {
        Self::relation(id, RelationStep::Changed, Some(unit.into()))
    }

    /// The remote application has published something.
    pub fn relation_changed_by_app(id: u32) -> Self {
        Self::relation(id, RelationStep::Changed, None)
    }

    /// A remote unit goes away.
    pub fn relation_departed(id: u32, unit: impl Into<String>) -> Self {
        Self::relation(id, RelationStep::Departed, Some(unit.into()))
    }

    /// This unit goes away, or its application, and takes leave of a remote unit.
    pub fn relation_departed_self(id: u32, unit: impl Into<String>, own_unit: impl Into<String>) -> Self {
        Self {
            kind: Kind::Relation(RelationEvent {
                id,
                what: RelationStep::Departed,
                unit: Some(unit.into()),
                departing: Some(own_unit.into()),
            }),
        }
    }

    /// A relation ends.
    pub fn relation_broken(id: u32) -> Self {
        Self::relation(id, RelationStep::Broken, None)
    }

    fn workload(container: impl Into<String>, what: WorkloadEvent) -> Self {
        Self { kind: Kind::Workload { container: container.into(), what } }
    }

    /// Pebble answers in a container.
    pub fn pebble_ready(container: impl Into<String>) -> Self {
        Self::workload(container, WorkloadEvent::Ready)
    }

    /// A notice was recorded in a container.
    pub fn pebble_custom_notice(container: impl Into<String>, id: impl Into<String>, key: impl Into<String>) -> Self {
        Self::workload(container, WorkloadEvent::CustomNotice { id: id.into(), key: key.into() })
    }

    /// A check has reached its threshold.
    pub fn pebble_check_failed(container: impl Into<String>, check: impl Into<String>) -> Self {
        Self::workload(container, WorkloadEvent::CheckFailed(check.into()))
    }

    /// A failed check has succeeded.
    pub fn pebble_check_recovered(container: impl Into<String>, check: impl Into<String>) -> Self {
        Self::workload(container, WorkloadEvent::CheckRecovered(check.into()))
    }

    fn secret(id: impl Into<String>, what: SecretEvent) -> Self {
        Self { kind: Kind::Secret { id: id.into(), what } }
    }

    /// A secret this unit reads has a new revision.
    pub fn secret_changed(id: impl Into<String>) -> Self {
        Self::secret(id, SecretEvent::Changed)
    }

    /// A secret this unit owns should get a new revision.
    pub fn secret_rotate(id: impl Into<String>) -> Self {
        Self::secret(id, SecretEvent::Rotate)
    }

    /// A revision is read by nobody any more.
    pub fn secret_remove(id: impl Into<String>, revision: u32) -> Self {
        Self::secret(id, SecretEvent::Remove(revision))
    }

    /// A revision has expired.
    pub fn secret_expired(id: impl Into<String>, revision: u32) -> Self {
        Self::secret(id, SecretEvent::Expired(revision))
    }

    /// Storage is there.
    pub fn storage_attached(id: impl Into<String>) -> Self {
        Self { kind: Kind::Storage { id: id.into(), attached: true } }
    }

    /// Storage goes away.
    pub fn storage_detaching(id: impl Into<String>) -> Self {
        Self { kind: Kind::Storage { id: id.into(), attached: false } }
    }

    /// An action without parameters.
    pub fn action(name: impl Into<String>) -> Self {
        Self { kind: Kind::Action { name: name.into(), params: BTreeMap::new() } }
    }

    /// Gives an action a parameter. On a hook, nothing happens.
    #[must_use]
    pub fn param(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        if let Kind::Action { params, .. } = &mut self.kind {
            params.insert(key.into(), value.into());
        }
        self
    }

    /// The relation this event is about.
    pub fn relation_event(&self) -> Option<&RelationEvent> {
        match &self.kind {
            Kind::Relation(event) => Some(event),
            _ => None,
        }
    }

    /// The name of the action.
    pub fn action_name(&self) -> Option<&str> {
        match &self.kind {
            Kind::Action { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Whether this is the last hook of a relation.
    pub fn breaks(&self, id: u32) -> bool {
        self.relation_event().is_some_and(|event| event.id == id && event.what == RelationStep::Broken)
    }

    /// The name of the hook, or of the action. The endpoint of a relation has to be looked up.
    pub fn name(&self, endpoint_of: impl Fn(u32) -> String) -> String {
        match &self.kind {
            Kind::Plain(name) => (*name).to_owned(),
            Kind::Relation(event) => format!("{}-relation-{}", endpoint_of(event.id), event.what.name()),
            Kind::Workload { container, what } => format!("{container}-pebble-{}", what.name()),
            Kind::Secret { what, .. } => format!("secret-{}", what.name()),
            Kind::Storage { id, attached } => {
                let name = id.split('/').next().unwrap_or_default();
                format!("{name}-storage-{}", if *attached { "attached" } else { "detaching" })
            }
            Kind::Action { name, .. } => name.clone(),
        }
    }
}

impl RelationStep {
    /// The last word of the hook's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Joined => "joined",
            Self::Changed => "changed",
            Self::Departed => "departed",
            Self::Broken => "broken",
        }
    }
}

impl WorkloadEvent {
    /// The last words of the hook's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::CustomNotice { .. } => "custom-notice",
            Self::CheckFailed(_) => "check-failed",
            Self::CheckRecovered(_) => "check-recovered",
        }
    }
}

impl SecretEvent {
    /// The last word of the hook's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Rotate => "rotate",
            Self::Remove(_) => "remove",
            Self::Expired(_) => "expired",
        }
    }
}
