//! The process of Pebble, and the services that it started.
//!
//! It is shared with the proxy, which may have to kill it while a hook is under way.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use serde_json::Value;

use super::pebble_binary;

/// Longer than Pebble ever takes to begin or to end, even on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);
/// The search path of a workload container.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Pebble in a folder, which runs or does not.
#[derive(Debug)]
pub struct Daemon {
    root: PathBuf,
    container: String,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    process: Mutex<Option<Child>>,
}

impl Daemon {
    /// One that does not run yet.
    pub fn new(root: &Path, container: &str, folder: PathBuf, environment: &[(String, String)]) -> Self {
        Self {
            root: root.to_owned(),
            container: container.to_owned(),
            folder,
            environment: environment.to_vec(),
            process: Mutex::default(),
        }
    }

    /// Where it answers.
    pub fn socket(&self) -> PathBuf {
        self.folder.join(".pebble.socket")
    }

    /// Starts it, and waits until it answers.
    pub fn start(&self) {
        self.start_in(&mut self.process());
    }

    /// Kills it and all its services, as the end of a container does.
    pub fn kill(&self) {
        self.kill_in(&mut self.process());
    }

    /// [`Self::kill`], then [`Self::start`]. Whoever looks meanwhile waits for the end of it.
    pub fn restart(&self) {
        let mut process = self.process();
        self.kill_in(&mut process);
        self.start_in(&mut process);
    }

    /// Asks it to end, as Kubernetes does: it stops its services first.
    pub fn end(&self) {
        let Some(mut child) = self.process().take() else { return };
        let pid = Pid::from_raw(child.id().try_into().expect("a process number is positive"));
        signal::kill(pid, Signal::SIGTERM).expect("failed to end Pebble");
        let started = Instant::now();
        while child.try_wait().expect("failed to wait for Pebble").is_none() {
            assert!(started.elapsed() < PATIENCE, "Pebble does not end:\n{}", self.log());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// The result of a GET request; `None` if it does not run or refuses.
    pub fn get(&self, target: &str) -> Option<Value> {
        let mut stream = UnixStream::connect(self.socket()).ok()?;
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

    /// The numbers of all processes that its services consist of.
    pub fn service_processes(&self) -> Vec<u32> {
        let own = self.process().as_ref().map(Child::id);
        self.processes().into_iter().filter(|pid| Some(*pid) != own).collect()
    }

    /// What it and its services printed.
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

    fn start_in(&self, process: &mut Option<Child>) {
        assert!(process.is_none(), "Pebble runs already");
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
        let child = process.insert(child);
        let started = Instant::now();
        while self.get("/v1/system-info").is_none() {
            let ended = child.try_wait().ok().flatten();
            assert!(ended.is_none(), "Pebble ended at once with {ended:?}:\n{}", self.log());
            assert!(started.elapsed() < PATIENCE, "Pebble does not answer:\n{}", self.log());
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn kill_in(&self, process: &mut Option<Child>) {
        if let Some(mut child) = process.take() {
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

    fn process(&self) -> MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
