//! The way from the command line to loaded rules, which a dry run shares with a real start, with all that is logged on
//! it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value as Json;

use super::command_line::{CommandLine, Task};
use super::configuration::{self, Configuration};
use super::disk::on_disk;
use super::engine::Opened;
use super::event::Event;
use super::fields::Fields;
use super::log::{Log, bare};
use super::plugins::{self, Plugin};
use super::report::Report;
use super::rules::{Rules, Surroundings};
use super::settings::{Engine, Settings};
use super::{PLUGIN_FOLDER, VERSION};

/// Configuration, plugins and whatever else is known before rules are read.
#[derive(Clone, Debug)]
pub struct Base {
    /// The tree and its files.
    pub configuration: Configuration,
    /// With types.
    pub settings: Settings,
    /// The log.
    pub log: Log,
    /// Loaded plugins.
    pub plugins: Vec<Plugin>,
    /// What rules may use.
    pub surroundings: Surroundings,
}

/// Loaded rules and where they came from.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What was known before.
    pub base: Base,
    /// The rules.
    pub rules: Rules,
    /// Files, in the order of loading, with their text.
    pub files: Vec<(PathBuf, String)>,
    /// Folders that `rules_files` names.
    pub folders: Vec<PathBuf>,
}

/// Why it goes no further.
#[derive(Debug)]
pub enum Stop {
    /// Printed after `Error: `.
    Error(String),
    /// Logged as a runtime error.
    Runtime(Log, String),
}

impl From<String> for Stop {
    fn from(error: String) -> Self {
        Self::Error(error)
    }
}

impl Prepared {
    /// The event of an opened file.
    pub fn event(&self, opened: &Opened) -> Event {
        Event {
            time: Timestamp::now(),
            audit: None,
            path: opened.path.display().to_string(),
            read: opened.read,
            opener: opened.opener.clone(),
            statics: self.base.settings.static_fields.clone(),
            number: 0,
            container_plugin: self.base.surroundings.fields.has_plugin("container"),
            iso_8601: self.base.settings.iso_8601,
        }
    }

    /// The event of an audit event.
    pub fn audit_event(&self, audit: Json) -> Event {
        let time = audit["stageTimestamp"].as_str().and_then(|time| time.parse().ok());
        let nowhere = Opened { path: PathBuf::new(), read: false, opener: None };
        Event { time: time.unwrap_or_else(Timestamp::now), audit: Some(audit), ..self.event(&nowhere) }
    }

    /// Tells of a path whether a rule could match its being opened by nobody in particular.
    pub fn interest(&self) -> Box<dyn Fn(&Path) -> bool> {
        let prepared = self.clone();
        Box::new(move |path| {
            let could_match = |read| {
                let event = prepared.event(&Opened { path: path.to_owned(), read, opener: None });
                prepared.rules.matching(&event, prepared.base.settings.priority).next().is_some()
            };
            could_match(true) || could_match(false)
        })
    }
}

/// Reads the configuration and loads the plugins.
pub fn base(line: &CommandLine) -> Result<Base, Stop> {
    read_base(line, false)
}

fn read_base(line: &CommandLine, again: bool) -> Result<Base, Stop> {
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    let main = match &line.config {
        Some(path) => path.clone(),
        None => default_config()?,
    };
    let configuration = configuration::load(&main, again, &line.overrides, &environment).map_err(|failure| {
        if let Some(line) = &failure.line {
            bare(line);
        }
        failure.error
    })?;
    let settings = Settings::read(&configuration, Path::new(PLUGIN_FOLDER))?;
    let log = Log {
        stderr: settings.log_stderr,
        syslog: settings.log_syslog,
        level: settings.log_level,
        iso_8601: settings.iso_8601,
    };
    log.info(&format!("Falco version: {VERSION} ({})", std::env::consts::ARCH));
    log.info("Falco initialized with configuration files:");
    for (path, schema) in &configuration.files {
        log.info(&format!("   {} | schema validation: {schema}", path.display()));
    }
    if settings.engine != Engine::NoDriver {
        let kernel = std::fs::read_to_string("/proc/version").unwrap_or_default();
        log.info(&format!("System info: {}", kernel.trim_end()));
    }
    let mut loaded = Vec::new();
    for config in &settings.plugins {
        let plugin = plugins::load(config).map_err(|error| Stop::Runtime(log.clone(), error))?;
        // Whoever asks for the list of plugins is not told twice.
        let lines = if line.task == Task::ListPlugins { Vec::new() } else { plugins::log_lines(config, &plugin) };
        let (own, engines) = lines.split_at(lines.len().min(1));
        for line in own {
            log.info(line);
        }
        plugins::check_init(config).map_err(|error| Stop::Runtime(log.clone(), error))?;
        for line in engines {
            log.info(line);
        }
        loaded.push(plugin);
    }
    let surroundings = Surroundings {
        fields: Fields {
            plugins: loaded.iter().map(|plugin| plugin.name.clone()).collect(),
            statics: settings.static_fields.iter().map(|(name, _)| name.clone()).collect(),
        },
        sources: std::iter::once("syscall")
            .chain(loaded.iter().filter_map(|plugin| plugin.source))
            .map(str::to_owned)
            .collect(),
        append: settings.append.clone(),
    };
    Ok(Base { configuration, settings, log, plugins: loaded, surroundings })
}

/// Loads the rules of the configuration or of the command line.
pub fn rules(base: Base, line: &CommandLine) -> Result<Prepared, Stop> {
    let wanted = if line.rules.is_empty() { &base.settings.rules_files } else { &line.rules };
    let existing: Vec<PathBuf> = wanted.iter().map(PathBuf::from).filter(|path| on_disk(path).exists()).collect();
    if existing.is_empty() {
        let words = "You must specify at least one rules file/directory via -r or a rules_file entry in falco.yaml";
        return Err(words.to_owned().into());
    }
    let (folders, _): (Vec<PathBuf>, Vec<PathBuf>) = existing.iter().cloned().partition(|path| on_disk(path).is_dir());
    let files: Vec<PathBuf> = existing.iter().flat_map(|path| files_of(path)).collect();
    base.log.info("Loading rules from:");
    let mut rules = Rules::default();
    let mut read = Vec::new();
    let mut trouble = None;
    for file in files {
        let content = read_rules_file(&base.log, &file)?;
        let report = rules.load(&base.surroundings, &file.display().to_string(), &content);
        base.log.info(&format!("   {} | schema validation: {}", file.display(), report.schema_word()));
        read.push((file, content));
        if !report.is_good() {
            trouble = Some(report.text());
            break;
        }
        log_warnings(&base.log, &report);
    }
    if let Some(missing) = rules.missing_plugin(&versions(&base.plugins)) {
        return Err(missing.into());
    }
    if let Some(trouble) = trouble {
        return Err(trouble.into());
    }
    for selector in &base.settings.selectors {
        let (doing, what) =
            (if selector.enable { "Enabling" } else { "Disabling" }, if selector.by_rule { "name" } else { "tag" });
        base.log.info(&format!("{doing} rules with {what}: {}", selector.text));
        rules.select(selector);
    }
    Ok(Prepared { base, rules, files: read, folders })
}

/// What is checked and logged before the webserver starts.
pub fn check_outputs(base: &Base) -> Result<(), Stop> {
    let Settings { engine, buffer_preset, .. } = &base.settings;
    if !base.settings.has_output() {
        let words = "No output configured, please make sure at least one output is configured and enabled.";
        return Err(words.to_owned().into());
    }
    if let Ok(name) = std::env::var("FALCO_HOSTNAME") {
        base.log.info(&format!("Hostname value has been overridden via environment variable to: {name}"));
    }
    if *engine != Engine::NoDriver {
        // The preset n stands for 2^(n-1) MB.
        if !(1..=10).contains(buffer_preset) {
            return Err("The 'buf_size_preset' value must be between '1' and '10'\n".to_owned().into());
        }
        let buffer = 1_u64 << (20 + buffer_preset - 1);
        let words = format!("The chosen syscall buffer dimension is: {buffer} bytes ({} MBs)", buffer >> 20);
        base.log.info(&words);
    }
    Ok(())
}

/// What is checked and logged about metrics after the webserver started.
pub fn check_metrics(base: &Base) -> Result<(), Stop> {
    let Some(metrics) = &base.settings.metrics else { return Ok(()) };
    let over_http = base.settings.webserver.as_ref().is_some_and(|webserver| webserver.metrics);
    if !metrics.output_rule && metrics.output_file.is_none() && !over_http {
        let words = "Metrics are enabled with no output configured. Please enable at least one output channel \
                     ('metrics.output_rule', 'metrics.output_file' or 'webserver.prometheus_metrics_enabled')";
        return Err(words.to_owned().into());
    }
    let Some(milliseconds) = duration(&metrics.interval).filter(|milliseconds| *milliseconds >= 100) else {
        let words = "Metrics interval must have a minimum value of 100ms and reflect a Prometheus compliant time \
                     duration format: https://prometheus.io/docs/prometheus/latest/querying/basics/#time-durations. ";
        return Err(words.to_owned().into());
    };
    let interval = &metrics.interval;
    base.log.info(&format!("Setting metrics interval to {interval}, equivalent to {milliseconds} (ms)"));
    Ok(())
}

/// Everything up to where a real start opens its engine; what `--dry-run` does, and a reload to try the files `again`.
pub fn dry_run(line: &CommandLine, again: bool) -> Result<(), Stop> {
    let prepared = rules(read_base(line, again)?, line)?;
    check_outputs(&prepared.base)?;
    check_metrics(&prepared.base)
}

/// Name and version of plugins.
pub fn versions(plugins: &[Plugin]) -> Vec<(String, String)> {
    plugins.iter().map(|plugin| (plugin.name.clone(), plugin.version.clone())).collect()
}

/// Logs the report of a good file that has warnings.
pub fn log_warnings(log: &Log, report: &Report) {
    if report.has_warnings() {
        log.info(&report.text());
    }
}

/// The text of a rules file.
pub fn read_rules_file(log: &Log, file: &Path) -> Result<String, Stop> {
    if on_disk(file).is_dir() {
        let words = "basic_filebuf::underflow error reading the file: Is a directory";
        return Err(Stop::Runtime(log.clone(), words.into()));
    }
    std::fs::read_to_string(on_disk(file))
        .map_err(|_| Stop::Error(format!("Could not open file {} for reading", file.display())))
}

fn default_config() -> Result<PathBuf, Stop> {
    let path = PathBuf::from("/etc/falco/falco.yaml");
    if on_disk(&path).exists() {
        return Ok(path);
    }
    Err(Stop::Error(format!("You must create a config file at {} or by passing -c", path.display())))
}

/// A file itself; of a folder the files ending in `.yaml` or `.yml`, in lexical order.
fn files_of(path: &Path) -> Vec<PathBuf> {
    if !on_disk(path).is_dir() {
        return vec![path.to_owned()];
    }
    let is_rules = |name: &Path| matches!(name.extension().and_then(|ending| ending.to_str()), Some("yaml" | "yml"));
    let entries = std::fs::read_dir(on_disk(path)).into_iter().flatten().filter_map(Result::ok);
    let mut files: Vec<PathBuf> = entries
        .filter(|entry| entry.path().is_file() && is_rules(&entry.path()))
        .map(|entry| path.join(entry.file_name()))
        .collect();
    files.sort();
    files
}

/// Milliseconds of a Prometheus duration such as `1h30m`; a number without a unit is none.
fn duration(text: &str) -> Option<u64> {
    let units = [
        ("ms", 1),
        ("s", 1000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
        ("w", 604_800_000),
        ("y", 31_536_000_000),
    ];
    let mut rest = text;
    let mut total = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|length| *length > 0)?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (_, factor) = units.iter().find(|(unit, _)| *unit == &rest[..letters])?;
        total += number * factor;
        rest = &rest[letters..];
    }
    Some(total).filter(|total| *total > 0)
}
