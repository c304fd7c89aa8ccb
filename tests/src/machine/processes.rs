//! Starting the processes of a service, finding them again and ending them.
//!
//! systemd holds a service together with a control group. Here every process of a run carries the `INVOCATION_ID` of
//! that run in its environment, as it does under systemd, and is found by it; whatever shares a process group or an
//! ancestor with one of them counts too.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{AccessFlags, Pid, access};

use super::words::Variables;

/// How often a wait looks again.
const STEP: Duration = Duration::from_millis(2);
/// Where a program without a folder is looked for.
const SEARCH: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Sets the mask and becomes the program. The shell's own variables must not reach it.
const WITH_MASK: &str = "umask \"$0\"; unset PWD OLDPWD SHLVL; exec \"$@\"";

/// A process to be started.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The program.
    pub path: &'a str,
    /// Its arguments; the first is the name it is told.
    pub words: &'a [String],
    /// Its whole environment.
    pub environment: &'a Variables,
    /// Its file mode mask.
    pub umask: u32,
    /// Its working directory.
    pub directory: &'a Path,
    /// Its standard output.
    pub stdout: File,
    /// Its standard error.
    pub stderr: File,
}

/// Why a process did not become the program: systemd's own exit statuses.
#[derive(Debug)]
pub struct Failure {
    /// 200 or 203.
    pub status: i32,
    /// `CHDIR` or `EXEC`.
    pub step: &'static str,
    /// What the kernel said.
    pub error: io::Error,
}

/// The path of a program, looked for where systemd looks.
pub fn locate(program: &str) -> String {
    if program.starts_with('/') {
        return program.to_owned();
    }
    SEARCH
        .iter()
        .map(|folder| format!("{folder}/{program}"))
        .find(|path| Path::new(path).exists())
        .unwrap_or_else(|| program.to_owned())
}

/// Starts a process in a group of its own. When this returns, the process runs the program.
pub fn launch(launch: Launch<'_>) -> Result<Child, Failure> {
    let Launch { path, words, environment, umask, directory, stdout, stderr } = launch;
    if let Err(error) = fs::read_dir(directory) {
        return Err(Failure { status: 200, step: "CHDIR", error });
    }
    let failed = |error| Failure { status: 203, step: "EXEC", error };
    access(path, AccessFlags::X_OK).map_err(|error| failed(error.into()))?;
    let arguments = words.get(1..).unwrap_or_default();
    let masked = own_umask() != Some(umask);
    let mut command = if masked {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", WITH_MASK, &format!("{umask:04o}"), path]);
        command
    } else {
        let mut command = Command::new(path);
        command.arg0(words.first().map_or(path, String::as_str));
        command
    };
    let child = command
        .args(arguments)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    wait_for_program(&child);
    Ok(child)
}

/// Until the shell has become the program, and for an instant after the kernel has reported that it did, the
/// environment and the command line are not what a reader of `/proc` looks for.
fn wait_for_program(child: &Child) {
    let environ = format!("/proc/{}/environ", child.id());
    let cmdline = format!("/proc/{}/cmdline", child.id());
    let start = format!("/bin/sh\0-c\0{WITH_MASK}");
    let deadline = Instant::now() + Duration::from_secs(10);
    let empty = || fs::read(&environ).is_ok_and(|variables| variables.is_empty());
    let shell = || fs::read(&cmdline).is_ok_and(|line| line.is_empty() || line.starts_with(start.as_bytes()));
    while (shell() || empty()) && !has_ended(pid(child)) && Instant::now() < deadline {
        thread::sleep(STEP);
    }
}

fn own_umask() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(mask.trim(), 8).ok()
}

/// The process number of a child.
pub fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX))
}

/// `stat` after the name, which may hold anything: state, parent, group, …
fn stat(pid: Pid) -> Option<(char, i32, i32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Whether a process has ended, even if nobody has asked for its exit status yet.
pub fn has_ended(pid: Pid) -> bool {
    stat(pid).is_none_or(|(state, ..)| matches!(state, 'Z' | 'X'))
}

/// The name of a process, as the journal shows it.
pub fn name(pid: Pid) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// The living processes of these runs.
pub fn of(invocations: &BTreeSet<String>) -> BTreeSet<Pid> {
    let marks: Vec<String> = invocations.iter().map(|id| format!("INVOCATION_ID={id}")).collect();
    let mut found = BTreeSet::new();
    let mut others = Vec::new();
    for pid in all() {
        let Some((state, parent, group)) = stat(pid) else {
            continue;
        };
        if matches!(state, 'Z' | 'X') {
            continue;
        }
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| marks.iter().any(|mark| mark.as_bytes() == variable)) {
            found.insert(pid);
        } else {
            others.push((pid, Pid::from_raw(parent), Pid::from_raw(group)));
        }
    }
    loop {
        let before = found.len();
        found.extend(
            others
                .iter()
                .filter(|(_, parent, group)| found.contains(parent) || found.contains(group))
                .map(|(pid, ..)| *pid)
                .collect::<Vec<_>>(),
        );
        if found.len() == before {
            return found;
        }
    }
}

fn all() -> impl Iterator<Item = Pid> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().map(Pid::from_raw))
}

/// Sends a signal; a process that is gone by now does not mind.
pub fn signal(pid: Pid, signal: Signal) {
    let _ = kill(pid, signal);
}

/// Waits for a child to end, at most so long.
pub fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(STEP);
    }
}

/// Waits until a run has no process left, at most so long, and returns those that are left.
pub fn wait_for_all(invocations: &BTreeSet<String>, limit: Duration) -> BTreeSet<Pid> {
    let deadline = Instant::now() + limit;
    loop {
        let left = of(invocations);
        if left.is_empty() || Instant::now() >= deadline {
            return left;
        }
        thread::sleep(STEP);
    }
}

/// Kills every process of these runs, and those that they start meanwhile.
///
/// They are held still first: a process that was forked a moment ago, and has neither an environment of its own nor a
/// living parent, could not be told from a stranger.
pub fn kill_all(invocations: &BTreeSet<String>) {
    if invocations.is_empty() {
        return;
    }
    let mut quiet = 0;
    // Far more rounds than it takes, unless something forks faster than it is stopped.
    for _ in 0..1000 {
        let mut held = BTreeSet::new();
        loop {
            let found = of(invocations);
            let fresh: Vec<Pid> = found.difference(&held).copied().collect();
            if fresh.is_empty() {
                break;
            }
            for pid in fresh {
                signal(pid, Signal::SIGSTOP);
                hold(pid);
                held.insert(pid);
            }
        }
        for pid in &held {
            signal(*pid, Signal::SIGKILL);
        }
        quiet = if held.is_empty() { quiet + 1 } else { 0 };
        if quiet == 2 {
            return;
        }
        thread::sleep(STEP);
    }
}

/// Waits until a stopped process stands still. One that waits for a child that it shares its memory with never does.
fn hold(pid: Pid) {
    for _ in 0..50 {
        match stat(pid) {
            Some(('R' | 'S', ..)) => thread::sleep(Duration::from_micros(200)),
            _ => return,
        }
    }
}

/// `ExecMainCode` (1 exited, 2 killed, 3 dumped) and `ExecMainStatus`.
pub fn code_and_status(status: ExitStatus) -> (i32, i32) {
    match (status.code(), status.signal()) {
        (Some(code), _) => (1, code),
        (None, Some(signal)) if status.core_dumped() => (3, signal),
        (None, signal) => (2, signal.unwrap_or_default()),
    }
}

/// How the journal puts the end of a process, e.g. `code=exited, status=1/FAILURE`.
pub fn describe(code: i32, status: i32) -> String {
    if code == 1 {
        let name = match status {
            0 => "SUCCESS",
            1 => "FAILURE",
            2 => "INVALIDARGUMENT",
            3 => "NOTIMPLEMENTED",
            4 => "NOPERMISSION",
            5 => "NOTINSTALLED",
            6 => "NOTCONFIGURED",
            7 => "NOTRUNNING",
            200 => "CHDIR",
            203 => "EXEC",
            _ => "n/a",
        };
        return format!("code=exited, status={status}/{name}");
    }
    let name = Signal::try_from(status).map_or("n/a", |signal| signal.as_str().trim_start_matches("SIG"));
    format!("code={}, status={status}/{name}", if code == 3 { "dumped" } else { "killed" })
}
