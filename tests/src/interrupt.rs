//! Runs a charm and kills it right before one of its effects on the outside world.
//!
//! Whatever a hook does to the world goes through a system call: it starts a hook command, renames a file, sends a
//! request. The charm is run under `ptrace`; at the entry of the chosen call it gets `SIGKILL`, and the call does not
//! take place. A harness that does this for every call in turn has tried every point at which a machine can lose power.
//!
//! ```no_run
//! # use charm_tests::interrupt::{self, Program};
//! # use std::{collections::BTreeMap, ffi::OsString, path::Path, time::Duration};
//! # let (line, env) = ([OsString::from("/charm/dispatch")], BTreeMap::new());
//! let program = Program { line: &line, cwd: Path::new("/"), env: &env };
//! let limit = Duration::from_secs(60);
//! let undisturbed = interrupt::count(&program, limit)?;
//! for n in 1..=undisturbed.effects.len() {
//!     // Prepare the same world again here, then:
//!     let killed = interrupt::kill_before(&program, n, limit)?;
//!     println!("killed before {}", killed.killed_before.expect("there were so many effects before"));
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Only the charm's own threads are followed. Its children run on undisturbed and outlive the kill, as they would under
//! Juju. Not counted is what nobody outside can see: writing to a file that is renamed into place later, closing,
//! waiting. Whoever traces a process is a thread, so each run has a thread of its own, and several can run at once.

mod effect;
mod tracer;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

pub use self::effect::{Effect, Kind};

/// How long output is awaited after the charm has ended, in case a child holds it open.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What is started.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// The program, as an absolute path, and its arguments.
    pub line: &'a [OsString],
    /// The working directory.
    pub cwd: &'a Path,
    /// The whole environment.
    pub env: &'a BTreeMap<String, String>,
}

/// How a process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(Signal),
}

/// What became of a program that was traced.
#[derive(Debug)]
pub struct Traced {
    /// How it ended.
    pub end: End,
    /// The effects that took place, in order.
    pub effects: Vec<Effect>,
    /// The effect that did not take place because the program was killed at its entry.
    pub killed_before: Option<Effect>,
    /// It was killed, with its process group, for taking too long.
    pub timed_out: bool,
    /// All it has printed.
    pub stdout: Vec<u8>,
    /// All it has printed as errors.
    pub stderr: Vec<u8>,
    /// How long it ran; tracing makes it slower.
    pub wall_time: Duration,
    /// The most memory it ever used, in bytes; 0 if it was killed too quickly to be asked.
    pub peak_memory: u64,
}

/// Lets the program run to its end and lists its effects.
pub fn count(program: &Program<'_>, limit: Duration) -> io::Result<Traced> {
    run(program, None, limit, |_| ())
}

/// Kills the program before its n-th effect, counted from 1. If it has fewer, it runs to its end.
pub fn kill_before(program: &Program<'_>, n: usize, limit: Duration) -> io::Result<Traced> {
    run(program, Some(n), limit, |_| ())
}

/// As the two above. `started` is told the process, which leads a process group of its own, before it does anything.
pub fn run(
    program: &Program<'_>,
    kill_before: Option<usize>,
    limit: Duration,
    started: impl FnOnce(Pid) + Send,
) -> io::Result<Traced> {
    thread::scope(|scope| {
        let tracing = scope.spawn(|| run_here(program, kill_before, limit, started));
        tracing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The part that has to stay in one thread: the kernel ties a tracer to it.
fn run_here(
    program: &Program<'_>,
    kill_before: Option<usize>,
    limit: Duration,
    started: impl FnOnce(Pid),
) -> io::Result<Traced> {
    let begin = Instant::now();
    let mut charm = tracer::Charm::start(program)?;
    let pid = charm.pid();
    started(pid);
    let (stdout, stderr) = (reader(charm.stdout.take()), reader(charm.stderr.take()));
    let (done, timed_out) = watch(pid, limit);
    let traced = charm.trace(kill_before);
    drop(done);
    let timed_out = timed_out.join().unwrap_or_default();
    let tracer::Traces { end, effects, killed_before, peak_memory } = traced?;
    let wall_time = begin.elapsed();
    // A charm that was killed leaves its children to themselves; one that has ended is not supposed to have any.
    let stdout = stdout.recv_timeout(LAST_WORDS).unwrap_or_default();
    let stderr = stderr.recv_timeout(LAST_WORDS).unwrap_or_default();
    Ok(Traced { end, effects, killed_before, timed_out, stdout, stderr, wall_time, peak_memory })
}

/// Kills the process group when the time is up, unless the sender is dropped before. Tells whether it did.
fn watch(pid: Pid, limit: Duration) -> (mpsc::Sender<()>, thread::JoinHandle<bool>) {
    let (sender, receiver) = mpsc::channel::<()>();
    let watching = thread::spawn(move || {
        let late = receiver.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        if late {
            // None left is what we want.
            let _ = killpg(pid, Signal::SIGKILL);
        }
        late
    });
    (sender, watching)
}

/// Reads to the end in a thread of its own.
fn reader(from: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut from) = from {
            // What was read before an error is all there is.
            let _ = from.read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    receiver
}
