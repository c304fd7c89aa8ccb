//! The memory of systemd: which units are loaded, what they were loaded with, and what became of them.
//!
//! A stand-in for systemd 252 that knows services only. Starting, stopping and watching stand in [`super::service`],
//! links for enabling in [`super::install`], the command line in [`super::systemctl`]. It never acts on its own: the
//! end of a process and a restart that is due are noticed when the next command comes in.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Instant, SystemTime};

use super::clock::Clock;
use super::install;
use super::journal::Journal;
use super::paths::{self, Found};
use super::processes;
use super::settings::Settings;
use super::words::Variables;

/// Whether a unit could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadState {
    Loaded,
    NotFound,
    BadSetting,
    Masked,
}

impl LoadState {
    /// systemd's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::NotFound => "not-found",
            Self::BadSetting => "bad-setting",
            Self::Masked => "masked",
        }
    }
}

/// `Result=`: how the last run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    #[default]
    Success,
    Resources,
    Timeout,
    ExitCode,
    Signal,
    CoreDump,
    StartLimitHit,
}

impl Outcome {
    /// systemd's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Resources => "resources",
            Self::Timeout => "timeout",
            Self::ExitCode => "exit-code",
            Self::Signal => "signal",
            Self::CoreDump => "core-dump",
            Self::StartLimitHit => "start-limit-hit",
        }
    }
}

/// Where a service stands.
#[derive(Debug, Default)]
pub enum State {
    /// Not running.
    #[default]
    Dead,
    /// Its main process was alive when last looked at.
    Running(Child),
    /// Its processes ended well, and it counts as active (`RemainAfterExit=`).
    Exited,
    /// It ended and will be started again at this moment.
    AutoRestart(Instant),
    /// It ended badly.
    Failed,
}

impl State {
    /// `ActiveState=` and `SubState=`.
    pub fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::Dead => ("inactive", "dead"),
            Self::Running(_) => ("active", "running"),
            Self::Exited => ("active", "exited"),
            Self::AutoRestart(_) => ("activating", "auto-restart"),
            Self::Failed => ("failed", "failed"),
        }
    }
}

/// One loaded unit.
#[derive(Debug)]
pub struct Unit {
    pub names: Vec<String>,
    pub load_state: LoadState,
    /// Empty if there is none.
    pub fragment: String,
    pub fragment_modified: Option<SystemTime>,
    pub drop_ins: Vec<(String, Option<SystemTime>)>,
    /// `None` until somebody asks.
    pub file_state: Option<&'static str>,
    pub settings: Option<Settings>,
    pub state: State,
    pub result: Outcome,
    pub main_pid: i32,
    /// Of the current or last run.
    pub last_pid: i32,
    pub main_code: i32,
    pub main_status: i32,
    pub restarts: u32,
    /// The next start by hand counts restarts from zero.
    pub flush_restarts: bool,
    /// Of the current or last run.
    pub invocation: String,
    pub starts: Vec<Instant>,
}

impl Unit {
    /// The name that all others stand for.
    pub fn id(&self) -> &str {
        &self.names[0]
    }

    /// The unit's name as the journal shows it.
    pub fn title(&self) -> String {
        match &self.settings {
            Some(settings) if settings.description != self.id() => format!("{} - {}", self.id(), settings.description),
            _ => self.id().to_owned(),
        }
    }

    /// What the unit calls itself.
    pub fn description(&self) -> &str {
        self.settings.as_ref().map_or_else(|| self.id(), |settings| &settings.description)
    }
}

/// Something that a command, or a passing of time, did to a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    DaemonReload,
    Start,
    Stop,
    /// By hand; not counted as a stop and a start as well.
    Restart,
    Reload,
    /// The main process ended by itself.
    End,
    /// Started again by the manager.
    AutoRestart,
    Enable,
    Disable,
}

/// systemd for one root folder.
#[derive(Debug)]
pub struct Manager {
    pub(super) root: PathBuf,
    pub(super) clock: Clock,
    pub(super) journal: Journal,
    pub(super) units: BTreeMap<String, Unit>,
    /// Units that a target wants, as of the last reload: these stay loaded.
    referenced: BTreeSet<String>,
    pub(super) extra_environment: Variables,
    pub(super) actions: Vec<(String, Action)>,
    pub(super) invocations: Vec<Vec<String>>,
    /// Every run there ever was, to leave none behind.
    pub(super) runs: BTreeSet<String>,
}

impl Manager {
    /// A manager that has just come up: nothing runs yet.
    pub fn new(root: &Path) -> io::Result<Self> {
        Ok(Self {
            root: root.to_owned(),
            clock: Clock::default(),
            journal: Journal::new()?,
            units: BTreeMap::new(),
            referenced: BTreeSet::new(),
            extra_environment: Variables::new(),
            actions: Vec::new(),
            invocations: Vec::new(),
            runs: BTreeSet::new(),
        })
    }

    /// Finds a unit among the loaded ones, or loads it.
    pub fn load(&mut self, name: &str) -> &mut Unit {
        let known = self.units.values().find(|unit| unit.names.iter().any(|known| known == name));
        let id = if let Some(unit) = known {
            unit.id().to_owned()
        } else {
            let id = self.resolve(name);
            if !self.units.contains_key(&id) {
                let unit = self.read(&id);
                self.units.insert(id.clone(), unit);
            }
            id
        };
        let unit = self.units.get_mut(&id).expect("found or inserted above");
        if !unit.names.iter().any(|known| known == name) {
            unit.names.push(name.to_owned());
        }
        unit
    }

    /// Follows aliases on disk to the unit they stand for.
    fn resolve(&self, name: &str) -> String {
        let mut name = name.to_owned();
        // Far more hops than anybody writes; a ring of links has no end.
        for _ in 0..16 {
            match paths::find(&self.root, &name) {
                Found::Alias(target) => name = target,
                _ => break,
            }
        }
        name
    }

    fn read(&mut self, id: &str) -> Unit {
        let (load_state, fragment) = match paths::find(&self.root, id) {
            Found::Missing | Found::Alias(_) => (LoadState::NotFound, String::new()),
            Found::Masked(path) => (LoadState::Masked, path),
            Found::File(path) => (LoadState::Loaded, path),
        };
        let mut unit = Unit {
            names: paths::names(&self.root, id),
            load_state,
            fragment_modified: paths::modified(&self.root, &fragment),
            fragment,
            drop_ins: Vec::new(),
            file_state: None,
            settings: None,
            state: State::Dead,
            result: Outcome::Success,
            main_pid: 0,
            last_pid: 0,
            main_code: 0,
            main_status: 0,
            restarts: 0,
            flush_restarts: false,
            invocation: String::new(),
            starts: Vec::new(),
        };
        if load_state == LoadState::Loaded {
            let files = paths::drop_ins(&self.root, id);
            let settings = Settings::read(&self.root, id, &unit.fragment, &files);
            for complaint in &settings.complaints {
                self.journal.note(self.clock, id, 4, complaint.clone());
            }
            if settings.fatal {
                unit.load_state = LoadState::BadSetting;
            }
            unit.drop_ins = files.into_iter().map(|path| (path.clone(), paths::modified(&self.root, &path))).collect();
            unit.settings = Some(settings);
        }
        unit
    }

    /// Whether a unit changed on disk since it was loaded.
    pub fn needs_reload(&self, unit: &Unit) -> bool {
        let changed = |path: &str, then: Option<SystemTime>| paths::modified(&self.root, path) != then;
        let on_disk = paths::drop_ins(&self.root, unit.id());
        (!unit.fragment.is_empty() && changed(&unit.fragment, unit.fragment_modified))
            || unit.drop_ins.iter().any(|(path, then)| changed(path, *then))
            // A folder of drop-ins that is new since the last reload is not seen, as with the real one.
            || (!unit.drop_ins.is_empty() && on_disk.len() != unit.drop_ins.len())
    }

    /// Reads everything again. What runs keeps running.
    pub fn daemon_reload(&mut self) {
        self.actions.push((String::new(), Action::DaemonReload));
        self.reread();
    }

    /// What enabling and disabling do afterwards by themselves.
    pub(super) fn reread(&mut self) {
        self.referenced = install::referenced(&self.root);
        for id in self.units.keys().cloned().collect::<Vec<_>>() {
            let fresh = self.read(&id);
            let unit = self.units.get_mut(&id).expect("taken from the keys");
            // Taken apart, so that a new field has to be thought about.
            let Unit { names, load_state, fragment, fragment_modified, drop_ins, file_state, settings, .. } = fresh;
            (unit.names, unit.load_state, unit.fragment) = (names, load_state, fragment);
            (unit.fragment_modified, unit.drop_ins, unit.file_state) = (fragment_modified, drop_ins, file_state);
            unit.settings = settings;
        }
        for id in self.referenced.clone() {
            self.load(&id);
        }
    }

    /// Forgets units that do nothing and that nothing refers to; the next command reads them anew.
    pub fn collect_garbage(&mut self) {
        let referenced = &self.referenced;
        self.units.retain(|_, unit| {
            let wanted =
                unit.load_state != LoadState::NotFound && unit.names.iter().any(|name| referenced.contains(name));
            !matches!(unit.state, State::Dead) || wanted
        });
    }

    /// Switches the host off and on: every process is gone, and enabled units run.
    pub fn reboot(&mut self) {
        processes::kill_all(&self.runs);
        self.units.clear();
        self.journal.clear();
        self.reread();
        for id in self.referenced.clone() {
            // At boot nobody waits for the answer; what failed shows in the state.
            drop(self.start(&id));
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        processes::kill_all(&self.runs);
        for unit in self.units.values_mut() {
            if let State::Running(child) = &mut unit.state {
                // Already dead; this only takes the entry off the process table.
                drop(child.kill());
                drop(child.wait());
            }
        }
    }
}
