//! A running program whose lines are collected as they come. It is killed when it is let go.

use std::io::{BufRead as _, BufReader, ErrorKind, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long anything is waited for. Long, because it is only reached when something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// A running program.
#[derive(Debug)]
pub struct Program {
    child: Child,
    lines: Arc<Mutex<Vec<(Stream, String)>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = wait_for(PATIENCE, || match command.spawn() {
            // Just unpacked: a child that another thread is about to start still holds the file open for writing.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => None,
            result => Some(result),
        })
        .unwrap_or_else(|| panic!("{command:?}: busy"))
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let mut readers = Vec::new();
        if let Some(out) = child.stdout.take() {
            readers.push(collect(Stream::Out, out, &lines));
        }
        if let Some(err) = child.stderr.take() {
            readers.push(collect(Stream::Err, err, &lines));
        }
        Self { child, lines, readers }
    }

    /// Everything it wrote so far.
    pub fn lines(&self) -> Vec<(Stream, String)> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The lines of one stream.
    pub fn stream(&self, stream: Stream) -> Vec<String> {
        self.lines().into_iter().filter(|(from, _)| *from == stream).map(|(_, line)| line).collect()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("process numbers are small"));
        kill(pid, signal).unwrap_or_else(|error| panic!("cannot send {signal}: {error}"));
    }

    /// Whether it is still there.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked for").is_none()
    }

    /// Waits for its end and for the rest of its lines; `None` if it does not end.
    pub fn wait(&mut self) -> Option<ExitStatus> {
        let status = wait_for(PATIENCE, || self.child.try_wait().expect("a child can be asked for"))?;
        for reader in self.readers.drain(..) {
            // A reader only ends badly if a line is no text, and then the comparison shows it.
            let _ = reader.join();
        }
        Some(status)
    }

    /// Kills it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
    }
}

/// Asks again and again until there is an answer.
pub fn wait_for<T>(patience: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + patience;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() > end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn collect(
    stream: Stream,
    from: impl Read + Send + 'static,
    lines: &Arc<Mutex<Vec<(Stream, String)>>>,
) -> JoinHandle<()> {
    let lines = Arc::clone(lines);
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            lines.lock().unwrap_or_else(PoisonError::into_inner).push((stream, line));
        }
    })
}
