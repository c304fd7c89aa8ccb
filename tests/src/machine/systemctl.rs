//! `systemctl`, as a command line over the [`Manager`]: arguments in, texts and exit codes of systemd 252 out.
//!
//! Other versions word some answers differently (from 253 on, `is-enabled` of a unit that does not exist prints
//! `not-found` and returns 4), so a charm must not depend on more than the exit code being zero. What this command line
//! does not know is refused with a text that names the stand-in, because a guess could let a charm pass that fails on a
//! real host.

use super::arguments::{Options, mangle, parse};
use super::manager::{Action, LoadState, Manager, Outcome, State};
use super::paths::{self, Found};
use super::service::Refusal;
use super::{install, show};
use crate::juju::command::Answer;

/// What the printed text and the exit code become.
#[derive(Debug, Default)]
pub(super) struct Printed {
    pub out: String,
    pub err: String,
    pub code: i32,
}

impl Printed {
    fn fail(&mut self, code: i32, text: &str) {
        self.err.push_str(text);
        self.err.push('\n');
        if self.code == 0 || code > self.code {
            self.code = code;
        }
    }
}

impl Manager {
    /// Runs one `systemctl`.
    pub fn systemctl(&mut self, args: &[String]) -> Answer {
        self.invocations.push(args.to_vec());
        self.settle();
        self.collect_garbage();
        let mut printed = Printed::default();
        match parse(args) {
            Ok((options, words)) => match words.split_first() {
                None => printed.fail(1, "systemctl stand-in of charm-tests: no verb"),
                Some((verb, names)) => self.verb(&mut printed, &options, verb, names),
            },
            Err(why) => printed.fail(1, &why),
        }
        self.collect_garbage();
        Answer { stdout: printed.out.into_bytes(), stderr: printed.err.into_bytes(), code: printed.code }
    }

    fn verb(&mut self, printed: &mut Printed, options: &Options, verb: &str, words: &[String]) {
        let optional = matches!(verb, "daemon-reload" | "reset-failed" | "show" | "is-system-running" | "status");
        if words.is_empty() && !optional {
            let known = matches!(
                verb,
                "start"
                    | "stop"
                    | "restart"
                    | "reload"
                    | "try-restart"
                    | "enable"
                    | "disable"
                    | "is-active"
                    | "is-failed"
                    | "is-enabled"
                    | "cat"
            );
            let text = if known { "Too few arguments.".into() } else { format!("Unknown command verb {verb}.") };
            return printed.fail(1, &text);
        }
        let names: Vec<String> = words.iter().map(|word| mangle(word)).collect();
        match verb {
            "daemon-reload" => self.daemon_reload(),
            "start" | "stop" | "restart" | "reload" | "try-restart" => self.jobs(printed, options, verb, &names),
            "enable" => self.enable(printed, options, &names),
            "disable" => self.disable(printed, options, &names),
            "is-active" | "is-failed" => self.is_state(printed, options, verb == "is-failed", &names),
            "is-enabled" => self.is_enabled(printed, options, &names),
            "reset-failed" => self.reset(printed, &names),
            "show" => self.show(printed, options, &names),
            "status" => self.status(printed, &names),
            "cat" => self.cat(printed, &names),
            _ => printed.fail(1, &format!("Unknown command verb {verb}.")),
        }
    }

    fn jobs(&mut self, printed: &mut Printed, options: &Options, verb: &str, names: &[String]) {
        for name in names {
            let unit = self.load(name).id().to_owned();
            let changed = self.needs_reload(&self.units[&unit]);
            let done = match verb {
                "start" => self.start(name),
                "stop" => self.stop(name),
                "restart" => self.restart(name),
                "reload" => self.reload(name),
                _ => self.try_restart(name),
            };
            // A simple service may be gone by the time its start is reported.
            if !matches!(
                done,
                Err(Refusal::NotFound
                    | Refusal::NotLoaded
                    | Refusal::Masked
                    | Refusal::BadSetting
                    | Refusal::NotReloadable
                    | Refusal::NotActive)
            ) && changed
            {
                printed.err.push_str(&format_changed(&unit));
            }
            if let Err(refusal) = done {
                refuse(printed, options, verb, name, &refusal);
            }
        }
    }

    fn enable(&mut self, printed: &mut Printed, options: &Options, names: &[String]) {
        let mut static_only = true;
        for name in names {
            let (path, unit) = match paths::find(&self.root, name) {
                Found::File(path) => (path, name.clone()),
                Found::Masked(path) => {
                    return printed.fail(1, &format!("Failed to enable unit: Unit file {path} is masked."));
                }
                Found::Alias(_) => {
                    return printed.fail(
                        1,
                        &format!(
                            "Failed to enable unit: Refusing to operate on alias name or linked unit file: {name}"
                        ),
                    );
                }
                Found::Missing => {
                    return printed.fail(1, &format!("Failed to enable unit: Unit file {name} does not exist."));
                }
            };
            let settings =
                super::settings::Settings::read(&self.root, &unit, &path, &paths::drop_ins(&self.root, &unit));
            static_only &= !settings.can_be_enabled();
            match install::enable(&self.root, &unit, &path, &settings) {
                Ok(text) => {
                    if !options.has("--quiet") {
                        printed.err.push_str(&text);
                    }
                    self.actions.push((unit, Action::Enable));
                }
                Err(error) => return printed.fail(1, &format!("Failed to enable unit: {error}")),
            }
        }
        if static_only && !options.has("--quiet") {
            printed.err.push_str(NOTHING_TO_ENABLE);
        }
        self.reread();
        if options.has("--now") {
            self.jobs(printed, options, "start", names);
        }
    }

    fn disable(&mut self, printed: &mut Printed, options: &Options, names: &[String]) {
        for name in names {
            if let Found::Masked(path) = paths::find(&self.root, name) {
                printed.err.push_str("Unit ");
                printed.err.push_str(&path);
                printed.err.push_str(" is masked, ignoring.\n");
                continue;
            }
            match install::disable(&self.root, name) {
                Ok(Some(text)) => {
                    if !options.has("--quiet") {
                        printed.err.push_str(&text);
                    }
                    self.actions.push((name.clone(), Action::Disable));
                }
                Ok(None) => {
                    return printed.fail(1, &format!("Failed to disable unit: Unit file {name} does not exist."));
                }
                Err(error) => return printed.fail(1, &format!("Failed to disable unit: {error}")),
            }
        }
        self.reread();
        if options.has("--now") {
            self.jobs(printed, options, "stop", names);
        }
    }

    fn is_state(&mut self, printed: &mut Printed, options: &Options, failed: bool, names: &[String]) {
        let mut any = false;
        for name in names {
            let (active, _) = self.load(name).state.words();
            any |= active == if failed { "failed" } else { "active" };
            if !options.has("--quiet") {
                printed.out.push_str(active);
                printed.out.push('\n');
            }
        }
        printed.code = match (any, failed) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => 3,
        };
    }

    fn is_enabled(&mut self, printed: &mut Printed, options: &Options, names: &[String]) {
        let mut any = false;
        for name in names {
            let Some(state) = install::state(&self.root, name) else {
                return printed
                    .fail(1, &format!("Failed to get unit file state for {name}: No such file or directory"));
            };
            any |= matches!(state, "enabled" | "static" | "alias" | "indirect");
            if !options.has("--quiet") {
                printed.out.push_str(state);
                printed.out.push('\n');
            }
        }
        printed.code = i32::from(!any);
    }

    fn reset(&mut self, printed: &mut Printed, names: &[String]) {
        let all: Vec<String> = self.units.keys().cloned().collect();
        for name in if names.is_empty() { &all } else { names } {
            if self.reset_failed(name).is_err() && !names.is_empty() {
                printed.fail(1, &format!("Failed to reset failed state of unit {name}: Unit {name} not loaded."));
            }
        }
    }

    fn show(&mut self, printed: &mut Printed, options: &Options, names: &[String]) {
        for name in &options.properties {
            if !show::KNOWN.contains(&name.as_str()) {
                return printed.fail(1, &format!("systemctl stand-in of charm-tests: property {name} is not modelled"));
            }
        }
        if names.is_empty() {
            return printed.fail(1, "systemctl stand-in of charm-tests: properties of the manager are not modelled");
        }
        for (index, name) in names.iter().enumerate() {
            if index > 0 {
                printed.out.push('\n');
            }
            let id = self.load(name).id().to_owned();
            let state = install::state(&self.root, &id);
            let unit = self.unit(&id);
            // Looked up when it is first asked for, and remembered.
            unit.file_state.get_or_insert_with(|| state.unwrap_or(if unit.fragment.is_empty() { "" } else { "bad" }));
            let unit = &self.units[&id];
            for (property, value) in show::properties(unit, self.needs_reload(unit)) {
                let asked = options.properties.iter().any(|name| name == property);
                if asked || options.properties.is_empty() && !value.is_empty() {
                    if !options.has("--value") {
                        printed.out.push_str(property);
                        printed.out.push('=');
                    }
                    printed.out.push_str(&value);
                    printed.out.push('\n');
                }
            }
        }
    }

    /// The first lines of `status` without times, and the last ten lines of the journal.
    fn status(&mut self, printed: &mut Printed, names: &[String]) {
        for name in names {
            let id = self.load(name).id().to_owned();
            let journal: Vec<String> =
                self.journal.of(self.clock, &id).into_iter().rev().take(10).map(|entry| entry.message).collect();
            let unit = &self.units[&id];
            if unit.load_state == LoadState::NotFound && matches!(unit.state, State::Dead) {
                printed.fail(4, &format!("Unit {name} could not be found."));
                continue;
            }
            let lines = show::status(unit);
            printed.out.push_str(&lines);
            if !journal.is_empty() {
                printed.out.push('\n');
            }
            for message in journal.iter().rev() {
                printed.out.push_str(message);
                printed.out.push('\n');
            }
            if !matches!(unit.state.words().0, "active") {
                printed.code = printed.code.max(3);
            }
        }
    }

    fn cat(&mut self, printed: &mut Printed, names: &[String]) {
        for name in names {
            let unit = self.load(name);
            if unit.load_state == LoadState::NotFound {
                printed.fail(1, &format!("No files found for {name}."));
                continue;
            }
            let paths: Vec<String> = std::iter::once(unit.fragment.clone())
                .chain(unit.drop_ins.iter().map(|(path, _)| path.clone()))
                .collect();
            for (index, path) in paths.iter().enumerate() {
                let text = std::fs::read_to_string(paths::below(&self.root, path)).unwrap_or_default();
                printed.out.push_str(if index > 0 { "\n# " } else { "# " });
                printed.out.push_str(path);
                printed.out.push('\n');
                printed.out.push_str(&text);
            }
        }
    }
}

/// The first line of the real advice, which is longer.
const NOTHING_TO_ENABLE: &str = "The unit files have no installation config (WantedBy=, RequiredBy=, Also=,\n";

fn format_changed(unit: &str) -> String {
    format!(
        "Warning: The unit file, source configuration file or drop-ins of {unit} changed on disk. Run 'systemctl daemon-reload' to reload units.\n"
    )
}

fn refuse(printed: &mut Printed, options: &Options, verb: &str, name: &str, refusal: &Refusal) {
    let failed = |why: &str| format!("Failed to {verb} {name}: {why}");
    match refusal {
        Refusal::NotFound => printed.fail(5, &failed(&format!("Unit {name} not found."))),
        Refusal::NotLoaded => printed.fail(5, &failed(&format!("Unit {name} not loaded."))),
        Refusal::Masked => printed.fail(1, &failed(&format!("Unit {name} is masked."))),
        Refusal::BadSetting => printed.fail(
            1,
            &format!(
                "{}\nSee system logs and 'systemctl status {name}' for details.",
                failed(&format!("Unit {name} has a bad unit file setting."))
            ),
        ),
        Refusal::NotReloadable => {
            printed.fail(3, &failed(&format!("Job type reload is not applicable for unit {name}.")));
        }
        Refusal::NotActive => printed.fail(1, &format!("{name} is not active, cannot reload.")),
        Refusal::NotModelled(setting) => {
            printed.fail(1, &format!("systemctl stand-in of charm-tests: {name}: {setting} is not modelled"));
        }
        Refusal::JobFailed(_) if options.has("--no-block") => {}
        Refusal::JobFailed(outcome) => {
            let why = match outcome {
                Outcome::Success => "",
                Outcome::Resources => " because of unavailable resources or another system error",
                Outcome::Timeout => " because a timeout was exceeded",
                Outcome::ExitCode => " because the control process exited with error code",
                Outcome::Signal => " because a fatal signal was delivered to the control process",
                Outcome::CoreDump => " because a fatal signal was delivered causing the control process to dump core",
                Outcome::StartLimitHit => " because start of the service was attempted too often",
            };
            let mut text = format!(
                "Job for {name} failed{why}.\nSee \"systemctl status {name}\" and \"journalctl -xeu {name}\" for details."
            );
            if *outcome == Outcome::StartLimitHit {
                text.push_str("\nTo force a start use \"systemctl reset-failed ");
                text.push_str(name);
                text.push_str("\"\nfollowed by \"systemctl start ");
                text.push_str(name);
                text.push_str("\" again.");
            }
            printed.fail(1, &text);
        }
    }
}
