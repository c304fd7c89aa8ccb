//! Starts a program and measures it.
//!
//! The harness looks at a charm every other millisecond to see whether it has ended, which is too coarse here. So it
//! starts this launcher, which waits for the program and for nothing else, and writes what it saw into a file.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use charm_tests::interrupt::{self, End, Program};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// The harness has a shorter one.
const LIMIT: Duration = Duration::from_secs(3_600);

/// What is looked at. Not both at once: to see the most memory that a program had, it is traced, which takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// How long it takes.
    Time,
    /// How much memory it has.
    Memory,
}

impl Mode {
    fn word(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Memory => "memory",
        }
    }
}

/// What a program took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cost {
    /// Measured in [`Mode::Time`].
    Time {
        /// From its start to its end.
        wall: Duration,
        /// Of its own threads, in the program and in the kernel, without its children.
        cpu: Duration,
    },
    /// Measured in [`Mode::Memory`]: the most that it had at a time, in bytes, without its children.
    Memory(u64),
}

/// `bench launch REPORT MODE PROGRAM…`: ends as the program ended.
pub fn main(report: &OsStr, mode: &OsStr, line: &[OsString]) -> Result<ExitCode> {
    let Some(mode) = [Mode::Time, Mode::Memory].into_iter().find(|known| mode == known.word()) else {
        bail!("{} is nothing that can be measured", mode.display());
    };
    let (code, cost) = measure(line, &std::env::vars().collect(), mode)?;
    fs::write(report, serde_json::to_vec(&cost)?)?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

/// The words that start a program through this launcher.
pub fn line(report: &Path, mode: Mode) -> io::Result<[OsString; 4]> {
    Ok([std::env::current_exe()?.into(), "launch".into(), report.into(), mode.word().into()])
}

/// What the launcher wrote.
pub fn read(report: &Path) -> Result<Cost> {
    let bytes = fs::read(report).with_context(|| format!("the launcher left no {}", report.display()))?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Runs a program to its end, and returns its exit code, or as a shell does 128 and the signal.
pub fn measure(line: &[OsString], env: &BTreeMap<String, String>, mode: Mode) -> Result<(i32, Cost)> {
    match mode {
        Mode::Time => time(line, env),
        Mode::Memory => memory(line, env),
    }
}

fn time(line: &[OsString], env: &BTreeMap<String, String>) -> Result<(i32, Cost)> {
    let (program, arguments) = line.split_first().context("no program to start")?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(env);
    let begin = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
    let pid = Pid::from_raw(child.id().cast_signed());
    // It is left there for a moment after its end, so that its clock can still be read.
    waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
    let wall = begin.elapsed();
    let cpu = clock_gettime(clock_getcpuclockid(pid)?)?.into();
    let status = child.wait()?;
    Ok((status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)), Cost::Time { wall, cpu }))
}

fn memory(line: &[OsString], env: &BTreeMap<String, String>) -> Result<(i32, Cost)> {
    let program = Program { line, cwd: &std::env::current_dir()?, env };
    let traced = interrupt::count(&program, LIMIT)?;
    io::stdout().write_all(&traced.stdout)?;
    io::stderr().write_all(&traced.stderr)?;
    let code = match traced.end {
        End::Code(code) => code,
        End::Signal(signal) => 128 + signal as i32,
    };
    Ok((code, Cost::Memory(traced.peak_memory)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, mode: Mode) -> (i32, Cost) {
        let env = [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into();
        measure(&["/bin/sh".into(), "-c".into(), script.into()], &env, mode).unwrap()
    }

    fn times_of(script: &str) -> (Duration, Duration) {
        let (_, Cost::Time { wall, cpu }) = shell(script, Mode::Time) else { panic!("no times of {script}") };
        (wall, cpu)
    }

    fn memory_of(script: &str) -> u64 {
        let (_, Cost::Memory(bytes)) = shell(script, Mode::Memory) else { panic!("no memory of {script}") };
        bytes
    }

    #[test]
    fn a_program_ends_as_it_would_without_being_measured() {
        for mode in [Mode::Time, Mode::Memory] {
            assert_eq!(shell("exit 3", mode).0, 3);
            assert_eq!(shell("kill -TERM $$", mode).0, 128 + 15);
        }
    }

    #[test]
    fn waiting_is_wall_time_and_no_cpu_time() {
        let (wall, cpu) = times_of("sleep 0.2; true");
        assert!(wall >= Duration::from_millis(200) && cpu < wall / 2, "{wall:?}, {cpu:?}");
    }

    #[test]
    fn working_is_cpu_time_and_the_work_of_a_child_is_not() {
        let work = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
        let (own, of_child) = (times_of(work).1, times_of(&format!("/bin/sh -c '{work}'; true")).1);
        assert!(own > of_child * 2, "{own:?}, {of_child:?}");
    }

    #[test]
    fn the_peak_is_seen_after_memory_was_given_back_and_without_the_memory_of_children() {
        let bytes = |number: u32| format!("x=$(head -c {number} /dev/zero | tr '\\0' x); x=");
        let (nothing, own) = (memory_of("true; exit 0"), memory_of(&bytes(4_000_000)));
        let of_child = memory_of(&format!("/bin/sh -c \"{}\"; true", bytes(4_000_000).replace('$', "\\$")));
        assert!(nothing > 0 && own > nothing + 3_500_000, "{nothing}, {own}");
        assert!(of_child < nothing + 1_000_000, "{nothing}, {of_child}");
    }
}
