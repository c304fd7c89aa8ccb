//! A host as a machine charm sees it: a root folder, and `systemctl` and `journalctl` with a memory.
//!
//! The root is a real folder, the services are real processes, and `/proc` has those of the real one. systemd itself is
//! a stand-in ([`manager`]) that is held to the real one by a differential test; [`host`] boots the real one. A machine
//! is not copied: services are processes. Whoever needs the same machine twice writes its preparation as a function and
//! calls it twice.

mod arguments;
pub mod clock;
pub mod host;
pub mod install;
pub mod journal;
pub mod manager;
pub mod paths;
pub mod processes;
mod run;
pub mod service;
pub mod settings;
pub mod show;
pub mod snapshot;
pub mod systemctl;
pub mod words;

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tempfile::TempDir;

pub use self::journal::Entry;
pub use self::manager::Action;

use self::manager::Manager;
use crate::juju::command::{Answer, HostCommand, Invocation};

/// Folders that every host has.
const FOLDERS: [&str; 15] = [
    "/etc/systemd/system",
    "/opt",
    "/root",
    "/run/systemd/system",
    "/sys/kernel/btf",
    "/tmp",
    "/usr/bin",
    "/usr/lib/systemd/system",
    "/usr/local/bin",
    "/usr/share",
    "/var/lib",
    "/var/log",
    "/var/tmp",
    "/home",
    "/srv",
];

/// The unit of the Falco package, as far as it matters here: it is there, it is somebody else's, and it runs.
const PACKAGE_UNIT: &str = "\
[Unit]
Description=Falco of a package

[Service]
ExecStart=/bin/sleep infinity

[Install]
WantedBy=multi-user.target
Alias=falco.service
";

/// A host. Dropping it ends every process that its units have started.
#[derive(Debug)]
pub struct Machine {
    // Declared first: processes end before the folder they work in goes.
    manager: Arc<Mutex<Manager>>,
    root: TempDir,
}

impl Machine {
    /// A host that can run Falco and on which nothing is installed yet.
    pub fn new() -> io::Result<Self> {
        let root = tempfile::Builder::new().prefix("machine-").tempdir()?;
        // systemd, and a charm, compare paths after resolving links.
        let path = root.path().canonicalize()?;
        for folder in FOLDERS {
            fs::create_dir_all(paths::below(&path, folder))?;
        }
        // Of the real one, only the sockets, and the processes that are started here. What this machine is like besides is
        // not what the charm shall find.
        fs::create_dir(path.join("proc"))?;
        symlink("/proc/net", path.join("proc/net"))?;
        symlink("usr/lib", path.join("lib"))?;
        fs::set_permissions(path.join("root"), fs::Permissions::from_mode(0o700))?;
        for folder in ["tmp", "var/tmp"] {
            fs::set_permissions(path.join(folder), fs::Permissions::from_mode(0o1777))?;
        }
        // Falco only asks whether it is there.
        fs::write(path.join("sys/kernel/btf/vmlinux"), [0x9f, 0xeb, 1, 0])?;
        Ok(Self { manager: Arc::new(Mutex::new(Manager::new(&path)?)), root })
    }

    /// The same host with a kernel that was built without type information.
    pub fn without_btf(self) -> io::Result<Self> {
        fs::remove_file(self.path("/sys/kernel/btf/vmlinux"))?;
        Ok(self)
    }

    /// The same host with the Falco package of the distribution or of its makers, enabled and running as
    /// `falco.service`.
    pub fn with_falco_package(self) -> io::Result<Self> {
        self.write("/usr/bin/falco", "#!/bin/sh\nexit 0\n", 0o755)?;
        self.write("/usr/lib/systemd/system/falco-modern-bpf.service", PACKAGE_UNIT, 0o644)?;
        self.systemctl_now(&["enable", "--now", "falco-modern-bpf.service"])?;
        Ok(self)
    }

    /// The same host with a `falco.service` that somebody wrote by hand; it is not running.
    pub fn with_foreign_unit(self) -> io::Result<Self> {
        self.write("/etc/systemd/system/falco.service", "[Service]\nExecStart=/bin/sleep infinity\n", 0o644)?;
        Ok(self)
    }

    /// The same host with a variable in the environment of every service, for stand-ins that have to be told something.
    #[must_use]
    pub fn with_environment(self, name: &str, value: &str) -> Self {
        words::set(&mut self.lock().extra_environment, name, value);
        self
    }

    /// The root folder: `/` of this host.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// An absolute path of this host, seen from outside.
    pub fn path(&self, absolute: &str) -> PathBuf {
        paths::below(self.root(), absolute)
    }

    /// Puts a file in place, with its folders.
    pub fn write(&self, absolute: &str, text: impl AsRef<[u8]>, mode: u32) -> io::Result<()> {
        let path = self.path(absolute);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, text)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    }

    /// `systemctl`, to be registered as a host command.
    pub fn systemctl(&self) -> impl HostCommand + use<> {
        let manager = Arc::clone(&self.manager);
        move |invocation: &Invocation| lock(&manager).systemctl(&invocation.args)
    }

    /// The socket that stands for `/dev/log` on this host.
    pub fn syslog_path(&self) -> PathBuf {
        self.lock().journal.syslog_path()
    }

    /// `journalctl`, to be registered as a host command.
    pub fn journalctl(&self) -> impl HostCommand + use<> {
        let manager = Arc::clone(&self.manager);
        move |invocation: &Invocation| {
            let mut manager = lock(&manager);
            manager.settle();
            let clock = manager.clock;
            manager.journal.run(clock, &invocation.args)
        }
    }

    /// Runs `systemctl` as somebody at the keyboard would.
    pub fn run(&self, args: &[&str]) -> Answer {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        self.lock().systemctl(&args)
    }

    fn systemctl_now(&self, args: &[&str]) -> io::Result<()> {
        let answer = self.run(args);
        match answer.code {
            0 => Ok(()),
            _ => Err(io::Error::other(String::from_utf8_lossy(&answer.stderr).into_owned())),
        }
    }

    /// One property of a unit, as `systemctl show` gives it.
    pub fn property(&self, unit: &str, property: &str) -> String {
        let answer = self.run(&["show", "--value", "-p", property, unit]);
        String::from_utf8_lossy(&answer.stdout).trim_end().to_owned()
    }

    /// Whether a unit runs.
    pub fn is_active(&self, unit: &str) -> bool {
        self.property(unit, "ActiveState") == "active"
    }

    /// The main process of a unit, if it runs.
    pub fn main_pid(&self, unit: &str) -> Option<Pid> {
        self.property(unit, "MainPID").parse().ok().filter(|pid| *pid != 0).map(Pid::from_raw)
    }

    /// Sends a signal to the main process of a unit, and waits until it is gone if the signal kills.
    pub fn kill(&self, unit: &str, signal: Signal) {
        let Some(pid) = self.main_pid(unit) else {
            return;
        };
        processes::signal(pid, signal);
        if signal == Signal::SIGKILL {
            while !processes::has_ended(pid) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Everything that was done to a unit, in order.
    pub fn actions(&self, unit: &str) -> Vec<Action> {
        self.lock().actions.iter().filter(|(name, _)| name == unit).map(|(_, action)| *action).collect()
    }

    /// How often something was done to a unit. [`Action::DaemonReload`] is done to the unit without a name.
    pub fn count(&self, unit: &str, action: Action) -> usize {
        self.actions(unit).into_iter().filter(|done| *done == action).count()
    }

    /// The arguments of every `systemctl`, in order.
    pub fn invocations(&self) -> Vec<Vec<String>> {
        self.lock().invocations.clone()
    }

    /// Forgets what was recorded so far; services go on.
    pub fn forget(&self) {
        let mut manager = self.lock();
        manager.actions.clear();
        manager.invocations.clear();
    }

    /// What a unit and the manager have written about it.
    pub fn journal(&self, unit: &str) -> Vec<Entry> {
        let mut manager = self.lock();
        manager.settle();
        let clock = manager.clock;
        manager.journal.of(clock, unit)
    }

    /// Settings of a unit that the stand-in leaves alone, e.g. `ProtectSystem=`.
    pub fn ignored_settings(&self, unit: &str) -> Vec<String> {
        let mut manager = self.lock();
        let settings = &manager.load(unit).settings;
        settings.iter().flat_map(|settings| settings.ignored.iter().cloned()).collect()
    }

    /// Lets time pass without waiting: restarts that become due happen.
    pub fn pass_time(&self, time: Duration) {
        let mut manager = self.lock();
        manager.settle();
        manager.clock.skip(time);
        manager.settle();
    }

    /// Switches the host off and on again.
    pub fn reboot(&self) {
        self.lock().reboot();
    }

    fn lock(&self) -> MutexGuard<'_, Manager> {
        lock(&self.manager)
    }
}

/// A test that failed while it held the lock has said so already.
fn lock(manager: &Arc<Mutex<Manager>>) -> MutexGuard<'_, Manager> {
    manager.lock().unwrap_or_else(PoisonError::into_inner)
}
