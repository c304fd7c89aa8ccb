//! A host with a real systemd: booted in namespaces over this machine's own file system, gone without a trace
//! afterwards.
//!
//! It needs root, util-linux and systemd, and a second or so. Programs of this machine are programs of the host; what
//! the host writes stays in memory, over reboots too. Several hosts run at once. They have the kernel and, unless asked
//! otherwise, the network in common.
//!
//! The host lives as long as a pipe is open, so that it goes down even if the test that booted it is killed.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::{Pid, geteuid};
use tempfile::TempDir;

use super::paths;
use crate::juju::command::{Answer, HostCommand, Invocation};

/// How long a boot may take on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often a boot is looked at.
const STEP: Duration = Duration::from_millis(20);

/// What an administrator finds in a fresh shell, as far as programs look at it.
const ENVIRONMENT: [(&str, &str); 2] =
    [("LANG", "C.UTF-8"), ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")];

/// Whether a host shares the network of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// All ports are those of this machine.
    Shared,
    /// Nothing but a loopback of its own, so that every port is free.
    Own,
}

/// A running host.
#[derive(Debug)]
pub struct Host {
    /// Shared with the commands that were made of it, as a reboot changes it.
    leader: Arc<AtomicI32>,
    /// The process that has the disk, and boots the host again when it reboots.
    outer: Pid,
    life: Child,
    cgroup: PathBuf,
    folder: TempDir,
}

impl Host {
    /// Boots a host on the network of this machine.
    pub fn boot() -> io::Result<Self> {
        Self::boot_with(Network::Shared)
    }

    /// Boots a host.
    pub fn boot_with(network: Network) -> io::Result<Self> {
        if !geteuid().is_root() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "booting a host needs root"));
        }
        let folder = tempfile::Builder::new().prefix("charm-tests-host-").tempdir()?;
        // The name of the folder is unique on this machine.
        let name = folder.path().file_name().and_then(|name| name.to_str()).unwrap_or("charm-tests-host").to_owned();
        let cgroup = cgroups()?.join(&name);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", include_str!("host.sh"), "host.sh"]).arg(folder.path()).arg(&name).arg(&cgroup);
        if network == Network::Own {
            command.arg("--net");
        }
        // A Ctrl-C in a terminal is for the harness, which takes the host down in good order.
        command.process_group(0);
        let mut life = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut said = String::new();
        if let Some(stdout) = life.stdout.take() {
            BufReader::new(stdout).read_line(&mut said)?;
        }
        let nobody = Pid::from_raw(0);
        let mut host = Self { leader: Arc::default(), outer: nobody, life, cgroup, folder };
        match said.trim().parse() {
            Ok(outer) => host.outer = Pid::from_raw(outer),
            Err(_) => return Err(host.failure("it did not come up")),
        }
        host.wait_for_boot(nobody)?;
        Ok(host)
    }

    /// Switches the host off and on again. What it has written stays, but for `/run`, `/tmp` and `/dev`.
    pub fn reboot(&mut self) -> io::Result<()> {
        let before = self.leader();
        // It goes down while it answers, so how the command ends says nothing.
        self.run("systemctl", &["reboot"])?;
        self.wait_for_boot(before)
    }

    /// Waits until another first process than this one has booted.
    fn wait_for_boot(&mut self, before: Pid) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Some(boots) = children(self.outer) else {
                return Err(self.failure("it went down while it was booting"));
            };
            // There is none before `unshare` has got that far, and between two boots.
            let leader = boots.into_iter().filter_map(children).flatten().find(|leader| *leader != before);
            // The first process is a shell until the file system is ready; `nsenter` would see half of it.
            let is_systemd = |leader: &Pid| {
                fs::read_to_string(format!("/proc/{leader}/comm")).is_ok_and(|name| name.trim() == "systemd")
            };
            if let Some(leader) = leader.filter(is_systemd) {
                self.leader.store(leader.as_raw(), Ordering::Relaxed);
                let state = self.run("systemctl", &["is-system-running"])?.stdout;
                if matches!(&*state, b"running\n" | b"degraded\n") {
                    return Ok(());
                }
            }
            if Instant::now() > deadline {
                return Err(self.failure("it does not get ready"));
            }
            thread::sleep(STEP);
        }
    }

    /// The reason, with what was printed. Ends the host.
    fn failure(&mut self, what: &str) -> io::Error {
        let stderr: Option<ChildStderr> = self.life.stderr.take();
        self.switch_off();
        let mut said = String::new();
        if let Some(mut stderr) = stderr {
            // Without its words the failure is still one.
            let _ = stderr.read_to_string(&mut said);
        }
        io::Error::other(format!("no host with systemd: {what}: {}", said.trim()))
    }

    /// What has to stand before a program so that it runs on the host, in this folder of it.
    pub fn entry(&self, folder: &str) -> Vec<OsString> {
        entry(self.leader(), folder)
    }

    /// A program to be run on the host, in its root folder.
    pub fn command(&self, program: &str) -> Command {
        let entry = self.entry("/");
        let mut command = Command::new(&entry[0]);
        command.args(&entry[1..]).arg(program).env_clear().envs(ENVIRONMENT).stdin(Stdio::null());
        command
    }

    /// Runs a program on the host.
    pub fn run(&self, program: &str, args: &[&str]) -> io::Result<Output> {
        self.command(program).args(args).output()
    }

    /// Runs a program on the host that has to succeed, and returns what it prints.
    pub fn succeed(&self, program: &str, args: &[&str]) -> io::Result<String> {
        let Output { status, stdout, stderr } = self.run(program, args)?;
        if status.success() {
            return Ok(String::from_utf8_lossy(&stdout).into_owned());
        }
        let (args, stderr) = (args.join(" "), String::from_utf8_lossy(&stderr));
        Err(io::Error::other(format!("`{program} {args}` failed: {}", stderr.trim())))
    }

    /// A program of the host as a command for scenarios.
    pub fn host_command(&self) -> impl HostCommand + use<> {
        let leader = Arc::clone(&self.leader);
        move |invocation: &Invocation| {
            let entry = entry(Pid::from_raw(leader.load(Ordering::Relaxed)), "/");
            let output = Command::new(&entry[0])
                .args(&entry[1..])
                .arg(&invocation.name)
                .args(&invocation.args)
                .env_clear()
                .envs(ENVIRONMENT)
                .stdin(Stdio::null())
                .output();
            match output {
                Ok(Output { status, stdout, stderr }) => Answer { stdout, stderr, code: status.code().unwrap_or(255) },
                Err(error) => Answer::failure(127, format!("{}: {error}\n", invocation.name)),
            }
        }
    }

    /// An absolute path of the host, seen from outside. An absolute link on the way leads out of the host.
    pub fn path(&self, absolute: &str) -> PathBuf {
        paths::below(Path::new(&format!("/proc/{}/root", self.leader())), absolute)
    }

    /// A folder with everything that the host has written to its disk since it was made, and nothing else.
    pub fn changes(&self) -> PathBuf {
        let folder = self.folder.path().to_string_lossy().into_owned();
        paths::below(Path::new(&format!("/proc/{}/root", self.outer)), &folder).join("changes")
    }

    /// The first process of the host, seen from outside. Another one after a reboot.
    pub fn leader(&self) -> Pid {
        Pid::from_raw(self.leader.load(Ordering::Relaxed))
    }

    /// The control group of the host, seen from outside.
    pub fn control_group(&self) -> &Path {
        &self.cgroup
    }

    fn switch_off(&mut self) {
        drop(self.life.stdin.take());
        // It ends by itself, whatever the host does.
        drop(self.life.wait());
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.switch_off();
    }
}

fn entry(leader: Pid, folder: &str) -> Vec<OsString> {
    let leader = leader.to_string();
    ["nsenter", "--target", &leader, "--all", &format!("--wdns={folder}"), "--"].map(OsString::from).into()
}

/// The child processes of one, if it is there.
fn children(parent: Pid) -> Option<Vec<Pid>> {
    let numbers = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    Some(numbers.split_whitespace().filter_map(|number| number.parse().ok()).map(Pid::from_raw).collect())
}

/// Where control groups of version 2 are made.
fn cgroups() -> io::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    mounts
        .lines()
        .find_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let place = fields.next()?;
            (fields.next()? == "cgroup2").then(|| PathBuf::from(place))
        })
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "control groups of version 2 are not mounted here"))
}
