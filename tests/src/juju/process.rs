//! The charm's process: started with exactly one environment, watched, and killed with all its children.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::hook::Exit;

/// How often a running charm is looked at.
const PAUSE: Duration = Duration::from_millis(2);

/// How long output is awaited after the charm has ended, in case a child holds it open.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What is started.
#[derive(Debug)]
pub struct Start<'a> {
    /// The program and the arguments before it, if it is started through another one.
    pub line: &'a [OsString],
    /// The working directory.
    pub cwd: &'a Path,
    /// The whole environment.
    pub env: &'a BTreeMap<String, String>,
}

/// How a charm has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its code or signal.
    pub exit: Exit,
    /// It was killed for taking too long.
    pub timed_out: bool,
    /// All it has printed.
    pub stdout: Vec<u8>,
    /// All it has printed as errors.
    pub stderr: Vec<u8>,
    /// How long it ran.
    pub wall_time: Duration,
    /// The most memory its own process was seen with, in bytes.
    pub peak_memory: u64,
}

/// A charm that runs. Dropping it kills its process group.
#[derive(Debug)]
pub struct Running {
    child: Child,
    started: Instant,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
}

/// The process group of a charm.
#[derive(Clone, Copy, Debug)]
pub struct Group(Pid);

impl Group {
    /// Kills every process of it that is left.
    pub fn kill(self) {
        // None left is what we want.
        let _ = killpg(self.0, Signal::SIGKILL);
    }
}

impl Running {
    /// Starts the charm in a process group of its own.
    pub fn start(start: &Start<'_>) -> io::Result<Self> {
        let (program, args) = start.line.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut child = Command::new(program)
            .args(args)
            .current_dir(start.cwd)
            .env_clear()
            .envs(start.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let stdout = child.stdout.take().map(reader).ok_or(io::ErrorKind::BrokenPipe)?;
        let stderr = child.stderr.take().map(reader).ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { child, started: Instant::now(), stdout, stderr })
    }

    /// Its process group, to kill it from elsewhere.
    pub fn group(&self) -> Group {
        Group(Pid::from_raw(self.child.id().cast_signed()))
    }

    /// Waits for its end, up to a limit.
    pub fn wait(mut self, limit: Duration) -> io::Result<Ended> {
        let mut timed_out = false;
        let mut peak_memory = 0;
        let status = loop {
            // The counter of the process itself, not of `wait4`: that one also holds what our own process had before
            // `exec`.
            peak_memory = peak_memory.max(memory_peak(self.child.id()).unwrap_or(0));
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if !timed_out && self.started.elapsed() > limit {
                timed_out = true;
                self.group().kill();
            }
            thread::sleep(PAUSE);
        };
        let wall_time = self.started.elapsed();
        // Children that outlive the hook are no part of it.
        self.group().kill();
        let stdout = self.stdout.recv_timeout(LAST_WORDS).unwrap_or_default();
        let stderr = self.stderr.recv_timeout(LAST_WORDS).unwrap_or_default();
        Ok(Ended { exit: exit(status), timed_out, stdout, stderr, wall_time, peak_memory })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.group().kill();
            let _ = self.child.wait();
        }
    }
}

fn exit(status: ExitStatus) -> Exit {
    status.code().map_or_else(|| Exit::Signal(status.signal().unwrap_or(0)), Exit::Code)
}

/// Reads to the end in a thread of its own.
fn reader(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is all there is.
        let _ = from.read_to_end(&mut bytes);
        let _ = sender.send(bytes);
    });
    receiver
}

fn memory_peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}
