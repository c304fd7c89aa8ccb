//! The agent's end of the socket: takes one call at a time and answers it.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::command::{Answer, HostCommand, Invocation};
use super::hook::{Hook, Reboot, Reply};
use super::outcome::Call;
use super::wire::{Request, Response, read_stdin};

/// A host command that several names and several hooks share.
pub type SharedCommand = Arc<Mutex<dyn HostCommand>>;

/// Decides before each call whether the charm lives to see its answer.
pub type Gate = Arc<dyn Fn(&Moment<'_>) -> Verdict + Send + Sync>;

/// A call that is about to be answered.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// How many calls were answered before it in this hook.
    pub index: usize,
    /// The call.
    pub invocation: &'a Invocation,
    /// Whether it has been carried out already, and only the answer is missing.
    pub done: bool,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Go,
    /// The charm is killed with SIGKILL, and the call is not answered.
    Kill,
}

/// What the server shares with the hook that waits for its end.
pub struct Shared {
    /// The hook; the lock is Juju's one-command-at-a-time.
    pub hook: Mutex<Hook>,
    /// The answered calls.
    pub calls: Mutex<Vec<Call>>,
    /// The host commands by name.
    pub host_commands: BTreeMap<String, SharedCommand>,
    /// The gate.
    pub gate: Option<Gate>,
    /// Kills the charm.
    pub kill: Box<dyn Fn() + Send + Sync>,
    /// The gate has killed the charm.
    pub interrupted: AtomicBool,
    /// The context id that calls must carry.
    pub context_id: String,
}

/// A server that runs until it is dropped.
pub struct Server {
    stop: Arc<AtomicBool>,
    socket: std::path::PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on a socket that does not exist yet.
    pub fn start(socket: &Path, shared: Arc<Shared>) -> io::Result<Self> {
        let listener = UnixListener::bind(socket)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&shared);
                // A thread for each call, so that a slow reader of standard input does not hold up the others for ever;
                // the lock on the hook is what keeps them in line.
                thread::spawn(move || {
                    // A shim that was killed in the middle of its call has nobody left to tell.
                    let _ = serve(stream, &shared);
                });
            }
        });
        Ok(Self { stop, socket: socket.to_owned(), thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = UnixStream::connect(&self.socket);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut stream: UnixStream, shared: &Shared) -> io::Result<()> {
    let request = Request::read(&mut stream)?;
    let mut invocation = Invocation {
        name: request.name,
        args: request.args,
        stdin: None,
        cwd: request.cwd.into(),
        env: request.env.into_iter().collect(),
    };
    let started = Instant::now();
    if request.context_id != shared.context_id {
        let text = format!("ERROR bad request: wrong context ID; got \"{}\"\n", request.context_id);
        return respond(&mut stream, &Answer::failure(1, text));
    }
    let index = lock(&shared.calls).len();
    if stopped_at_gate(shared, &Moment { index, invocation: &invocation, done: false }) {
        return Ok(());
    }
    let host = shared.host_commands.get(&invocation.name);
    let answer = match host {
        Some(command) => host_command(command, &mut invocation, &mut stream)?,
        None => hook_command(&shared.hook, &mut invocation, &mut stream)?,
    };
    let stopped = stopped_at_gate(shared, &Moment { index, invocation: &invocation, done: true });
    let call = Call { invocation, answer, duration: started.elapsed(), is_hook_command: host.is_none() };
    let answer = call.answer.clone();
    lock(&shared.calls).push(call);
    if stopped {
        return Ok(());
    }
    if lock(&shared.hook).reboot == Some(Reboot::Now) {
        (shared.kill)();
        return Ok(());
    }
    respond(&mut stream, &answer)
}

fn stopped_at_gate(shared: &Shared, moment: &Moment<'_>) -> bool {
    if shared.interrupted.load(Ordering::SeqCst) {
        return true;
    }
    let verdict = shared.gate.as_ref().map_or(Verdict::Go, |gate| gate(moment));
    if verdict == Verdict::Kill {
        shared.interrupted.store(true, Ordering::SeqCst);
        (shared.kill)();
    }
    verdict == Verdict::Kill
}

fn host_command(command: &SharedCommand, invocation: &mut Invocation, stream: &mut UnixStream) -> io::Result<Answer> {
    if lock(command).reads_stdin(invocation) {
        invocation.stdin = Some(ask_for_stdin(stream)?);
    }
    Ok(lock(command).run(invocation))
}

fn hook_command(hook: &Mutex<Hook>, invocation: &mut Invocation, stream: &mut UnixStream) -> io::Result<Answer> {
    loop {
        // The lock is not held while input is awaited: it may come from another hook command.
        let reply = lock(hook).answer(invocation);
        match reply {
            Reply::Answer(answer) | Reply::Unknown(answer) => return Ok(answer),
            Reply::NeedsStdin => invocation.stdin = Some(ask_for_stdin(stream)?),
        }
    }
}

fn ask_for_stdin(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    Response::SendStdin.write(stream)?;
    read_stdin(stream)
}

fn respond(stream: &mut UnixStream, answer: &Answer) -> io::Result<()> {
    let Answer { code, stdout, stderr } = answer.clone();
    Response::Done { code, stdout, stderr }.write(stream)
}
