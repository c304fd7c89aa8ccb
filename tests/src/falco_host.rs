//! A machine with the falco charm on it, ready for hooks.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use charm_core::digest::Digest;
use tempfile::TempDir;

use crate::crash::World;
use crate::falco_distribution;
use crate::juju::{Context, Event, Outcome, Relation, State};
use crate::machine::{Action, Machine};
use crate::ports::free_port;
use crate::programs;

/// The systemd unit.
pub const UNIT: &str = "falco.service";

/// The id of the relation to the principal, which a subordinate always has.
pub const GENERAL_INFO: u32 = 1;

/// The id of the relation to Falcosidekick in [`FalcoHost::related`].
pub const HTTP_ENDPOINT: u32 = 2;

/// A file that the default rules watch.
pub const SENSITIVE: &str = "/etc/shadow";

/// Longer than anything here takes, even on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// A machine, and one unit of the charm on it.
pub struct FalcoHost {
    // Declared first: services end before the folders they work in go.
    /// The machine.
    pub machine: Machine,
    /// How the charm is run.
    pub context: Context,
    /// A port for Falco's metrics that is free.
    pub port: u16,
    /// A Falco distribution: the official one if `FALCO_TARBALL` names it, else one around the stand-in.
    pub tarball: PathBuf,
    folder: TempDir,
}

impl std::fmt::Debug for FalcoHost {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("FalcoHost").field("context", &self.context).finish_non_exhaustive()
    }
}

impl FalcoHost {
    /// Unit `falco/0` on a machine that can run Falco.
    pub fn new() -> Self {
        Self::on(Machine::new().expect("a folder for the machine"), |context| context)
    }

    /// A unit on this machine, with a say in how it is run.
    pub fn on(machine: Machine, prepare: impl FnOnce(Context) -> Context) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let tarball = shared_tarball();
        machine.write(SENSITIVE, "root:*:1:0:99999:7:::\n", 0o640).expect("a file below the machine's root");
        let root = machine.root().to_string_lossy().into_owned();
        let syslog = machine.syslog_path().to_string_lossy().into_owned();
        let machine = machine.with_environment("FALCO_STAND_IN_ROOT", &root);
        let machine = machine.with_environment("FALCO_STAND_IN_SYSLOG", &syslog);
        let context = prepare(context(&machine));
        Self { machine, context, port: free_port(), tarball, folder }
    }

    /// Unit 0 of another application of the same charm on the same machine.
    pub fn second_unit(&self, app: &str) -> Context {
        let context = context(&self.machine);
        context.app(app)
    }

    /// What the controller knows of a fresh unit: a principal, a free port, and the distribution attached.
    pub fn fresh(&self) -> State {
        State::default()
            .leader(true)
            .config("metrics-port", self.port)
            .resource("falco", &self.tarball)
            .relation(Relation::new(GENERAL_INFO, "general-info", "ubuntu").remote_unit(0))
    }

    /// The same, related to a Falcosidekick that has published this URL.
    pub fn related(&self, url: &str) -> State {
        self.fresh().relation(sidekick().remote_app("url", format!("\"{url}\"")))
    }

    /// Runs a hook, which has to succeed.
    #[track_caller]
    pub fn run(&self, event: &Event, state: &State) -> Outcome {
        self.context.run(event, state).expect_success()
    }

    /// A folder for what the test needs beside.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How often something was done to the service.
    pub fn count(&self, action: Action) -> usize {
        self.machine.count(UNIT, action)
    }

    /// How often the service was started, reloaded, restarted and stopped.
    pub fn actions(&self) -> Vec<Action> {
        self.machine.actions(UNIT)
    }

    /// The text of a file on the machine.
    #[track_caller]
    pub fn text(&self, absolute: &str) -> String {
        let path = self.machine.path(absolute);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Does what the default rules call suspicious. The real Falco sees the files of this machine, the stand-in those
    /// of the folder.
    pub fn read_sensitive_file(&self) {
        let path = match falco_distribution::real_tarball() {
            Some(_) => PathBuf::from(SENSITIVE),
            None => self.machine.path(SENSITIVE),
        };
        fs::read(path).expect("the file is there and may be read");
    }

    /// What Falco answers on `/metrics`, or nothing.
    pub fn metrics(&self) -> String {
        Self::metrics_at(self.port)
    }

    /// The same, of a Falco on this port.
    pub fn metrics_at(port: u16) -> String {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return String::new() };
        let mut answer = String::new();
        // Nobody, or somebody who ends in the middle, is an answer as well.
        let _ = stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").and_then(|()| stream.read_to_string(&mut answer));
        answer
    }

    /// Whether Falco says that it has loaded a rules file of this name.
    pub fn has_loaded(&self, file: &str) -> bool {
        let name = format!("\"{file}\"");
        self.metrics().lines().any(|line| line.contains("sha256_rules_files_info") && line.contains(&name))
    }

    /// Whatever the charm can have written on the machine: path, and what tells one version of a file from the next.
    pub fn files(&self) -> BTreeMap<PathBuf, String> {
        let mut files = BTreeMap::new();
        for folder in ["/etc", "/opt", "/usr", "/root", "/tmp", "/var/lib/falco", "/run"] {
            collect(&self.machine.path(folder), &mut files);
        }
        files
    }
}

impl World for FalcoHost {
    fn context(&self) -> Context {
        context(&self.machine)
    }

    /// Files with their modes and contents, and what Falco says that it has loaded.
    fn end(&self) -> String {
        let root = self.machine.root().to_string_lossy().into_owned();
        let mut end = String::new();
        for path in self.files().into_keys().filter(|path| !path.is_dir()) {
            let mode = fs::metadata(&path).map_or(0, |metadata| metadata.mode() & 0o7777);
            let content = fs::read(&path).unwrap_or_default();
            let text = match String::from_utf8(content) {
                Ok(text) => text.replace(&root, ""),
                Err(error) => Digest::of(error.as_bytes()).to_string(),
            };
            // The digest in the unit file covers the folder that stands for the root.
            let lines = text.lines().filter(|line| !line.starts_with("Environment=CHARM_CONFIG_DIGEST="));
            // So do those by which verdicts are found.
            let lines = lines.map(|line| {
                line.trim_start()
                    .strip_prefix('"')
                    .map_or(line, |rest| rest.trim_start_matches(|c: char| c.is_ascii_hexdigit()))
            });
            let text: Vec<&str> = lines.collect();
            let path = path.to_string_lossy().replace(&root, "");
            end.extend([path, format!(" {mode:o} {}\n", Digest::of(text.join("\n")))]);
        }
        let config = fs::read(self.machine.path("/etc/juju-falco/falco.yaml")).map(Digest::of);
        let served = config.is_ok_and(|digest| self.will_serve(&digest));
        end + &format!("active: {}, serves its configuration: {served}\n", self.machine.is_active(UNIT))
    }
}

impl FalcoHost {
    /// Whether Falco serves this configuration, or does so soon: it loads a file of its own accord and once more when
    /// it is told to, and meanwhile tells nothing, or half of it, or what it had loaded before.
    fn will_serve(&self, configuration: &Digest) -> bool {
        let begin = Instant::now();
        while !self.metrics().contains(configuration.as_str()) {
            if !self.machine.is_active(UNIT) || begin.elapsed() > PATIENCE {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

impl Default for FalcoHost {
    fn default() -> Self {
        Self::new()
    }
}

fn context(machine: &Machine) -> Context {
    Context::new(programs::charmcraft("falco"), programs::falco_charm(), programs::hook_command())
        .expect("charmcraft.yaml can be read")
        .at_root(machine.root())
        .system_path()
        .host_command("systemctl", Arc::new(Mutex::new(machine.systemctl())))
        .host_command("journalctl", Arc::new(Mutex::new(machine.journalctl())))
}

/// The same file for all hosts and all test programs: packing the stand-in takes longer than most hooks. It lies beside the
/// stand-in, in a folder named by the time at which that was built.
fn shared_tarball() -> PathBuf {
    static SHARED: LazyLock<PathBuf> = LazyLock::new(|| {
        let stand_in = programs::built("falco-stand-in");
        let built = fs::metadata(&stand_in).expect("the stand-in is there");
        let name = format!("falco-distribution-{}-{}", built.mtime(), built.mtime_nsec());
        let folder = stand_in.with_file_name(name);
        if !folder.is_dir() {
            let beside = stand_in.parent().expect("a program lies in a folder");
            let fresh = TempDir::new_in(beside).expect("a folder for the tarball");
            falco_distribution::tarball_or_real(fresh.path());
            // Another program may have been faster; its file is as good.
            let _ = fs::rename(fresh.path(), &folder);
        }
        let tarballs = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let made = tarballs.filter(|path| path.extension().is_some_and(|extension| extension == "gz")).last();
        falco_distribution::real_tarball().or(made).expect("a tarball was made")
    });
    SHARED.clone()
}

/// The relation to a Falcosidekick that has published nothing yet.
pub fn sidekick() -> Relation {
    Relation::new(HTTP_ENDPOINT, "http-endpoint", "falcosidekick-k8s").remote_unit(0)
}

/// Waits until something is there, and says what was missing if it never comes.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "{what} never came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn collect(path: &Path, files: &mut BTreeMap<PathBuf, String>) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    if metadata.is_dir() {
        // A folder itself changes with each file that is replaced in it.
        files.insert(path.to_owned(), format!("{:o}", metadata.mode()));
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            collect(&entry.path(), files);
        }
    } else {
        let version = (metadata.ino(), metadata.mtime_nsec(), metadata.len());
        files.insert(path.to_owned(), format!("{:o} {version:?}", metadata.mode()));
    }
}
