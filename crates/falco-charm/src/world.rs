//! A folder that stands for a machine, for the tests of what reads one.

use charm_core::topology::Topology;
use charm_core::{Hook, files};
use tempfile::TempDir;

/// An empty machine.
pub struct World {
    /// The unit falco/0 on it.
    pub hook: Hook,
    _folder: TempDir,
}

impl World {
    /// With nothing on it.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let charm = folder.path().join("var/lib/juju/agents/unit-falco-0/charm");
        let variables = [
            ("JUJU_UNIT_NAME", "falco/0"),
            ("JUJU_MODEL_NAME", "prod"),
            ("JUJU_MODEL_UUID", "12345678-1234-4234-8234-123456789abc"),
            ("JUJU_CHARM_DIR", charm.to_str().unwrap()),
            ("CHARM_ROOT", folder.path().to_str().unwrap()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { hook: Hook::from_vars(&variables.into()).unwrap(), _folder: folder }
    }

    /// Puts a file there.
    pub fn write(&self, path: &str, text: &str) {
        files::replace(&self.hook.path(path), text.as_bytes(), 0o644).unwrap();
    }

    /// What is in a file, if there is one.
    pub fn read(&self, path: &str) -> Option<String> {
        files::read(&self.hook.path(path)).unwrap().map(|content| String::from_utf8(content).unwrap())
    }
}

/// The unit `falco/0` of a model.
pub fn topology() -> Topology {
    Topology {
        model: "prod".into(),
        model_uuid: "12345678-1234-4234-8234-123456789abc".into(),
        application: "falco".into(),
        unit: "falco/0".into(),
        charm_name: "falco".into(),
    }
}
