//! What a unit file and its drop-ins say about a service.
//!
//! Only what a service needs to be started, watched and stopped is understood. Every other setting is named in
//! [`Settings::ignored`], so that a test can tell what this model did not do; settings that it would get wrong refuse
//! the start.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::paths::below;
use super::words::{self, Variables};

/// One command line of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// The program.
    pub path: String,
    /// The words after it, before variables are resolved; the first is what the program is told it is called.
    pub words: Vec<String>,
    /// `-`: failing is as good as succeeding.
    pub ignore_failure: bool,
    /// `:`: variables are not resolved.
    pub literal: bool,
}

/// `Type=`, as far as it is modelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Started as soon as the process was made.
    #[default]
    Simple,
    /// Started once the program runs.
    Exec,
    /// Started once the program has ended.
    Oneshot,
}

/// `Restart=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    #[default]
    No,
    OnSuccess,
    OnFailure,
    OnAbnormal,
    OnAbort,
    Always,
}

/// Where standard output or error goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Output {
    #[default]
    Journal,
    Null,
    /// A file, and whether it is appended to.
    File(PathBuf, bool),
}

/// What a unit file and its drop-ins say.
#[derive(Clone, Debug)]
pub struct Settings {
    pub description: String,
    pub kind: Kind,
    pub start_before: Vec<Exec>,
    pub start: Vec<Exec>,
    pub reload: Vec<Exec>,
    pub stop: Vec<Exec>,
    pub environment: Variables,
    /// Path, and whether it may be missing.
    pub environment_files: Vec<(String, bool)>,
    pub umask: u32,
    /// Path, and whether it may be missing.
    pub working_directory: Option<(String, bool)>,
    pub restart: Restart,
    pub restart_delay: Duration,
    pub stop_timeout: Duration,
    pub remain_after_exit: bool,
    pub clean_statuses: BTreeSet<i32>,
    pub start_limit: (Duration, usize),
    pub stdout: Output,
    pub stderr: Option<Output>,
    /// Settings that this model leaves alone, as `Key=`.
    pub ignored: BTreeSet<String>,
    /// Targets of `WantedBy=`, `RequiredBy=` and names of `Alias=`.
    pub wanted_by: Vec<String>,
    pub required_by: Vec<String>,
    pub aliases: Vec<String>,
    /// Lines for the journal.
    pub complaints: Vec<String>,
    /// The unit cannot be started.
    pub fatal: bool,
    /// A setting whose effect this model would get wrong, so that starting the unit has to fail loudly.
    pub not_modelled: Option<String>,
}

impl Settings {
    /// Reads the unit file and its drop-ins.
    pub fn read(root: &Path, id: &str, fragment: &str, drop_ins: &[String]) -> Self {
        let mut settings = Self {
            description: id.to_owned(),
            kind: Kind::default(),
            start_before: Vec::new(),
            start: Vec::new(),
            reload: Vec::new(),
            stop: Vec::new(),
            environment: Variables::new(),
            environment_files: Vec::new(),
            umask: 0o022,
            working_directory: None,
            restart: Restart::default(),
            restart_delay: Duration::from_millis(100),
            stop_timeout: Duration::from_secs(90),
            remain_after_exit: false,
            clean_statuses: BTreeSet::new(),
            start_limit: (Duration::from_secs(10), 5),
            stdout: Output::default(),
            stderr: None,
            ignored: BTreeSet::new(),
            wanted_by: Vec::new(),
            required_by: Vec::new(),
            aliases: Vec::new(),
            complaints: Vec::new(),
            fatal: false,
            not_modelled: None,
        };
        for path in std::iter::once(fragment).chain(drop_ins.iter().map(String::as_str)) {
            let bytes = fs::read(below(root, path)).unwrap_or_default();
            settings.apply(id, path, &String::from_utf8_lossy(&bytes));
        }
        let several = settings.start.len() > 1 && settings.kind != Kind::Oneshot;
        if several || (settings.start.is_empty() && settings.stop.is_empty()) {
            let why = if several {
                "has more than one ExecStart= setting, which is only allowed for Type=oneshot services. Refusing."
            } else {
                "has no ExecStart=, ExecStop=, or SuccessAction=. Refusing."
            };
            settings.complaints.push(format!("{id}: Service {why}"));
            settings.fatal = true;
        }
        settings
    }

    fn apply(&mut self, id: &str, path: &str, text: &str) {
        let mut section = String::new();
        for (number, line) in logical_lines(text) {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                if !matches!(name, "Unit" | "Service" | "Install") && !name.starts_with("X-") {
                    self.complaints.push(format!("{path}:{number}: Unknown section '{name}'. Ignoring."));
                }
                name.clone_into(&mut section);
            } else if section.is_empty() {
                self.complaints.push(format!("{path}:{number}: Assignment outside of section. Ignoring."));
            } else if let Some((key, value)) = line.split_once('=') {
                self.assign(id, &format!("{path}:{number}"), &section, key.trim(), value.trim());
            } else {
                self.complaints.push(format!("{path}:{number}: Missing '=', ignoring line."));
            }
        }
    }

    fn assign(&mut self, id: &str, place: &str, section: &str, key: &str, value: &str) {
        match (section, key) {
            ("Unit", "Description") => self.description = words::specifiers(value, id),
            ("Unit", "StartLimitIntervalSec") => self.start_limit.0 = time_span(value),
            ("Unit", "StartLimitBurst") => self.start_limit.1 = value.parse().unwrap_or(5),
            ("Install", "WantedBy") => extend_words(&mut self.wanted_by, value),
            ("Install", "RequiredBy") => extend_words(&mut self.required_by, value),
            ("Install", "Alias") => extend_words(&mut self.aliases, value),
            ("Service", key) => self.assign_service(id, place, key, value),
            ("Install", key) => {
                self.not_modelled = Some(format!("{key}={value}"));
            }
            ("Unit", key) => {
                self.ignored.insert(format!("{key}="));
            }
            _ => {}
        }
    }

    fn assign_service(&mut self, id: &str, place: &str, key: &str, value: &str) {
        match key {
            "Type" => match value {
                "simple" => self.kind = Kind::Simple,
                "exec" => self.kind = Kind::Exec,
                "oneshot" => self.kind = Kind::Oneshot,
                _ => self.not_modelled = Some(format!("Type={value}")),
            },
            "ExecStartPre" => self.add_commands(|all| &mut all.start_before, id, place, value),
            "ExecStart" => self.add_commands(|all| &mut all.start, id, place, value),
            "ExecReload" => self.add_commands(|all| &mut all.reload, id, place, value),
            "ExecStop" => self.add_commands(|all| &mut all.stop, id, place, value),
            "ExecStartPost" | "ExecStopPost" | "ExecCondition" | "User" | "Group" | "DynamicUser" | "KillMode"
            | "KillSignal" | "RootDirectory" | "RootImage" | "PIDFile" | "BusName" | "Sockets" | "PassEnvironment" => {
                // `User=root` is what a service has anyway.
                if !(matches!(key, "User" | "Group") && value == "root") {
                    self.not_modelled = Some(format!("{key}={value}"));
                }
            }
            "Environment" if value.is_empty() => self.environment.clear(),
            "Environment" => match words::assignments(value, id) {
                Ok((assignments, others)) => {
                    for (name, value) in assignments {
                        words::set(&mut self.environment, &name, &value);
                    }
                    for word in others {
                        self.complaints.push(format!("{place}: Invalid environment assignment, ignoring: {word}"));
                    }
                }
                Err(words::Unbalanced) => {
                    self.complaints.push(format!("{place}: Invalid syntax, ignoring: {value}"));
                }
            },
            "EnvironmentFile" if value.is_empty() => self.environment_files.clear(),
            "EnvironmentFile" => self.environment_files.push(optional(&words::specifiers(value, id))),
            "UMask" => self.umask = u32::from_str_radix(value, 8).unwrap_or(0o022),
            "WorkingDirectory" if value.is_empty() => self.working_directory = None,
            "WorkingDirectory" => self.working_directory = Some(optional(&words::specifiers(value, id))),
            "Restart" => {
                self.restart = match value {
                    "on-success" => Restart::OnSuccess,
                    "on-failure" => Restart::OnFailure,
                    "on-abnormal" => Restart::OnAbnormal,
                    "on-abort" => Restart::OnAbort,
                    "always" => Restart::Always,
                    _ => Restart::No,
                }
            }
            "RestartSec" => self.restart_delay = time_span(value),
            "TimeoutStopSec" | "TimeoutSec" => self.stop_timeout = time_span(value),
            "RemainAfterExit" => self.remain_after_exit = matches!(value, "yes" | "true" | "on" | "1"),
            "SuccessExitStatus" => {
                self.clean_statuses.extend(value.split_whitespace().filter_map(|status| status.parse::<i32>().ok()));
            }
            "StandardOutput" => self.stdout = output(value),
            "StandardError" => self.stderr = (value != "inherit").then(|| output(value)),
            key => {
                self.ignored.insert(format!("{key}="));
            }
        }
    }

    fn add_commands(&mut self, list: fn(&mut Self) -> &mut Vec<Exec>, id: &str, place: &str, value: &str) {
        if value.is_empty() {
            list(self).clear();
            return;
        }
        match commands(value, id) {
            Ok((commands, odd)) => {
                list(self).extend(commands);
                for word in odd {
                    self.complaints.push(format!("{place}: Ignoring unknown escape sequences: \"{word}\""));
                }
            }
            Err(why) => {
                self.complaints.push(format!("{place}: {why}"));
                self.complaints.push(format!("{id}: Unit configuration has fatal error, unit will not be started."));
                self.fatal = true;
            }
        }
    }

    /// Whether `[Install]` says how to enable the unit.
    pub fn can_be_enabled(&self) -> bool {
        !(self.wanted_by.is_empty() && self.required_by.is_empty() && self.aliases.is_empty())
    }
}

fn extend_words(list: &mut Vec<String>, value: &str) {
    if value.is_empty() {
        list.clear();
    }
    list.extend(value.split_whitespace().map(str::to_owned));
}

/// The commands of a line, and the words in it with an escape that is none.
fn commands(value: &str, id: &str) -> Result<(Vec<Exec>, Vec<String>), String> {
    let words =
        words::split(value).map_err(|words::Unbalanced| format!("Unbalanced quoting, ignoring: \"{value}\""))?;
    let odd = words.iter().filter(|word| word.odd).map(|word| word.text.clone()).collect();
    let mut commands = Vec::new();
    for words in words.split(|word| word.separator) {
        let Some((first, rest)) = words.split_first() else {
            continue;
        };
        let bare = first.text.trim_start_matches(['-', '@', ':', '+', '!', '|']);
        let prefixes = &first.text[..first.text.len() - bare.len()];
        let path = words::specifiers(bare, id);
        if path.contains('/') && !path.starts_with('/') || path.is_empty() {
            return Err(format!("Neither a valid executable name nor an absolute path: {path}"));
        }
        let mut arguments: Vec<String> = rest.iter().map(|word| words::specifiers(&word.text, id)).collect();
        if !prefixes.contains('@') {
            arguments.insert(0, path.clone());
        }
        commands.push(Exec {
            path,
            words: arguments,
            ignore_failure: prefixes.contains('-'),
            literal: prefixes.contains(':'),
        });
    }
    Ok((commands, odd))
}

fn optional(path: &str) -> (String, bool) {
    path.strip_prefix('-').map_or_else(|| (path.to_owned(), false), |path| (path.to_owned(), true))
}

fn output(value: &str) -> Output {
    match value.split_once(':') {
        Some(("append", path)) => Output::File(path.into(), true),
        Some(("file" | "truncate", path)) => Output::File(path.into(), false),
        _ if value == "null" => Output::Null,
        _ => Output::Journal,
    }
}

/// A time span such as `15`, `200ms` or `1min 30s`. `infinity` is a day, which no test waits for.
pub fn time_span(value: &str) -> Duration {
    const DAY: u64 = 24 * 3600;
    let mut total = Duration::ZERO;
    let mut rest = value.trim();
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().unwrap_or(-1.0);
        let after = rest[end..].trim_start();
        let unit_end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let seconds = match &after[..unit_end] {
            "us" => 1e-6,
            "ms" => 1e-3,
            "" | "s" | "sec" | "second" | "seconds" => 1.0,
            "m" | "min" | "minute" | "minutes" => 60.0,
            "h" | "hr" | "hour" | "hours" => 3600.0,
            _ => return Duration::from_secs(DAY),
        };
        let Ok(part) = Duration::try_from_secs_f64(number * seconds) else {
            return Duration::from_secs(DAY);
        };
        total += part;
        rest = after[unit_end..].trim_start();
    }
    total
}

/// Lines with their numbers: comments gone, continued lines joined under the number of the last.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.starts_with(['#', ';']) || (trimmed.is_empty() && !open) {
            continue;
        }
        let (content, continued) = match trimmed.strip_suffix('\\') {
            Some(content) => (content, true),
            None => (trimmed, false),
        };
        match lines.last_mut() {
            Some((number, previous)) if open => {
                *number = index + 1;
                previous.push(' ');
                previous.push_str(content);
            }
            _ => lines.push((index + 1, content.to_owned())),
        }
        open = continued;
    }
    lines
}
