//! The `systemctl` with memory answers as the real one does: the same steps on both, the same words and exit codes.
//!
//! Each case names its unit `UNIT`; on the real host, where all cases meet, every one gets a name of its own.

mod cases;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use charm_tests::juju::command::{HostCommand as _, Invocation};
use charm_tests::machine::Machine;
use charm_tests::machine::host::Host;

use self::cases::Case;

/// One thing to do, on both sides.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Writes the unit file `UNIT.service`.
    Unit(&'static str),
    /// Writes a file.
    File(&'static str, &'static str),
    /// Makes a link: target, path.
    Link(&'static str, &'static str),
    /// Removes a file.
    Remove(&'static str),
    /// `systemctl`: everything it prints and returns is compared.
    Ctl(&'static str),
    /// `systemctl`: only the exit code is compared.
    Code(&'static str),
    /// Waits until a property of `UNIT` has a value.
    Until(&'static str, &'static str),
    /// Sends a signal to the main process of `UNIT` and waits until it is gone.
    Kill(&'static str),
    /// Compares what the journal holds about `UNIT`, in any order: a process and its manager write at once.
    Journal,
}

/// Where steps are taken.
trait Side {
    fn systemctl(&mut self, args: &[&str]) -> (i32, String, String);
    fn journal(&mut self, unit: &str) -> Vec<String>;
    fn path(&self, absolute: &str) -> PathBuf;
    fn wait(&mut self);
    /// Sends a signal to a process that has this number here.
    fn signal(&mut self, pid: &str, signal: &str);
}

impl Side for Machine {
    fn systemctl(&mut self, args: &[&str]) -> (i32, String, String) {
        let answer = self.run(args);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (answer.code, text(answer.stdout), text(answer.stderr))
    }

    fn journal(&mut self, unit: &str) -> Vec<String> {
        let ask = Invocation::new("journalctl", ["-u", unit, "--no-pager", "-o", "cat"]);
        let answer = self.journalctl().run(&ask);
        String::from_utf8(answer.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    fn path(&self, absolute: &str) -> PathBuf {
        Self::path(self, absolute)
    }

    fn wait(&mut self) {
        self.pass_time(Duration::from_millis(20));
        thread::sleep(Duration::from_millis(1));
    }

    fn signal(&mut self, pid: &str, signal: &str) {
        assert!(Command::new("kill").args([signal, pid]).status().unwrap().success());
    }
}

impl Side for Host {
    fn systemctl(&mut self, args: &[&str]) -> (i32, String, String) {
        let output = self.run("systemctl", args).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn journal(&mut self, unit: &str) -> Vec<String> {
        self.succeed("journalctl", &["--sync"]).unwrap();
        let text = self.succeed("journalctl", &["-u", unit, "--no-pager", "-q", "-o", "cat"]).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn path(&self, absolute: &str) -> PathBuf {
        Self::path(self, absolute)
    }

    fn wait(&mut self) {
        thread::sleep(Duration::from_millis(20));
    }

    fn signal(&mut self, pid: &str, signal: &str) {
        self.succeed("kill", &[signal, pid]).unwrap();
    }
}

/// Takes all steps and writes down what was seen.
fn take(side: &mut dyn Side, name: &str, steps: &[Step]) -> Vec<String> {
    let own = |text: &str| text.replace("UNIT", name);
    let mut seen = Vec::new();
    for step in steps {
        match *step {
            Step::Unit(text) => put(side, &format!("/etc/systemd/system/{name}.service"), &own(text)),
            Step::File(path, text) => put(side, &own(path), &own(text)),
            Step::Link(target, path) => symlink(own(target), side.path(&own(path))).unwrap(),
            Step::Remove(path) => fs::remove_file(side.path(&own(path))).unwrap(),
            Step::Ctl(line) | Step::Code(line) => {
                let line = own(line);
                let args: Vec<&str> = line.split_whitespace().collect();
                let (code, out, err) = side.systemctl(&args);
                seen.push(format!("$ systemctl {line}\n  = {code}"));
                if matches!(step, Step::Ctl(_)) {
                    seen.extend(out.lines().map(|line| format!("  {}", comparable(line))));
                    // The advice after the first line is long and not imitated.
                    let lines =
                        if err.starts_with("The unit files have no installation config") { 1 } else { usize::MAX };
                    seen.extend(err.lines().take(lines).map(|line| format!("  ! {}", comparable(line))));
                }
            }
            Step::Until(property, value) => {
                let deadline = Instant::now() + Duration::from_secs(60);
                while show(side, name, property) != value {
                    assert!(Instant::now() < deadline, "{name}: {property} does not become {value}: {seen:#?}");
                    side.wait();
                }
            }
            Step::Kill(signal) => {
                let pid = show(side, name, "MainPID");
                side.signal(&pid, signal);
                while show(side, name, "MainPID") == pid {
                    thread::sleep(Duration::from_millis(5));
                }
            }
            Step::Journal => {
                // A program that has just been started may not have written its line yet.
                thread::sleep(Duration::from_millis(100));
                let mut lines: Vec<String> =
                    side.journal(&format!("{name}.service")).iter().map(|line| comparable(line)).collect();
                lines.retain(|line| imitated(line));
                lines.sort();
                // A unit file is complained about each time it is read, and it is up to the manager when it forgets a
                // unit.
                lines.dedup_by(|one, other| one == other && one.starts_with('/'));
                seen.push("$ journalctl".into());
                seen.extend(lines.into_iter().map(|line| format!("  {line}")));
            }
        }
    }
    seen
}

fn put(side: &dyn Side, absolute: &str, text: &str) {
    let path = side.path(absolute);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn show(side: &mut dyn Side, name: &str, property: &str) -> String {
    side.systemctl(&["show", "--value", "-p", property, name]).1.trim_end().to_owned()
}

/// What differs from run to run, replaced.
fn comparable(line: &str) -> String {
    for start in ["MainPID=", "ExecMainPID="] {
        if let Some(pid) = line.strip_prefix(start) {
            return if pid == "0" { line.to_owned() } else { format!("{start}some") };
        }
    }
    if line.starts_with("INVOCATION_ID=") {
        return "INVOCATION_ID=some".into();
    }
    let words: Vec<&str> = line.split(' ').collect();
    if let Some(at) = words.windows(2).position(|pair| pair[0] == "process" && pair[1].parse::<u32>().is_ok()) {
        return [&words[..=at], &["some"], &words[at + 2..]].concat().join(" ");
    }
    line.to_owned()
}

/// Left out: two variables that need what is not there, the time that a run took, and the last words of a process that
/// never became its program, which the real journal may lose because their writer is gone before it is looked at.
fn imitated(line: &str) -> bool {
    let last_words =
        ["Failed to locate executable", "Failed at step", "Changing to the requested working directory failed"];
    !line.starts_with("JOURNAL_STREAM=")
        && !line.starts_with("SYSTEMD_EXEC_PID=")
        && !line.ends_with(" CPU time.")
        && !last_words.iter().any(|words| line.contains(words))
}

#[test]
#[ignore = "needs root: make test-machine"]
fn services_live_and_die_as_under_the_real_systemctl() {
    compare_all(cases::lives::CASES);
}

#[test]
#[ignore = "needs root: make test-machine"]
fn unit_files_count_as_for_the_real_systemctl() {
    compare_all(cases::files::CASES);
}

#[test]
#[ignore = "needs root: make test-machine"]
fn commands_are_read_and_run_as_by_the_real_systemd() {
    compare_all(cases::commands::CASES);
}

fn compare_all(cases: &[Case]) {
    let mut host = Host::boot().unwrap();
    let mut differences = Vec::new();
    for (number, (what, steps)) in cases.iter().enumerate() {
        let name = format!("case{number:02}");
        let real = take(&mut host, &name, steps);
        let imitated = take(&mut Machine::new().unwrap(), &name, steps);
        if real != imitated {
            differences.push(format!("{what}\n{}", compare(&real, &imitated)));
        }
    }
    assert!(differences.is_empty(), "{} cases differ\n{}", differences.len(), differences.join("\n"));
}

/// The lines of both, where they differ with `real` and `ours` before them.
fn compare(real: &[String], ours: &[String]) -> String {
    let same = real.iter().zip(ours).take_while(|(real, ours)| real == ours).count();
    let before = real[..same].iter().rev().take(6).rev().map(|line| format!("       {line}"));
    let real = real[same..].iter().take(8).map(|line| format!("  real {line}"));
    let ours = ours[same..].iter().take(8).map(|line| format!("  ours {line}"));
    before.chain(real).chain(ours).collect::<Vec<_>>().join("\n")
}
