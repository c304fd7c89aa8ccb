//! One unit with its folders: runs the compiled charm as Juju's agent does.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use tempfile::TempDir;

use super::command::HostCommand;
use super::consistency;
use super::environment::{Places, variables};
use super::event::{Event, Kind};
use super::hook::{Exit, Finished, Hook, StatusChange};
use super::layout;
use super::metadata::Metadata;
use super::outcome::Outcome;
use super::process::{Ended, Group, Running, Start};
use super::server::{Gate, Moment, Server, Shared, SharedCommand, Verdict};
use super::state::{State, Status};
use super::unit::Unit;
use super::version::JujuVersion;

/// No hook of our charms takes a minute; one that takes five hangs.
const LIMIT: Duration = Duration::from_secs(300);

/// Everything around the hooks of one unit. Its folders live as long as it does.
pub struct Context {
    unit: Unit,
    dispatch: PathBuf,
    shim: PathBuf,
    assets: Option<PathBuf>,
    root: PathBuf,
    /// Socket and links: outside the root, because a socket's path must be short and the charm must not find them by
    /// looking around.
    surroundings: TempDir,
    _own_root: Option<TempDir>,
    path: Vec<PathBuf>,
    env: BTreeMap<String, String>,
    host_commands: BTreeMap<String, SharedCommand>,
    launcher: Vec<OsString>,
    arguments: Vec<OsString>,
    gate: Option<Gate>,
    refuse_commit: Option<String>,
    check: bool,
    limit: Duration,
    runs: AtomicU64,
}

impl fmt::Debug for Context {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Context")
            .field("unit", &self.unit.name())
            .field("dispatch", &self.dispatch)
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

impl Context {
    /// Unit 0 of the charm that `charmcraft.yaml` describes, run by this program as its `dispatch`.
    ///
    /// `shim` is the `hook-command` program; in an integration test its path is `env!("CARGO_BIN_EXE_hook-command")`.
    pub fn new(charmcraft: impl AsRef<Path>, dispatch: impl Into<PathBuf>, shim: impl Into<PathBuf>) -> Result<Self> {
        Self::with_metadata(Metadata::read(charmcraft)?, dispatch, shim)
    }

    /// The same from metadata that was read already.
    pub fn with_metadata(metadata: Metadata, dispatch: impl Into<PathBuf>, shim: impl Into<PathBuf>) -> Result<Self> {
        let own_root = tempfile::Builder::new().prefix("unit-").tempdir()?;
        let root = own_root.path().to_owned();
        Ok(Self {
            unit: Unit::of(metadata),
            dispatch: dispatch.into(),
            shim: shim.into(),
            assets: None,
            env: [("CHARM_ROOT".to_owned(), root.to_string_lossy().into_owned())].into(),
            root,
            surroundings: short_tempdir()?,
            _own_root: Some(own_root),
            path: Vec::new(),
            host_commands: BTreeMap::new(),
            launcher: Vec::new(),
            arguments: Vec::new(),
            gate: None,
            refuse_commit: None,
            check: true,
            limit: LIMIT,
            runs: AtomicU64::new(0),
        })
    }

    /// Plays another release of Juju.
    #[must_use]
    pub fn juju(mut self, version: JujuVersion) -> Self {
        self.unit.juju = version;
        self
    }

    /// Names the application.
    #[must_use]
    pub fn app(mut self, name: impl Into<String>) -> Self {
        self.unit.app = name.into();
        self
    }

    /// Gives the model a proxy: `HTTP`, `HTTPS`, `FTP` or `NO`, and its value.
    #[must_use]
    pub fn proxy(mut self, kind: impl Into<String>, value: impl Into<String>) -> Self {
        self.unit.proxies.insert(kind.into(), value.into());
        self
    }

    /// Plays another unit than number 0.
    #[must_use]
    pub fn unit_number(mut self, number: u32) -> Self {
        self.unit.number = number;
        self
    }

    /// Names the unit that a subordinate lives beside.
    #[must_use]
    pub fn principal(mut self, unit: impl Into<String>) -> Self {
        self.unit.principal = Some(unit.into());
        self
    }

    /// Copies a folder into the charm folder, as packing puts assets there.
    #[must_use]
    pub fn assets(mut self, folder: impl Into<PathBuf>) -> Self {
        self.assets = Some(folder.into());
        self
    }

    /// Uses a folder of the caller's as the unit's `/`, and keeps it.
    #[must_use]
    pub fn at_root(mut self, root: impl Into<PathBuf>) -> Self {
        self.root = root.into();
        self.env.insert("CHARM_ROOT".into(), self.root.to_string_lossy().into_owned());
        self
    }

    /// Adds a folder behind the hook commands in `PATH`.
    #[must_use]
    pub fn path(mut self, folder: impl Into<PathBuf>) -> Self {
        self.path.push(folder.into());
        self
    }

    /// Adds the folders of the real system to `PATH`, for charms that call programs nobody plays.
    #[must_use]
    pub fn system_path(self) -> Self {
        self.path("/usr/bin").path("/bin")
    }

    /// Adds a variable, or replaces one of Juju's.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Plays a program of the host. Keep a clone of the `Arc` to look into its memory.
    #[must_use]
    pub fn host_command(mut self, name: impl Into<String>, command: SharedCommand) -> Self {
        self.host_commands.insert(name.into(), command);
        self
    }

    /// Plays a program of the host by a function.
    #[must_use]
    pub fn host_function(self, name: impl Into<String>, command: impl HostCommand + 'static) -> Self {
        self.host_command(name, Arc::new(Mutex::new(command)))
    }

    /// Starts the charm through another program: its line stands before the charm's.
    #[must_use]
    pub fn launcher<I>(mut self, line: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        self.launcher = line.into_iter().map(Into::into).collect();
        self
    }

    /// Gives the charm arguments, as a person does who runs it by `juju exec`.
    #[must_use]
    pub fn arguments<I>(mut self, arguments: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        self.arguments = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// Looks at every call before it is carried out and before it is answered, and may kill the charm there.
    #[must_use]
    pub fn gate(mut self, gate: impl Fn(&Moment<'_>) -> Verdict + Send + Sync + 'static) -> Self {
        self.gate = Some(Arc::new(gate));
        self
    }

    /// Makes the controller refuse every commit with this text.
    #[must_use]
    pub fn refuse_commit(mut self, text: impl Into<String>) -> Self {
        self.refuse_commit = Some(text.into());
        self
    }

    /// Runs states and events that Juju could not produce.
    #[must_use]
    pub fn without_consistency_check(mut self) -> Self {
        self.check = false;
        self
    }

    /// How long the charm may run before it is killed.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The unit's `/`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The unit.
    pub fn unit(&self) -> &Unit {
        &self.unit
    }

    /// The charm folder.
    pub fn charm_dir(&self) -> PathBuf {
        layout::charm_dir(&self.root, &self.unit)
    }

    /// Runs one hook or action on a state.
    ///
    /// Panics when Juju could not produce the two, and when the harness itself cannot work; a charm that fails is an
    /// [`Outcome`].
    #[track_caller]
    pub fn run(&self, event: &Event, state: &State) -> Outcome {
        if self.check
            && let Err(problems) = consistency::check(&self.unit, event, state)
        {
            panic!("Juju cannot produce this:\n{problems}");
        }
        match self.try_run(event, state) {
            Ok(outcome) => outcome,
            Err(error) => panic!("cannot run the charm: {error:#}"),
        }
    }

    fn try_run(&self, event: &Event, state: &State) -> Result<Outcome> {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let charm_dir = self.charm_dir();
        layout::unpack(&charm_dir, &self.unit, self.assets.as_deref(), &self.dispatch)?;
        let tools = self.surroundings.path().join("tools");
        let host_names: Vec<String> = self.host_commands.keys().cloned().collect();
        layout::link_commands(&tools, &self.shim, &self.unit, &host_names)?;

        let mut hook = Hook::new(&self.unit, event, state, &charm_dir);
        hook.refuse_commit.clone_from(&self.refuse_commit);
        hook.has_process = true;
        status_before(&mut hook);
        let name = event.name(|id| state.find_relation(id).map(|r| r.endpoint.clone()).unwrap_or_default());
        let socket = self.surroundings.path().join(format!("s{number}"));
        let context_id = format!("{}-{name}-{:032x}", self.unit.name(), u128::from(number) + 1);
        let path = layout::join_path(&[vec![tools], self.path.clone()].concat())?;
        let places = Places {
            charm_dir: &charm_dir,
            socket: &socket,
            path: &path,
            context_id: &context_id,
            action_id: &(number + 1).to_string(),
        };
        let mut env = variables(&self.unit, state, event, &places);
        env.extend(self.env.clone());
        let ended = self.run_process(hook, &context_id, &socket, &charm_dir, &env)?;
        Ok(outcome(ended))
    }

    fn run_process(
        &self,
        hook: Hook,
        context_id: &str,
        socket: &Path,
        charm_dir: &Path,
        env: &BTreeMap<String, String>,
    ) -> Result<(Ended, Arc<Shared>)> {
        let group: Arc<OnceLock<Group>> = Arc::new(OnceLock::new());
        let victim = Arc::clone(&group);
        let shared = Arc::new(Shared {
            hook: Mutex::new(hook),
            calls: Mutex::new(Vec::new()),
            host_commands: self.host_commands.clone(),
            gate: self.gate.clone(),
            kill: Box::new(move || victim.wait().kill()),
            interrupted: AtomicBool::new(false),
            context_id: context_id.to_owned(),
        });
        let server = Server::start(socket, Arc::clone(&shared))
            .with_context(|| format!("cannot listen on {}", socket.display()))?;
        let mut line = self.launcher.clone();
        line.push(charm_dir.join("dispatch").into());
        line.extend(self.arguments.iter().cloned());
        let running = Running::start(&Start { line: &line, cwd: charm_dir, env })
            .with_context(|| format!("cannot start {}", self.dispatch.display()))?;
        group.get_or_init(|| running.group());
        let ended = running.wait(self.limit)?;
        drop(server);
        Ok((ended, shared))
    }
}

/// A temporary folder whose paths fit into the 108 bytes of a socket address.
fn short_tempdir() -> Result<TempDir> {
    let builder = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("juju-");
        builder
    };
    if std::env::temp_dir().as_os_str().len() < 70 {
        Ok(builder().tempdir()?)
    } else {
        Ok(builder().tempdir_in("/tmp")?)
    }
}

/// What Juju says about the unit before some hooks.
fn status_before(hook: &mut Hook) {
    let status = match hook.event.kind {
        Kind::Plain("install") if hook.state.unit_status.name == "unknown" => {
            Status::maintenance("installing charm software")
        }
        Kind::Plain("stop") => Status::maintenance("stopping charm software"),
        Kind::Plain("remove") => Status::maintenance("cleaning up prior to charm deletion"),
        _ => return,
    };
    set_by_juju(hook, status);
}

/// What Juju says about the unit after some hooks, so that a status set in `stop` or `remove` does not last.
fn status_after(hook: &mut Hook, exit: Exit) {
    if !exit.is_success() {
        return;
    }
    let never_set = !hook.statuses.iter().any(|change| !change.by_juju && !change.of_app);
    let status = match hook.event.kind {
        Kind::Plain("stop") => Status::maintenance(""),
        Kind::Plain("remove") => Status::new("terminated", ""),
        // The status before the first one that the charm sets is the one from before install.
        Kind::Plain("start")
            if never_set && hook.state.unit_status == Status::maintenance("installing charm software") =>
        {
            Status::default()
        }
        _ => return,
    };
    set_by_juju(hook, status);
}

fn set_by_juju(hook: &mut Hook, status: Status) {
    hook.state.unit_status = status.clone();
    hook.statuses.push(StatusChange { status, of_app: false, by_juju: true });
}

fn outcome((ended, shared): (Ended, Arc<Shared>)) -> Outcome {
    let Ended { exit, timed_out, stdout, stderr, wall_time, peak_memory } = ended;
    let mut hook = shared.hook.lock().unwrap_or_else(PoisonError::into_inner).clone();
    status_after(&mut hook, exit);
    let (log, statuses) = (hook.log.clone(), hook.statuses.clone());
    let (stdout, stderr) = (text(&stdout), text(&stderr));
    let Finished { state, commit, error, action } = hook.finish(exit);
    let action = action.map(|mut action| {
        let code = if let Exit::Code(code) = exit { code } else { -1 };
        for (key, value) in [("stdout", &stdout), ("stderr", &stderr)] {
            if !value.is_empty() {
                let before = action.results.get(key).and_then(|text| text.as_str()).unwrap_or_default();
                let value = format!("{value}{before}");
                action.results.insert(key.into(), json!(value));
            }
        }
        action.results.entry("return-code".into()).or_insert_with(|| json!(code));
        action
    });
    let calls = std::mem::take(&mut *shared.calls.lock().unwrap_or_else(PoisonError::into_inner));
    Outcome {
        state,
        exit,
        error,
        timed_out,
        interrupted: shared.interrupted.load(Ordering::SeqCst),
        calls,
        log,
        stdout,
        stderr,
        statuses,
        action,
        commit,
        wall_time,
        peak_memory,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
