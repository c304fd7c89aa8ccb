//! Running until stopped: the order of a start, reloads, and the end.
//!
//! A reload is a dry run of the new files, and if that is good the whole start again in the same process.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::Value as Json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::alert::{self, Alert};
use super::audit;
use super::changes::Changes;
use super::command_line::CommandLine;
use super::engine::{Opened, Watch, kernel_has_types};
use super::event::Event;
use super::log::{Log, bare, stand_in};
use super::metrics::{Board, Counters};
use super::outputs::Outputs;
use super::prepare::{self, Prepared, Stop};
use super::priority::Priority;
use super::settings::Engine;
use super::webserver::{Pages, Server};
use super::{Life, cores, nanoseconds, print};

/// Falco waits that long for more changes, before it looks at them and before it restarts.
const QUIET: Duration = Duration::from_millis(100);

/// Runs until a signal or an error ends it.
pub fn run_until_stopped(command: &CommandLine) -> Result<(), Stop> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let mut signals = Signals::listen().map_err(|error| error.to_string())?;
        let mut life = Life::begin();
        if let Some(path) = &command.pid_file {
            std::fs::write(path, format!("{}", std::process::id())).map_err(|error| error.to_string())?;
        }
        while session(command, &life, &mut signals).await? == Next::Restart {
            life.reloaded = nanoseconds();
        }
        Ok(())
    })
}

/// What Falco says of events that were lost: the stand-in loses none.
const NO_DROPS: &str =
    "Syscall event drop monitoring:\n   - event drop detected: 0 occurrences\n   - num times actions taken: 0";

/// A source that cannot be opened.
struct Failed {
    error: String,
    /// System calls were seen before, so that Falco says how many of them were lost.
    had_events: bool,
}

impl From<String> for Failed {
    fn from(error: String) -> Self {
        Self { error, had_events: false }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Stop,
    Restart,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    reopen: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
        })
    }
}

async fn session(command: &CommandLine, life: &Life, signals: &mut Signals) -> Result<Next, Stop> {
    let prepared = prepare::rules(prepare::base(command)?, command)?;
    prepare::check_outputs(&prepared.base)?;
    let counters = Arc::new(Counters::default());
    let open = Arc::new(AtomicBool::new(false));
    let server = start_webserver(&prepared, &counters, &open, life)?;
    prepare::check_metrics(&prepared.base)?;
    if prepared
        .base
        .settings
        .metrics
        .as_ref()
        .is_some_and(|metrics| metrics.output_rule || metrics.output_file.is_some())
    {
        stand_in("metrics.output_rule or output_file is on, and the stand-in makes no snapshots");
    }
    let outputs = Outputs::start(&prepared.base.settings, &prepared.base.log, &counters);
    let mut running = Running { prepared, counters, outputs, events: None, audit: None };
    running.report_unsupported();
    if let Err(Failed { error, had_events }) = running.open_engine().await {
        running.log().write(Priority::Error, "An error occurred in an event source, forcing termination...");
        if had_events {
            bare(NO_DROPS);
        }
        running.statistics();
        return Err(error.into());
    }
    open.store(true, Ordering::Relaxed);
    let next = running.serve(command, signals).await;
    let log = running.log().clone();
    let words = if next == Next::Restart { "SIGHUP received, restarting..." } else { "SIGINT received, exiting..." };
    log.info(words);
    bare(NO_DROPS);
    drop(server);
    running.end(signals).await;
    Ok(next)
}

fn start_webserver(
    prepared: &Prepared,
    counters: &Arc<Counters>,
    open: &Arc<AtomicBool>,
    life: &Life,
) -> Result<Option<Server>, Stop> {
    let settings = &prepared.base.settings;
    let log = &prepared.base.log;
    let Some(config) = &settings.webserver else { return Ok(None) };
    let threads = if config.threads == 0 { cores() } else { config.threads };
    let tls = if config.certificate.is_some() { " (SSL)" } else { "" };
    let address = std::net::SocketAddr::new(config.address, config.port);
    log.info(&format!("Starting health webserver with threadiness {threads}, listening on {address}{tls}"));
    let board = Board::new(prepared, Arc::clone(counters), life);
    let pages = Pages {
        health_path: config.health_path.clone(),
        metrics: (config.metrics && settings.metrics.is_some()).then_some(board),
        open: Arc::clone(open),
    };
    Server::start(config, pages).map(Some).map_err(|error| Stop::Runtime(log.clone(), error))
}

struct Running {
    prepared: Prepared,
    counters: Arc<Counters>,
    outputs: Outputs,
    events: Option<Watch>,
    audit: Option<audit::Source>,
}

impl Running {
    fn log(&self) -> &Log {
        &self.prepared.base.log
    }

    fn report_unsupported(&self) {
        for rule in self.prepared.rules.rules.iter().filter(|rule| rule.is_on()) {
            if let Some(what) = rule.unsupported() {
                let name = &rule.name;
                stand_in(&format!("rule '{name}' never matches here: the stand-in cannot evaluate {what}"));
            }
        }
    }

    /// Opens the sources of events. The error is printed after `Error: `.
    async fn open_engine(&mut self) -> Result<(), Failed> {
        let log = self.log().clone();
        let sources = &self.prepared.base.surroundings.sources;
        log.info(&format!("Loaded event sources: {}", sources.join(", ")));
        let mut enabled = sources.clone();
        enabled.sort();
        log.info(&format!("Enabled event sources: {}", enabled.join(", ")));
        let listener = self.prepared.base.settings.plugins.iter().find(|plugin| plugin.name == "k8saudit").cloned();
        if listener.is_some() {
            log.info("Opening 'k8s_audit' source with plugin 'k8saudit'");
            log.info("[libs]: Trying to open the right engine!");
        }
        let engine = self.prepared.base.settings.engine.clone();
        match &engine {
            Engine::ModernEbpf { cpus } => {
                log.info("Opening 'syscall' source with modern BPF probe.");
                log.info(&format!("One ring buffer every '{cpus}' CPUs."));
            }
            Engine::NoDriver => {
                log.info("Enabled event source 'syscall' will be opened with no driver, no event will be produced");
                log.info("Opening 'syscall' source with no driver");
            }
            Engine::Kmod => log.info("Opening 'syscall' source with Kernel module"),
            Engine::Replay => return Err("the stand-in does not replay captures".to_owned().into()),
        }
        log.info("[libs]: Trying to open the right engine!");
        match &engine {
            Engine::ModernEbpf { .. } if !kernel_has_types() => {
                stand_in(
                    "the kernel has no BTF, so the probe does not load; the lines of libpman about it are left out",
                );
                Err(Failed::from("Initialization issues during scap_init".to_owned()))
            }
            Engine::ModernEbpf { .. } => {
                tokio::time::sleep(opening_time()).await;
                let watch = Watch::open(self.prepared.interest())
                    .map_err(|error| Failed::from(format!("cannot watch folders: {error}")))?;
                self.events = Some(watch);
                Ok(())
            }
            Engine::Kmod => {
                log.info("Trying to inject the Kernel module and opening the capture again...");
                log.write(Priority::Error, "Unable to load the driver");
                log.info("[libs]: Trying to open the right engine!");
                let words = "error opening device /dev/falco0. Make sure you have root credentials and that the falco \
                             module is loaded: No such file or directory";
                Err(words.to_owned().into())
            }
            Engine::NoDriver | Engine::Replay => Ok(()),
        }?;
        if let Some(listener) = listener {
            match audit::Source::open(&listener) {
                Ok(source) => self.audit = Some(source),
                Err(error) => return Err(Failed { error, had_events: true }),
            }
        }
        Ok(())
    }

    /// Takes events and signals until one ends this.
    async fn serve(&mut self, command: &CommandLine, signals: &mut Signals) -> Next {
        let watching = self.prepared.base.settings.watch;
        let mut changes = if watching { self.watch_files() } else { None };
        loop {
            let mut look = false;
            tokio::select! {
                opened = next_opened(self.events.as_mut()) => self.take(self.prepared.event(&opened)),
                event = next_audited(self.audit.as_mut()) => self.take(self.prepared.audit_event(event)),
                _ = signals.terminate.recv() => return Next::Stop,
                _ = signals.interrupt.recv() => return Next::Stop,
                _ = signals.reopen.recv() => {
                    self.log().info("SIGUSR1 received, reopening outputs...");
                    self.outputs.reopen();
                }
                // Without the watch nobody listens to this signal either.
                _ = signals.hang_up.recv() => look = watching,
                () = next_change(changes.as_mut()) => look = true,
            }
            if look && self.restart_is_due(command, signals, changes.as_mut()).await {
                return Next::Restart;
            }
        }
    }

    /// Waits for more changes, then tries the new files. Bad ones are reported and change nothing.
    async fn restart_is_due(
        &self,
        command: &CommandLine,
        signals: &mut Signals,
        mut changes: Option<&mut Changes>,
    ) -> bool {
        settle(signals, changes.as_deref_mut()).await;
        match prepare::dry_run(command, true) {
            Ok(()) => {
                settle(signals, changes).await;
                true
            }
            Err(Stop::Error(error) | Stop::Runtime(_, error)) => {
                let rule = "Falco internal: hot restart failure";
                // A report of a rules file ends with a command end, other errors do not.
                let end = if error.contains('\n') { "\n" } else { "" };
                let words = format!("{rule}: {error}{end}").replace("\n\n", "\n");
                self.outputs.send(alert::internal(rule, Priority::Critical, &words, &self.prepared.base.settings));
                false
            }
        }
    }

    fn watch_files(&self) -> Option<Changes> {
        let configuration = &self.prepared.base.configuration;
        let mut files: Vec<PathBuf> = vec![configuration.main.clone()];
        files.extend(configuration.named_includes.iter().cloned());
        files.extend(self.prepared.files.iter().map(|(path, _)| path.clone()));
        let mut folders = configuration.include_folders.clone();
        folders.extend(self.prepared.folders.iter().cloned());
        Changes::watch(&files, &folders).ok()
    }

    fn take(&self, event: Event) {
        let settings = &self.prepared.base.settings;
        let number = self.counters.events.fetch_add(1, Ordering::Relaxed);
        let event = Event { number, ..event };
        let limit = if settings.match_all { usize::MAX } else { 1 };
        let rules = &self.prepared.rules;
        for rule in rules.matching(&event, settings.priority).take(limit) {
            let alert: Alert = alert::of_rule(rule, &event, settings);
            let mut matches = self.counters.matches.lock().unwrap_or_else(PoisonError::into_inner);
            matches.resize(rules.rules.len(), 0);
            if let Some(place) = rules.rules.iter().position(|other| other.name == rule.name) {
                matches[place] += 1;
            }
            drop(matches);
            self.outputs.send(alert);
        }
    }

    /// Ends the outputs. While one blocks, the signals end the process as if nobody handled them: Falco has let go of
    /// them.
    async fn end(self, signals: &mut Signals) {
        let statistics = self.statistics_text();
        let Self { outputs, events, audit, .. } = self;
        drop(events);
        if let Some(audit) = audit {
            audit.close().await;
        }
        tokio::select! {
            () = outputs.stop() => {}
            _ = signals.terminate.recv() => die_of(signal_hook::consts::SIGTERM),
            _ = signals.interrupt.recv() => die_of(signal_hook::consts::SIGINT),
        }
        print(&statistics);
    }

    fn statistics(&self) {
        print(&self.statistics_text());
    }

    fn statistics_text(&self) -> String {
        let matches = self.counters.matches.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let counted: Vec<_> = self.prepared.rules.rules.iter().zip(matches).filter(|(_, count)| *count > 0).collect();
        let total: u64 = counted.iter().map(|(_, count)| count).sum();
        let mut severities = std::collections::BTreeMap::<Priority, u64>::new();
        for (rule, count) in &counted {
            *severities.entry(rule.priority).or_default() += count;
        }
        let mut lines = vec![format!("Events detected: {total}"), "Rule counts by severity:".to_owned()];
        lines.extend(
            severities.iter().map(|(priority, count)| format!("   {}: {count}", priority.name().to_uppercase())),
        );
        lines.push("Triggered rules by rule name:".to_owned());
        lines.extend(counted.iter().map(|(rule, count)| format!("   {}: {count}", rule.name)));
        format!("{}\n", lines.join("\n"))
    }
}

async fn next_opened(events: Option<&mut Watch>) -> Opened {
    match events {
        Some(events) => events.next().await,
        None => std::future::pending().await,
    }
}

async fn next_audited(audit: Option<&mut audit::Source>) -> Json {
    match audit {
        Some(audit) => audit.next().await,
        None => std::future::pending().await,
    }
}

async fn next_change(changes: Option<&mut Changes>) {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

/// Takes everything that comes within the quiet time.
async fn settle(signals: &mut Signals, mut changes: Option<&mut Changes>) {
    let end = tokio::time::sleep(QUIET);
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return,
            _ = signals.hang_up.recv() => {}
            () = next_change(changes.as_deref_mut()) => {}
        }
    }
}

fn die_of(number: i32) {
    // Falls through only if the signal cannot be raised, and then the wait goes on as before.
    let _ = signal_hook::low_level::emulate_default_handler(number);
}

fn opening_time() -> Duration {
    let text = std::env::var("FALCO_STAND_IN_OPEN_MS").unwrap_or_default();
    Duration::from_millis(text.parse().unwrap_or(150))
}
