//! A pod with the charm and the container of Falcosidekick, ready for hooks.
//!
//! The container runs the real Pebble and, in it, Falcosidekick: the real one, or the stand-in. All pods of this
//! machine share its network, and each binds its port on every address, so two of the same application cannot serve at
//! the same time.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::juju::{Context, Network, State};
use crate::pebble::Pebble;
use crate::programs;

/// The container.
pub const CONTAINER: &str = "falcosidekick";

/// Where the image of the Falcosidekick project has the program.
pub const PROGRAM: &str = "/app/falcosidekick";

/// Where whoever is on this machine reaches a pod. A cluster would give it an address of its own.
pub const ADDRESS: &str = "127.0.0.1";

/// One pod with one unit of the charm.
#[derive(Debug)]
pub struct Pod {
    // Declared first: services end before the folders they work in go.
    /// The container's Pebble.
    pub pebble: Pebble,
    /// How the charm is run.
    pub context: Context,
    root: TempDir,
}

impl Pod {
    /// A pod whose container is up, with a say in how the charm is run.
    pub fn new(prepare: impl FnOnce(Context) -> Context) -> Self {
        Self::with_environment(prepare, &[])
    }

    /// The same, of an image with variables.
    pub fn with_environment(prepare: impl FnOnce(Context) -> Context, environment: &[(String, String)]) -> Self {
        let root = tempfile::Builder::new().prefix("pod-").tempdir().expect("a folder for the pod");
        let program = root.path().join(PROGRAM.trim_start_matches('/'));
        programs::install_falcosidekick(&program).expect("Falcosidekick can be put into a container");
        let pebble = Pebble::start_with(root.path(), CONTAINER, &[], environment);
        let charmcraft = programs::charmcraft("falcosidekick-k8s");
        let context = Context::new(charmcraft, programs::falcosidekick_charm(), programs::hook_command())
            .expect("charmcraft.yaml can be read")
            .at_root(root.path());
        Self { pebble, context: prepare(context), root }
    }

    /// What only the pod knows about a state: where it is reached.
    pub fn complete(&self, mut state: State) -> State {
        for endpoint in self.context.unit().metadata.endpoints.keys() {
            state.networks.insert(endpoint.clone(), Network::pod(ADDRESS, ADDRESS));
        }
        state
    }

    /// `/` of both the charm and the container, which share nothing in a cluster but the folder of Pebble's socket.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// An absolute path of the pod, seen from outside.
    pub fn path(&self, absolute: &str) -> PathBuf {
        self.root.path().join(absolute.trim_start_matches('/'))
    }
}
