//! Starting, watching and stopping services.
//!
//! One step that a real manager takes in its own time is taken at once here: whoever starts a unit that waits for its
//! automatic restart does not wait, the clock is pushed to that moment.

use std::time::Duration;

use super::manager::{Action, LoadState, Manager, Outcome, State, Unit};
use super::processes;
use super::run::{Ended, invocation, kernel_words, outcome_of};
use super::settings::{Kind, Restart, Settings};

/// Why a command did nothing, or not what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    NotFound,
    NotLoaded,
    Masked,
    BadSetting,
    /// No `ExecReload=`.
    NotReloadable,
    NotActive,
    /// The job ran and failed; the unit's result tells why.
    JobFailed(Outcome),
    /// The model would do something else than systemd.
    NotModelled(String),
}

/// What the manager does for one unit.
type Job = Result<(), Refusal>;

impl Manager {
    /// `systemctl start`.
    pub fn start(&mut self, name: &str) -> Job {
        let id = self.usable(name)?;
        match self.units[&id].state {
            State::Running(_) | State::Exited => Ok(()),
            State::AutoRestart(due) => {
                self.clock.skip_to(due);
                self.restart_automatically(&id)
            }
            State::Dead | State::Failed => {
                self.actions.push((id.clone(), Action::Start));
                self.activate(&id)
            }
        }
    }

    /// `systemctl stop`.
    pub fn stop(&mut self, name: &str) -> Job {
        let unit = self.load(name);
        let (id, load_state) = (unit.id().to_owned(), unit.load_state);
        let (title, state) = (unit.title(), std::mem::take(&mut unit.state));
        match state {
            State::Dead | State::Failed => {
                unit.state = state;
                return match load_state {
                    LoadState::NotFound | LoadState::BadSetting => Err(Refusal::NotLoaded),
                    LoadState::Loaded | LoadState::Masked => Ok(()),
                };
            }
            State::AutoRestart(_) => {}
            State::Exited => self.end_run(&id, None),
            State::Running(child) => {
                self.note(&id, 6, format!("Stopping {title}..."));
                self.end_run(&id, Some(child));
            }
        }
        self.note(&id, 6, format!("Stopped {title}."));
        self.actions.push((id, Action::Stop));
        Ok(())
    }

    /// `systemctl restart`.
    pub fn restart(&mut self, name: &str) -> Job {
        let id = self.usable(name)?;
        let before = self.actions.len();
        let exited = matches!(self.units[&id].state, State::Exited);
        self.stop(&id)?;
        if exited {
            // The real one gets to say so only when it is over, and for a plain stop not at all.
            let title = self.units[&id].title();
            self.note(&id, 6, format!("Stopping {title}..."));
        }
        self.actions.truncate(before);
        self.actions.push((id.clone(), Action::Restart));
        self.activate(&id)
    }

    /// `systemctl try-restart`.
    pub fn try_restart(&mut self, name: &str) -> Job {
        let id = self.usable(name)?;
        match self.units[&id].state {
            State::Dead | State::Failed => Ok(()),
            State::Running(_) | State::Exited | State::AutoRestart(_) => self.restart(&id),
        }
    }

    /// `systemctl reload`.
    pub fn reload(&mut self, name: &str) -> Job {
        let id = self.usable(name)?;
        let unit = &self.units[&id];
        let title = unit.title();
        let commands = unit.settings.as_ref().map(|settings| settings.reload.clone()).unwrap_or_default();
        if commands.is_empty() {
            return Err(Refusal::NotReloadable);
        }
        if !matches!(unit.state, State::Running(_) | State::Exited) {
            self.note(&id, 3, format!("{id}: Unit cannot be reloaded because it is inactive."));
            return Err(Refusal::NotActive);
        }
        self.note(&id, 6, format!("Reloading {title}..."));
        self.actions.push((id.clone(), Action::Reload));
        if self.run_commands(&id, &commands).is_err() {
            self.note(&id, 3, format!("Reload failed for {title}."));
            // The unit itself is as well as before.
            return Err(Refusal::JobFailed(Outcome::Success));
        }
        self.note(&id, 6, format!("Reloaded {title}."));
        Ok(())
    }

    /// `systemctl reset-failed`, for one unit.
    pub fn reset_failed(&mut self, name: &str) -> Job {
        let unit = self.load(name);
        if unit.load_state == LoadState::NotFound && matches!(unit.state, State::Dead) {
            return Err(Refusal::NotLoaded);
        }
        if matches!(unit.state, State::Failed) {
            unit.state = State::Dead;
        }
        unit.result = Outcome::Success;
        unit.restarts = 0;
        unit.starts.clear();
        Ok(())
    }

    /// Takes note of processes that have ended, and restarts what is due.
    pub fn settle(&mut self) {
        // Each round may end in a process that dies at once; more rounds than a start limit allows are not needed.
        for _ in 0..16 {
            let now = self.clock.now();
            let mut quiet = true;
            for id in self.units.keys().cloned().collect::<Vec<_>>() {
                let unit = self.units.get_mut(&id).expect("taken from the keys");
                match &mut unit.state {
                    State::Running(child) => {
                        if let Ok(Some(status)) = child.try_wait() {
                            quiet = false;
                            self.actions.push((id.clone(), Action::End));
                            let (code, status) = processes::code_and_status(status);
                            self.main_ended(&id, code, status);
                        }
                    }
                    State::AutoRestart(due) if *due <= now => {
                        quiet = false;
                        // Nobody asked for it, so nobody is told; the state shows it.
                        drop(self.restart_automatically(&id));
                    }
                    _ => {}
                }
            }
            if quiet {
                return;
            }
        }
    }

    pub(super) fn note(&mut self, id: &str, priority: u8, message: String) {
        self.journal.note(self.clock, id, priority, message);
    }

    /// The id of a unit that can be worked with.
    fn usable(&mut self, name: &str) -> Result<String, Refusal> {
        let unit = self.load(name);
        match unit.load_state {
            LoadState::NotFound => Err(Refusal::NotFound),
            LoadState::Masked => Err(Refusal::Masked),
            LoadState::BadSetting => Err(Refusal::BadSetting),
            LoadState::Loaded => match unit.settings.as_ref().and_then(|settings| settings.not_modelled.clone()) {
                Some(setting) => Err(Refusal::NotModelled(setting)),
                None => Ok(unit.id().to_owned()),
            },
        }
    }

    fn restart_automatically(&mut self, id: &str) -> Job {
        let unit = self.units.get_mut(id).expect("checked by the caller");
        unit.state = State::Dead;
        unit.restarts += 1;
        unit.flush_restarts = false;
        let (title, restarts) = (unit.title(), unit.restarts);
        self.note(id, 6, format!("{id}: Scheduled restart job, restart counter is at {restarts}."));
        self.note(id, 6, format!("Stopped {title}."));
        self.actions.push((id.to_owned(), Action::AutoRestart));
        self.activate(id)
    }

    /// Starts a unit that does not run.
    fn activate(&mut self, id: &str) -> Job {
        let now = self.clock.now();
        let unit = self.units.get_mut(id).expect("checked by the caller");
        let title = unit.title();
        let settings = unit.settings.clone().expect("a usable unit was read");
        if std::mem::take(&mut unit.flush_restarts) {
            unit.restarts = 0;
        }
        let (interval, burst) = settings.start_limit;
        unit.starts.retain(|start| now.duration_since(*start) < interval);
        if unit.starts.len() >= burst && !interval.is_zero() {
            self.note(id, 4, format!("{id}: Start request repeated too quickly."));
            let unit = self.units.get_mut(id).expect("as above");
            if unit.result == Outcome::Success {
                unit.result = Outcome::StartLimitHit;
            }
            unit.state = State::Failed;
            let result = unit.result;
            self.note(id, 4, format!("{id}: Failed with result '{}'.", result.as_str()));
            self.note(id, 3, format!("Failed to start {title}."));
            return Err(Refusal::JobFailed(result));
        }
        unit.starts.push(now);
        unit.result = Outcome::Success;
        (unit.main_pid, unit.last_pid) = (0, 0);
        (unit.main_code, unit.main_status) = (0, 0);
        unit.invocation = invocation();
        let run = unit.invocation.clone();
        self.runs.insert(run.clone());
        self.journal.begin(self.clock, id, &run, 0);
        if settings.kind != Kind::Simple || !settings.start_before.is_empty() {
            self.note(id, 6, format!("Starting {title}..."));
        }
        let started = self.run_start(id, &settings);
        match &started {
            Ok(()) if settings.kind == Kind::Oneshot => {
                if !settings.remain_after_exit {
                    self.note(id, 6, format!("{id}: Deactivated successfully."));
                }
                self.note(id, 6, format!("Finished {title}."));
            }
            Ok(()) => {}
            Err(_) => self.note(id, 3, format!("Failed to start {title}.")),
        }
        started
    }

    fn run_start(&mut self, id: &str, settings: &Settings) -> Job {
        let failed = |outcome| Err(Refusal::JobFailed(outcome));
        if let Err(error) = self.environment(id, settings) {
            self.note(id, 4, format!("{id}: Failed to load environment files: {}", kernel_words(&error)));
            self.note(id, 4, format!("{id}: Failed to run 'start' task: {}", kernel_words(&error)));
            self.enter_dead(id, Outcome::Resources, true);
            return failed(Outcome::Resources);
        }
        if let Err(outcome) = self.run_commands(id, &settings.start_before) {
            self.enter_dead(id, outcome, true);
            return failed(outcome);
        }
        if settings.kind == Kind::Oneshot {
            return self.run_oneshot(id, settings);
        }
        let title = self.units[id].title();
        match settings.start.first().map(|exec| self.spawn(id, settings, exec)) {
            None => {
                self.unit(id).state = State::Exited;
                Ok(())
            }
            Some(Ok(child)) => {
                let run = self.units[id].invocation.clone();
                let pid = processes::pid(&child).as_raw();
                self.journal.begin(self.clock, id, &run, pid);
                let unit = self.unit(id);
                (unit.main_pid, unit.last_pid) = (pid, pid);
                unit.state = State::Running(child);
                self.note(id, 6, format!("Started {title}."));
                Ok(())
            }
            Some(Err(failure)) => {
                // A simple unit counts as started before the program is looked for.
                let simple = settings.kind == Kind::Simple;
                self.note_failure(id, &settings.start[0], &failure);
                if simple {
                    self.note(id, 6, format!("Started {title}."));
                }
                self.main_ended(id, 1, failure.status);
                if simple { Ok(()) } else { failed(Outcome::ExitCode) }
            }
        }
    }

    fn run_oneshot(&mut self, id: &str, settings: &Settings) -> Job {
        for exec in &settings.start {
            let Ended { code, status, outcome } = self.run_command(id, settings, exec, true);
            let unit = self.unit(id);
            (unit.main_code, unit.main_status) = (code, status);
            if outcome != Outcome::Success && !exec.ignore_failure {
                self.note(id, 5, format!("{id}: Main process exited, {}", processes::describe(code, status)));
                self.end_leftovers(id, settings.stop_timeout);
                self.enter_dead(id, outcome, true);
                return Err(Refusal::JobFailed(outcome));
            }
        }
        self.unit(id).state = if settings.remain_after_exit { State::Exited } else { State::Dead };
        Ok(())
    }

    /// The main process is gone, by itself or because it never became the program.
    fn main_ended(&mut self, id: &str, code: i32, status: i32) {
        let unit = self.unit(id);
        let settings = unit.settings.clone();
        unit.main_code = code;
        unit.main_status = status;
        unit.state = State::Dead;
        let outcome = outcome_of(code, status, settings.as_ref(), true);
        if outcome != Outcome::Success {
            self.note(id, 5, format!("{id}: Main process exited, {}", processes::describe(code, status)));
        } else if settings.as_ref().is_some_and(|settings| settings.remain_after_exit) {
            self.unit(id).state = State::Exited;
            return;
        }
        self.end_leftovers(id, settings.map_or(Duration::from_secs(90), |settings| settings.stop_timeout));
        self.enter_dead(id, outcome, true);
        if outcome == Outcome::Success {
            self.note(id, 6, format!("{id}: Deactivated successfully."));
        }
    }

    /// Nothing of the unit runs any more: what now?
    pub(super) fn enter_dead(&mut self, id: &str, outcome: Outcome, may_restart: bool) {
        let now = self.clock.now();
        let unit = self.unit(id);
        if unit.result == Outcome::Success {
            unit.result = outcome;
        }
        unit.main_pid = 0;
        let again = may_restart
            && unit.load_state == LoadState::Loaded
            && unit.settings.as_ref().is_some_and(|settings| restarts(settings, outcome, unit.main_status));
        unit.state = match (&unit.settings, again) {
            (Some(settings), true) => State::AutoRestart(now + settings.restart_delay),
            _ if unit.result == Outcome::Success => State::Dead,
            _ => State::Failed,
        };
        unit.flush_restarts = !again;
        let result = unit.result;
        if result != Outcome::Success {
            self.note(id, 4, format!("{id}: Failed with result '{}'.", result.as_str()));
        }
    }

    pub(super) fn unit(&mut self, id: &str) -> &mut Unit {
        self.units.get_mut(id).expect("a unit that is worked on stays loaded")
    }
}

fn restarts(settings: &Settings, outcome: Outcome, status: i32) -> bool {
    let abnormal = matches!(outcome, Outcome::Signal | Outcome::CoreDump | Outcome::Timeout);
    match settings.restart {
        Restart::No => false,
        Restart::Always => true,
        Restart::OnSuccess => outcome == Outcome::Success,
        Restart::OnFailure => outcome != Outcome::Success,
        Restart::OnAbnormal => abnormal,
        Restart::OnAbort => matches!(outcome, Outcome::Signal | Outcome::CoreDump) && status != 0,
    }
}
