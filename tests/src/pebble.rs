//! The real Pebble, the version that Juju embeds, started as Juju starts it in a workload container.
//!
//! Its own folder is `<root>/var/lib/pebble/<container>`. The charm reaches it at
//! `<root>/charm/containers/<container>/pebble.socket`, where a small proxy stands in between: a scenario can see which
//! requests were made and break the connection at any of them. What this module asks Pebble by itself goes past the
//! proxy, and is not counted.
//!
//! A socket path has room for 107 bytes, so the root has to be a short one.

mod proxy;
pub mod tools;

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use serde_json::Value;

use proxy::Proxy;

pub use proxy::Cut;

/// Longer than Pebble ever takes to begin or to end, even on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);
/// The search path of a workload container.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A running Pebble. It ends when this is dropped, and so does every service that it started.
#[derive(Debug)]
pub struct Pebble {
    root: PathBuf,
    container: String,
    folder: PathBuf,
    proxy: Proxy,
    environment: Vec<(String, String)>,
    process: Option<Child>,
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
        let proxy = Proxy::new(socket, folder.join(".pebble.socket"));
        let mut pebble = Self {
            root: root.to_owned(),
            container: container.to_owned(),
            folder,
            proxy,
            environment: environment.to_vec(),
            process: None,
        };
        pebble.start_again();
        pebble
    }

    /// Starts Pebble anew after [`Self::stop`] or [`Self::kill`]: with its folder as it was, and thus without the
    /// layers that were added over its API.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "Pebble runs already");
        let log =
            OpenOptions::new().create(true).append(true).open(self.log_file()).expect("failed to open Pebble's log");
        let child = Command::new(pebble_binary())
            .args(["run", "--create-dirs", "--hold", "--verbose"])
            .current_dir(&self.root)
            .env_clear()
            .env("PATH", PATH)
            .envs(self.environment.iter().cloned())
            .env("JUJU_CONTAINER_NAME", &self.container)
            .env("PEBBLE", &self.folder) // inherited by every service, which is how they are found again
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("failed to share Pebble's log"))
            .stderr(log)
            .spawn()
            .expect("failed to start Pebble");
        self.process = Some(child);
        let started = Instant::now();
        while self.try_get("/v1/system-info").is_none() {
            let ended = self.process.as_mut().and_then(|child| child.try_wait().ok()).flatten();
            assert!(ended.is_none(), "Pebble ended at once with {ended:?}:\n{}", self.log());
            assert!(started.elapsed() < PATIENCE, "Pebble does not answer:\n{}", self.log());
            thread::sleep(Duration::from_millis(2));
        }
        self.proxy.open();
    }

    /// Asks Pebble to end, as Kubernetes does: its socket goes at once, then it stops its services.
    pub fn stop(&mut self) {
        self.proxy.remove();
        let Some(mut child) = self.process.take() else { return };
        let pid = Pid::from_raw(child.id().try_into().expect("a process number is positive"));
        signal::kill(pid, Signal::SIGTERM).expect("failed to end Pebble");
        let started = Instant::now();
        while child.try_wait().expect("failed to wait for Pebble").is_none() {
            assert!(started.elapsed() < PATIENCE, "Pebble does not end:\n{}", self.log());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Kills Pebble and all its services, as the end of a container does. The file of the socket stays.
    pub fn kill(&mut self) {
        self.proxy.close();
        self.kill_processes();
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
        self.try_get(target).unwrap_or_else(|| panic!("Pebble did not answer GET {target}:\n{}", self.log()))
    }

    fn try_get(&self, target: &str) -> Option<Value> {
        let mut stream = UnixStream::connect(self.folder.join(".pebble.socket")).ok()?;
        // An answer in HTTP/1.0 is never chunked, and ends where the connection ends.
        write!(stream, "GET {target} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        if head.split(' ').nth(1)? != "200" {
            return None;
        }
        let mut envelope: Value = serde_json::from_str(body).ok()?;
        Some(envelope["result"].take())
    }

    /// The numbers of all processes that Pebble's services consist of.
    pub fn service_processes(&self) -> Vec<u32> {
        let own = self.process.as_ref().map(Child::id);
        self.processes().into_iter().filter(|pid| Some(*pid) != own).collect()
    }

    /// What Pebble and its services printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("pebble.log")
    }

    /// Processes with Pebble's folder in their environment, where Pebble itself and its services have it.
    fn processes(&self) -> Vec<u32> {
        let marker = [b"PEBBLE=", self.folder.as_os_str().as_encoded_bytes()].concat();
        let processes = fs::read_dir("/proc").expect("failed to list /proc").flatten();
        let mut pids: Vec<u32> = processes
            .filter(|entry| {
                let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
                environment.split(|byte| *byte == 0).any(|variable| variable == marker)
            })
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        pids.sort_unstable();
        pids
    }

    fn kill_processes(&mut self) {
        if let Some(mut child) = self.process.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        // A service may be about to start another process, so once is not enough.
        loop {
            let services = self.processes();
            for pid in &services {
                let _ = signal::kill(Pid::from_raw((*pid).cast_signed()), Signal::SIGKILL);
            }
            if services.is_empty() {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.proxy.remove();
        self.kill_processes();
    }
}
