//! Model, application, unit and charm: the labels that several interfaces share.

use serde::Serialize;

use crate::hook::Hook;

/// Where something comes from, in Juju's terms. The order of the fields is the one that other charms write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Topology {
    /// The name of the model.
    pub model: String,
    /// Its UUID.
    pub model_uuid: String,
    /// The name of the application.
    pub application: String,
    /// The name of the unit.
    pub unit: String,
    /// The name of the charm, which the application need not share.
    pub charm_name: String,
}

impl Topology {
    /// This unit's.
    pub fn of(hook: &Hook, charm_name: &str) -> Self {
        Self {
            model: hook.model.name.clone(),
            model_uuid: hook.model.uuid.clone(),
            application: hook.unit.app.to_string(),
            unit: hook.unit.to_string(),
            charm_name: charm_name.to_owned(),
        }
    }

    /// Names the application among those of all models: `<model>_<first digits of its UUID>_<application>`. For the
    /// eye, and where other charms build names from it; the digits alone could meet twice.
    pub fn identifier(&self) -> String {
        let digits = self.model_uuid.get(..8).unwrap_or(&self.model_uuid);
        format!("{}_{digits}_{}", self.model, self.application)
    }

    /// As labels: `juju_model` and so on. Beware: it is `juju_charm`, without `_name`.
    pub fn labels(&self) -> [(&'static str, &str); 5] {
        let Self { model, model_uuid, application, unit, charm_name } = self;
        [
            ("juju_model", model),
            ("juju_model_uuid", model_uuid),
            ("juju_application", application),
            ("juju_unit", unit),
            ("juju_charm", charm_name),
        ]
    }
}
