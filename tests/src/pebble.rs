//! The real Pebble, the version that Juju embeds, started as Juju starts it in a workload container.
//!
//! Its own folder is `<root>/var/lib/pebble/<container>`. The charm reaches it at
//! `<root>/charm/containers/<container>/pebble.socket`, where a small proxy stands in between: a scenario can see which
//! requests were made and break the connection at any of them. What this module asks Pebble by itself goes past the
//! proxy, and is not counted.
//!
//! A socket path has room for 107 bytes, so the root has to be a short one.

mod daemon;
mod proxy;
pub mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use daemon::Daemon;
use proxy::Proxy;

pub use proxy::Cut;

/// A running Pebble. It ends when this is dropped, and so does every service that it started.
#[derive(Debug)]
pub struct Pebble {
    daemon: Arc<Daemon>,
    proxy: Proxy,
}

/// Something that Pebble did, as its list of changes shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// For instance `replan`, `start` or `perform-check`.
    pub kind: String,
    /// For instance `Replan service "web"`.
    pub summary: String,
    /// For instance `Done` or `Error`.
    pub status: String,
}

/// The Pebble program.
///
/// # Panics
/// If it was not built, with the command that builds it: a test that needs Pebble must not pass without.
pub fn pebble_binary() -> PathBuf {
    tools::program("pebble").unwrap_or_else(|problem| panic!("{problem}"))
}

impl Pebble {
    /// Starts Pebble for a container of a test world below `root`. `layers` are those of the image, as label and YAML.
    pub fn start(root: &Path, container: &str, layers: &[(&str, &str)]) -> Self {
        Self::start_with(root, container, layers, &[])
    }

    /// The same, with variables of the image, which every service inherits.
    pub fn start_with(root: &Path, container: &str, layers: &[(&str, &str)], environment: &[(String, String)]) -> Self {
        let folder = root.join("var/lib/pebble").join(container);
        let layers_folder = folder.join("layers");
        fs::create_dir_all(&layers_folder).expect("failed to make the folder of Pebble's layers");
        for (order, (label, yaml)) in (1..).zip(layers) {
            let file = layers_folder.join(format!("{order:03}-{label}.yaml"));
            fs::write(file, yaml).expect("failed to write a layer of the image");
        }
        let socket = root.join("charm/containers").join(container).join("pebble.socket");
        fs::create_dir_all(socket.parent().expect("the socket is in a folder")).expect("failed to make its folder");
        let daemon = Arc::new(Daemon::new(root, container, folder, environment));
        let mut pebble = Self { proxy: Proxy::new(socket, Arc::clone(&daemon)), daemon };
        pebble.start_again();
        pebble
    }

    /// Starts Pebble anew after [`Self::stop`] or [`Self::kill`]: with its folder as it was, and thus without the
    /// layers that were added over its API.
    pub fn start_again(&mut self) {
        self.daemon.start();
        self.proxy.open();
    }

    /// Asks Pebble to end, as Kubernetes does: its socket goes at once, then it stops its services.
    pub fn stop(&mut self) {
        self.proxy.remove();
        self.daemon.end();
    }

    /// Kills Pebble and all its services, as the end of a container does. The file of the socket stays.
    pub fn kill(&mut self) {
        self.proxy.close();
        self.daemon.kill();
    }

    /// [`Self::kill`], then [`Self::start_again`]: a container that died and was started anew.
    pub fn restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Method and target of every request of the charm since the first start, such as `GET /v1/plan?format=yaml`.
    pub fn requests(&self) -> Vec<String> {
        self.proxy.requests()
    }

    /// Breaks the connection of the charm at its request of this number, counted from now and from 1.
    pub fn cut_at_request(&self, number: usize, cut: Cut) {
        self.proxy.cut(number, cut);
    }

    /// Everything that Pebble did since the first start, oldest first.
    pub fn changes(&self) -> Vec<Change> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let changes = self.get("/v1/changes?select=all");
        let mut changes: Vec<(u64, Change)> = changes
            .as_array()
            .into_iter()
            .flatten()
            .map(|change| {
                let [kind, summary, status] = ["kind", "summary", "status"].map(|key| text(&change[key]));
                (text(&change["id"]).parse().unwrap_or_default(), Change { kind, summary, status })
            })
            .collect();
        changes.sort_by_key(|(id, _)| *id);
        changes.into_iter().map(|(_, change)| change).collect()
    }

    /// The result of a GET request, past the proxy.
    ///
    /// # Panics
    /// If Pebble does not run or refuses.
    pub fn get(&self, target: &str) -> Value {
        self.daemon.get(target).unwrap_or_else(|| panic!("Pebble did not answer GET {target}:\n{}", self.log()))
    }

    /// The numbers of all processes that Pebble's services consist of.
    pub fn service_processes(&self) -> Vec<u32> {
        self.daemon.service_processes()
    }

    /// What Pebble and its services printed.
    pub fn log(&self) -> String {
        self.daemon.log()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.proxy.remove();
        self.daemon.kill();
    }
}
