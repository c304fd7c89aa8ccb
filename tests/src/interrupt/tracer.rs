//! The tracing loop: follows the threads of one process from system call to system call.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStderr, ChildStdout, Command, Stdio};

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::effect::{Call, Effect, Kind};
use super::{End, Program};

/// Waits to be traced, then becomes the program. The shell's own variables must not reach it.
const LAUNCHER: &str = "kill -STOP $$; unset PWD OLDPWD SHLVL; exec \"$0\" \"$@\"";

/// What the kernel says at a stop of a system call that is about to begin (Linux 5.3).
const ENTRY: libc::c_long = 1;

const ANY: Pid = Pid::from_raw(-1);

/// Only what this thread has started and traces: other threads have children of their own.
const OWN: Option<WaitPidFlag> = Some(WaitPidFlag::__WALL.union(WaitPidFlag::__WNOTHREAD));

/// A process that waits to be traced.
#[derive(Debug)]
pub struct Charm {
    pid: Pid,
    pub stdout: Option<ChildStdout>,
    pub stderr: Option<ChildStderr>,
}

/// What was seen.
#[derive(Debug)]
pub struct Traces {
    pub end: End,
    pub effects: Vec<Effect>,
    pub killed_before: Option<Effect>,
    pub peak_memory: u64,
}

/// The state of the loop.
#[derive(Debug, Default)]
struct Trace {
    /// The program itself runs, no longer the shell before it.
    running: bool,
    /// Processes that the charm has made and that have not become a program yet.
    children: BTreeSet<Pid>,
    /// The threads that have entered the call that makes a process, with the number of that effect.
    making: BTreeMap<Pid, usize>,
    /// The effect that a child is.
    made: BTreeMap<Pid, usize>,
    /// What a child became, if that was seen before whose child it is.
    became: BTreeMap<Pid, String>,
    effects: Vec<Effect>,
    killed_before: Option<Effect>,
    peak_memory: u64,
}

impl Charm {
    /// Starts the program as far as its first breath.
    pub fn start(program: &Program<'_>) -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(LAUNCHER).args(program.line);
        let mut child = command
            .current_dir(program.cwd)
            .env_clear()
            .envs(program.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let charm = Self {
            pid: Pid::from_raw(child.id().cast_signed()),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
        };
        waitpid(charm.pid, Some(WaitPidFlag::WUNTRACED))?;
        // With EXITKILL, nothing is left behind should this thread end early.
        let options = Options::PTRACE_O_EXITKILL
            | Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_TRACEEXIT;
        if let Err(error) = ptrace::seize(charm.pid, options) {
            let _ = kill(charm.pid, Signal::SIGKILL);
            let _ = waitpid(charm.pid, None);
            return Err(io::Error::other(format!("tracing is not possible here: {error}")));
        }
        kill(charm.pid, Signal::SIGCONT)?;
        Ok(charm)
    }

    /// The process, which is also its group.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Follows it to its end.
    pub fn trace(&self, kill_before: Option<usize>) -> io::Result<Traces> {
        let mut trace = Trace::default();
        let end = loop {
            match waitpid(ANY, OWN)? {
                WaitStatus::Exited(pid, code) if pid == self.pid => break End::Code(code),
                WaitStatus::Signaled(pid, signal, _) if pid == self.pid => break End::Signal(signal),
                WaitStatus::PtraceSyscall(pid) => {
                    if trace.enters(pid, kill_before)? {
                        kill(self.pid, Signal::SIGKILL)?;
                    }
                    resume(ptrace::syscall(pid, None))?;
                }
                WaitStatus::PtraceEvent(pid, _, event) => trace.event(self.pid, pid, event)?,
                WaitStatus::Stopped(pid, signal) => trace.resume(self.pid, pid, Some(signal))?,
                WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) => {
                    trace.children.remove(&pid);
                }
                WaitStatus::Continued(_) | WaitStatus::StillAlive => {}
            }
        };
        trace.release_children()?;
        if !trace.running {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the program could not be started"));
        }
        let Trace { effects, killed_before, peak_memory, .. } = trace;
        Ok(Traces { end, effects, killed_before, peak_memory })
    }
}

impl Trace {
    /// Looks at a stop at a system call, and tells whether the charm has to die now.
    fn enters(&mut self, thread: Pid, kill_before: Option<usize>) -> io::Result<bool> {
        let watching = self.running && self.killed_before.is_none();
        if !watching || resume(ptrace::getevent(thread))? != ENTRY {
            return Ok(false);
        }
        let Some(effect) = Call::of(thread).and_then(|call| call.effect()) else {
            return Ok(false);
        };
        if kill_before == Some(self.effects.len() + 1) {
            self.killed_before = Some(effect);
            return Ok(true);
        }
        if effect.kind == Kind::Process {
            self.making.insert(thread, self.effects.len());
        }
        self.effects.push(effect);
        Ok(false)
    }

    fn event(&mut self, charm: Pid, pid: Pid, event: i32) -> io::Result<()> {
        match event {
            libc::PTRACE_EVENT_EXEC if pid == charm => self.running = true,
            libc::PTRACE_EVENT_EXEC => {
                self.children.remove(&pid);
                self.name(pid, command_line(pid));
                return resume(ptrace::detach(pid, None)).map(drop);
            }
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK => {
                let child = resume(ptrace::getevent(pid))?;
                if let Some(effect) = self.making.remove(&pid) {
                    let child = Pid::from_raw(i32::try_from(child).unwrap_or_default());
                    self.made.insert(child, effect);
                    if let Some(line) = self.became.remove(&child) {
                        self.name(child, line);
                    }
                }
            }
            libc::PTRACE_EVENT_EXIT if pid == charm => self.peak_memory = peak_memory(pid),
            _ => {}
        }
        self.resume(charm, pid, None)
    }

    /// Writes down what a child became.
    fn name(&mut self, child: Pid, line: String) {
        match self.made.get(&child).and_then(|effect| self.effects.get_mut(*effect)) {
            Some(effect) => effect.detail = line,
            None => {
                self.became.insert(child, line);
            }
        }
    }

    /// Lets a thread of the charm go on to its next call, and a child to its program.
    fn resume(&mut self, charm: Pid, pid: Pid, signal: Option<Signal>) -> io::Result<()> {
        if pid == charm || process_of(pid) == Some(charm) {
            return resume(ptrace::syscall(pid, signal)).map(drop);
        }
        self.children.insert(pid);
        resume(ptrace::cont(pid, signal)).map(drop)
    }

    /// Lets go of children that never became another program; otherwise they would die with this thread.
    fn release_children(&mut self) -> io::Result<()> {
        for pid in std::mem::take(&mut self.children) {
            // It may have ended meanwhile, which is as good.
            let _ = ptrace::interrupt(pid);
        }
        // A child that is about to make another one hands that over too; it stops by itself and shows up here.
        loop {
            let (pid, signal) = match waitpid(ANY, OWN) {
                Err(Errno::ECHILD) => return Ok(()),
                Ok(WaitStatus::Stopped(pid, signal)) => (pid, Some(signal)),
                Ok(WaitStatus::PtraceEvent(pid, ..) | WaitStatus::PtraceSyscall(pid)) => (pid, None),
                Ok(_) => continue,
                Err(error) => return Err(error.into()),
            };
            resume(ptrace::detach(pid, signal))?;
        }
    }
}

/// A thread that was killed meanwhile cannot be resumed and need not be.
fn resume<T: Default>(done: nix::Result<T>) -> io::Result<T> {
    match done {
        Err(Errno::ESRCH) => Ok(T::default()),
        done => Ok(done?),
    }
}

/// The process that a thread belongs to.
fn process_of(thread: Pid) -> Option<Pid> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let id = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    id.trim().parse().ok().map(Pid::from_raw)
}

/// The program and arguments of a process.
fn command_line(pid: Pid) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<String> = bytes
        .strip_suffix(b"\0")
        .unwrap_or(&bytes)
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    words.join(" ")
}

fn peak_memory(pid: Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap_or_default();
    kibibytes * 1024
}
