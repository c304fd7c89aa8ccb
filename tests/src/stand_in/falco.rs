//! The stand-in for Falco 0.44.1: its command line, the loading of configuration and rules, its webserver, its outputs
//! and its reloads, as recorded; and its k8saudit plugin. Instead of a kernel probe, inotify tells it which files are
//! opened (`engine`).
//!
//! Variables of its own: `FALCO_STAND_IN_WATCH` (folders to watch, default `/etc`), `FALCO_STAND_IN_OPEN_MS` (how long
//! opening the engine takes, default 150), `FALCO_STAND_IN_ROOT` (folder that stands for `/`), `FALCO_STAND_IN_SYSLOG`
//! (socket in the place of `/dev/log`), `FALCO_STAND_IN_BTF` (file in the place of `/sys/kernel/btf/vmlinux`, without
//! which the probe does not load).

mod alert;
mod audit;
mod changes;
mod command_line;
mod configuration;
mod describe;
mod disk;
mod engine;
mod evaluate;
mod event;
mod fields;
mod filter;
mod format;
mod log;
mod metrics;
mod opener;
mod outputs;
mod plugins;
mod prepare;
mod priority;
mod report;
mod rules;
mod schema;
mod session;
mod settings;
mod webserver;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use command_line::{CommandLine, Task};
use log::bare;
use prepare::Stop;
use priority::Priority;
use rules::{ENGINE_VERSION, Rules};

/// The version that it stands for.
pub const VERSION: &str = "0.44.1";

const LIBS_VERSION: &str = "0.25.4";
const PLUGIN_API_VERSION: &str = "3.12.0";
const DRIVER_API_VERSION: &str = "10.0.0";
const DRIVER_SCHEMA_VERSION: &str = "4.3.0";
const DRIVER_VERSION: &str = "10.2.0+driver";

/// Where libraries with a relative path are.
const PLUGIN_FOLDER: &str = "/usr/share/falco/plugins";

/// What outlives a reload.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    /// Start of the process, in nanoseconds since 1970.
    pub started: i64,
    /// Start or last reload, in nanoseconds since 1970.
    pub reloaded: i64,
    /// Start of the process.
    pub since: Instant,
}

impl Life {
    fn begin() -> Self {
        let now = nanoseconds();
        Self { started: now, reloaded: now, since: Instant::now() }
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let done = CommandLine::parse(&arguments).map_err(Stop::Error).and_then(|line| run(&line));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            report(&stop);
            ExitCode::FAILURE
        }
    }
}

/// Says why it goes no further.
fn report(stop: &Stop) {
    match stop {
        Stop::Error(error) => bare(&format!("Error: {error}")),
        Stop::Runtime(log, error) => log.write(Priority::Critical, &format!("Runtime error: {error}. Exiting.")),
    }
}

fn run(line: &CommandLine) -> Result<(), Stop> {
    match &line.task {
        Task::Version => {
            // A configuration is not needed, but if there is one, it is read.
            let in_file = if line.config.is_some() { prepare::base(line)?.settings.json } else { false };
            print(&version_text(in_file || line.is_on("json_output")));
        }
        Task::ConfigSchema => print(&format!("{}\n", schema::document())),
        Task::DryRun => prepare::dry_run(line, false)?,
        Task::Validate(files) => validate(line, files)?,
        Task::ListRules => list_rules(line, None)?,
        Task::ListRule(name) => list_rules(line, Some(name))?,
        Task::ListPlugins => print(&describe::plugins_text(&prepare::base(line)?.plugins)),
        Task::Support => {
            let prepared = prepare::rules(prepare::base(line)?, line)?;
            print(&format!("{}\n", describe::support_json(&prepared, line)));
        }
        Task::Run => session::run_until_stopped(line)?,
    }
    Ok(())
}

fn validate(line: &CommandLine, names: &[String]) -> Result<(), Stop> {
    let base = prepare::base(line)?;
    let files: Vec<(&String, String)> = names
        .iter()
        .map(|name| Ok((name, prepare::read_rules_file(&base.log, name.as_ref())?)))
        .collect::<Result<_, Stop>>()?;
    base.log.info("Validating rules file(s):");
    for name in names {
        base.log.info(&format!("   {name}"));
    }
    let mut rules = Rules::default();
    let reports: Vec<_> = files.iter().map(|(name, content)| rules.load(&base.surroundings, name, content)).collect();
    if let Some(missing) = rules.missing_plugin(&prepare::versions(&base.plugins)) {
        return Err(missing.into());
    }
    let words: Vec<String> =
        reports.iter().map(|report| if report.is_good() { report.summary() } else { report.text() }).collect();
    let words = words.join("\n");
    if base.settings.json {
        let all: Vec<Json> = reports.iter().map(report::Report::json).collect();
        print(&format!("{}\n", json!({"falco_load_results": all})));
    } else {
        print(&format!("{words}\n"));
    }
    if reports.iter().all(report::Report::is_good) {
        for report in &reports {
            prepare::log_warnings(&base.log, report);
        }
        return Ok(());
    }
    Err(words.into())
}

fn list_rules(line: &CommandLine, only: Option<&str>) -> Result<(), Stop> {
    let prepared = prepare::rules(prepare::base(line)?, line)?;
    if prepared.rules.rules.is_empty() {
        let words = "rules must be loaded before describing them".to_owned();
        return Err(Stop::Runtime(prepared.base.log, words));
    }
    if let Some(name) = only
        && !prepared.rules.rules.iter().any(|rule| rule.name == name)
    {
        return Err(Stop::Runtime(prepared.base.log, format!("Rule \"{name}\" is not loaded")));
    }
    if prepared.base.settings.json {
        print(&format!("{}\n", describe::rules_json(&prepared.rules)));
    } else {
        print(&describe::rules_text(&prepared.rules, only));
    }
    Ok(())
}

fn version_text(as_json: bool) -> String {
    if as_json {
        return format!("{}\n", version_json());
    }
    format!(
        "Falco version: {VERSION} (stand-in)\nLibs version:  {LIBS_VERSION}\nPlugin API:    {PLUGIN_API_VERSION}\n\
         Engine:        {ENGINE_VERSION}\nDriver:\n  API version:    {DRIVER_API_VERSION}\n  Schema version: \
         {DRIVER_SCHEMA_VERSION}\n  Default driver: {DRIVER_VERSION}\n"
    )
}

/// All versions.
pub fn version_json() -> Json {
    let middle = ENGINE_VERSION.split('.').nth(1).unwrap_or_default();
    json!({
        "default_driver_version": DRIVER_VERSION,
        "driver_api_version": DRIVER_API_VERSION,
        "driver_schema_version": DRIVER_SCHEMA_VERSION,
        "engine_version": middle,
        "engine_version_semver": ENGINE_VERSION,
        "falco_version": VERSION,
        "libs_version": LIBS_VERSION,
        "plugin_api_version": PLUGIN_API_VERSION,
    })
}

/// Prints a result; a closed standard output is the starter's choice.
fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn nanoseconds() -> i64 {
    i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}
