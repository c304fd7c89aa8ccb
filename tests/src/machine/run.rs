//! One run of a service: its processes, their environment, and how each of them ended.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::manager::{Manager, Outcome};
use super::paths::below;
use super::processes::{self, Failure, Launch};
use super::settings::{Exec, Kind, Output, Settings};
use super::words::{self, Variables};

/// How a command of a service ended.
pub(super) struct Ended {
    pub code: i32,
    pub status: i32,
    pub outcome: Outcome,
}

impl Manager {
    /// Stops what runs: `ExecStop=`, a polite signal, and a rude one when the time is up.
    pub(super) fn end_run(&mut self, id: &str, child: Option<Child>) {
        let unit = self.unit(id);
        let settings = unit.settings.clone();
        let limit = settings.as_ref().map_or(Duration::from_secs(90), |settings| settings.stop_timeout);
        if let Some(settings) = &settings
            && !settings.stop.is_empty()
        {
            // A stop command that fails does not keep a unit running.
            let _ = self.run_commands(id, &settings.stop);
        }
        let mut outcome = Outcome::Success;
        if let Some(mut child) = child {
            let pid = processes::pid(&child);
            let started = self.clock.now();
            for pid in self.processes(id).into_iter().chain([pid]) {
                processes::signal(pid, Signal::SIGTERM);
            }
            let mut status = processes::wait(&mut child, limit);
            let left = limit.saturating_sub(self.clock.now().duration_since(started));
            let late = status.is_none() || !self.wait_for_run(id, left).is_empty();
            if late {
                self.note(id, 4, format!("{id}: State 'stop-sigterm' timed out. Killing."));
                outcome = Outcome::Timeout;
                self.kill_run(id);
                if status.is_none() {
                    processes::signal(pid, Signal::SIGKILL);
                    status = child.wait().ok();
                }
            }
            if let Some(status) = status {
                let (code, status) = processes::code_and_status(status);
                let unit = self.unit(id);
                (unit.main_code, unit.main_status) = (code, status);
                let own = outcome_of(code, status, settings.as_ref(), true);
                if own != Outcome::Success {
                    self.note(id, 5, format!("{id}: Main process exited, {}", processes::describe(code, status)));
                }
                if outcome == Outcome::Success {
                    outcome = own;
                }
            }
        } else {
            self.end_leftovers(id, limit);
        }
        self.enter_dead(id, outcome, false);
        if outcome == Outcome::Success {
            self.note(id, 6, format!("{id}: Deactivated successfully."));
        }
    }

    /// Ends what the main process has left behind.
    pub(super) fn end_leftovers(&mut self, id: &str, limit: Duration) {
        let left = self.processes(id);
        for pid in &left {
            processes::signal(*pid, Signal::SIGTERM);
        }
        if !left.is_empty() && !self.wait_for_run(id, limit).is_empty() {
            self.kill_run(id);
        }
    }

    fn run_of(&self, id: &str) -> BTreeSet<String> {
        BTreeSet::from([self.units[id].invocation.clone()])
    }

    fn processes(&self, id: &str) -> BTreeSet<Pid> {
        processes::of(&self.run_of(id))
    }

    fn wait_for_run(&self, id: &str, limit: Duration) -> BTreeSet<Pid> {
        processes::wait_for_all(&self.run_of(id), limit)
    }

    fn kill_run(&mut self, id: &str) {
        for pid in self.processes(id) {
            let name = processes::name(pid);
            self.note(id, 5, format!("{id}: Killing process {pid} ({name}) with signal SIGKILL."));
        }
        processes::kill_all(&self.run_of(id));
    }

    /// Runs commands beside the main process, one after the other.
    pub(super) fn run_commands(&mut self, id: &str, commands: &[Exec]) -> Result<(), Outcome> {
        let Some(settings) = self.units[id].settings.clone() else {
            return Ok(());
        };
        for exec in commands {
            let Ended { code, status, outcome } = self.run_command(id, &settings, exec, false);
            if outcome != Outcome::Success && !exec.ignore_failure {
                self.note(id, 5, format!("{id}: Control process exited, {}", processes::describe(code, status)));
                return Err(outcome);
            }
        }
        Ok(())
    }

    pub(super) fn run_command(&mut self, id: &str, settings: &Settings, exec: &Exec, main: bool) -> Ended {
        let (code, status) = match self.spawn(id, settings, exec) {
            Ok(mut child) => match child.wait() {
                Ok(status) => processes::code_and_status(status),
                Err(_) => (1, 1),
            },
            Err(failure) => {
                self.note_failure(id, exec, &failure);
                (1, failure.status)
            }
        };
        Ended {
            code,
            status,
            outcome: outcome_of(code, status, Some(settings), main && settings.kind != Kind::Oneshot),
        }
    }

    pub(super) fn note_failure(&mut self, id: &str, exec: &Exec, failure: &Failure) {
        let Failure { status: _, step, error } = failure;
        let path = &exec.path;
        let words = kernel_words(error);
        self.note(
            id,
            3,
            if *step == "CHDIR" {
                format!("{id}: Changing to the requested working directory failed: {words}")
            } else {
                format!("{id}: Failed to locate executable {path}: {words}")
            },
        );
        self.note(id, 3, format!("{id}: Failed at step {step} spawning {path}: {words}"));
    }

    pub(super) fn spawn(&mut self, id: &str, settings: &Settings, exec: &Exec) -> Result<Child, Failure> {
        let failed = |error| Failure { status: 203, step: "EXEC", error };
        let environment = self.environment(id, settings).map_err(failed)?;
        let words = if exec.literal { exec.words.clone() } else { words::expand(&exec.words, &environment) };
        let directory = match &settings.working_directory {
            Some((path, true)) if !PathBuf::from(path).is_dir() => PathBuf::from("/"),
            Some((path, _)) => PathBuf::from(path),
            None => PathBuf::from("/"),
        };
        let stdout = self.output(id, &settings.stdout).map_err(failed)?;
        let stderr = match &settings.stderr {
            Some(output) => self.output(id, output).map_err(failed)?,
            None => stdout.try_clone().map_err(failed)?,
        };
        let child = processes::launch(Launch {
            path: &processes::locate(&exec.path),
            words: &words,
            environment: &environment,
            umask: settings.umask,
            directory: &directory,
            stdout,
            stderr,
        })?;
        // A machine with a root of its own has a `/proc` of its own, without the processes of others.
        let real = Path::new("/proc").join(child.id().to_string());
        let link = below(&self.root, &real.to_string_lossy());
        if link != real && link.parent().is_some_and(Path::is_dir) {
            // The number may have been used before.
            let _ = fs::remove_file(&link);
            symlink(&real, &link).map_err(failed)?;
        }
        Ok(child)
    }

    fn output(&self, id: &str, output: &Output) -> io::Result<File> {
        match output {
            Output::Journal => self.journal.writer(id),
            Output::Null => OpenOptions::new().write(true).open("/dev/null"),
            Output::File(path, true) => OpenOptions::new().create(true).append(true).open(path),
            Output::File(path, false) => File::create(path),
        }
    }

    /// What systemd puts into the environment of a service, less `JOURNAL_STREAM` and `SYSTEMD_EXEC_PID`.
    pub(super) fn environment(&self, id: &str, settings: &Settings) -> io::Result<Variables> {
        let unit = &self.units[id];
        let mut all = Variables::new();
        words::set(&mut all, "LANG", "C.UTF-8");
        words::set(&mut all, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        words::set(&mut all, "INVOCATION_ID", &unit.invocation);
        if unit.main_pid != 0 {
            words::set(&mut all, "MAINPID", &unit.main_pid.to_string());
        }
        let mut add = |variables: &Variables| {
            for (name, value) in variables {
                words::set(&mut all, name, value);
            }
        };
        add(&settings.environment);
        for (path, optional) in &settings.environment_files {
            // The charm under test writes paths below the root into its unit; a unit of the host itself has plain ones.
            let path = if PathBuf::from(path).starts_with(&self.root) { path.into() } else { below(&self.root, path) };
            match fs::read(path) {
                Ok(bytes) => add(&words::environment_file(&String::from_utf8_lossy(&bytes))),
                Err(_) if *optional => {}
                Err(error) => return Err(error),
            }
        }
        add(&self.extra_environment);
        Ok(all)
    }
}

/// Whether an end was a good one. Daemons may also end by a signal that asks them to.
pub(super) fn outcome_of(code: i32, status: i32, settings: Option<&Settings>, daemon: bool) -> Outcome {
    let clean = settings.is_some_and(|settings| code == 1 && settings.clean_statuses.contains(&status));
    let asked = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM, Signal::SIGPIPE]
        .iter()
        .any(|signal| *signal as i32 == status);
    match (code, status) {
        (1, 0) => Outcome::Success,
        (2, _) if asked && daemon => Outcome::Success,
        _ if clean => Outcome::Success,
        (1, _) => Outcome::ExitCode,
        (2, _) => Outcome::Signal,
        _ => Outcome::CoreDump,
    }
}

/// The text of an error without the number that Rust appends.
pub(super) fn kernel_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// A fresh name for a run, as systemd makes them: 32 hexadecimal digits.
pub(super) fn invocation() -> String {
    fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default().trim().replace('-', "")
}
