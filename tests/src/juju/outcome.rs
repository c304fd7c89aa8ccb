//! Everything one hook has left behind.

use std::time::Duration;

use super::command::{Answer, Invocation};
use super::commit::Commit;
use super::hook::{ActionResult, Exit, LogRecord, StatusChange};
use super::state::State;

/// A hook that has run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The state afterwards.
    pub state: State,
    /// How the charm ended.
    pub exit: Exit,
    /// Why Juju holds the hook for failed although the charm ended well: the commit was refused, or a reboot was asked
    /// for.
    pub error: Option<String>,
    /// The charm did not end in time and was killed.
    pub timed_out: bool,
    /// The harness has killed the charm at a call, because it was told to.
    pub interrupted: bool,
    /// Every call, in order: hook commands and host commands.
    pub calls: Vec<Call>,
    /// The records of `juju-log`.
    pub log: Vec<LogRecord>,
    /// The standard output of the charm. Juju logs its lines at DEBUG.
    pub stdout: String,
    /// The standard error of the charm. Juju logs its lines at WARNING.
    pub stderr: String,
    /// The statuses that were set, in order, by the charm and by Juju.
    pub statuses: Vec<StatusChange>,
    /// What the user of the action sees; `None` for hooks.
    pub action: Option<ActionResult>,
    /// What was sent at the end; `None` if nothing was.
    pub commit: Option<Commit>,
    /// How long the charm ran.
    pub wall_time: Duration,
    /// The most memory the charm's process has had, in bytes; without its children.
    pub peak_memory: u64,
}

/// One call of a program played by the harness.
#[derive(Clone, Debug)]
pub struct Call {
    /// What was asked.
    pub invocation: Invocation,
    /// What was answered.
    pub answer: Answer,
    /// How long the answer took, without the start of the shim.
    pub duration: Duration,
    /// Whether it was a hook command; else a host command.
    pub is_hook_command: bool,
}

impl Outcome {
    /// Whether Juju holds the hook for a success.
    pub fn is_success(&self) -> bool {
        self.exit.is_success() && self.error.is_none()
    }

    /// Panics with everything the charm has said unless the hook was a success.
    #[track_caller]
    #[expect(clippy::return_self_not_must_use, reason = "it is also called for its panic alone")]
    pub fn expect_success(self) -> Self {
        assert!(self.is_success(), "the hook failed:\n{}", self.report());
        self
    }

    /// The state, of a hook that must be a success.
    #[track_caller]
    pub fn success(self) -> State {
        self.expect_success().state
    }

    /// The calls of one program.
    pub fn calls_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Call> {
        self.calls.iter().filter(move |call| call.invocation.name == name)
    }

    /// How many hook commands were called.
    pub fn hook_commands(&self) -> usize {
        self.calls.iter().filter(|call| call.is_hook_command).count()
    }

    /// The call with its arguments in one line each, for messages and comparisons.
    pub fn call_lines(&self) -> Vec<String> {
        self.calls.iter().map(Call::line).collect()
    }

    /// What the charm did and said, for a failing test.
    pub fn report(&self) -> String {
        let mut lines = vec![format!("exit: {:?}, error: {:?}, timed out: {}", self.exit, self.error, self.timed_out)];
        lines.push(format!("status: {}", self.state.unit_status));
        for call in &self.calls {
            lines.push(format!("  {} -> {}", call.line(), call.answer.code));
            let stderr = String::from_utf8_lossy(&call.answer.stderr);
            lines.extend(stderr.lines().map(|line| format!("    {line}")));
        }
        lines.extend(self.log.iter().map(|record| format!("{}: {}", record.level, record.message)));
        lines.extend(self.stdout.lines().map(|line| format!("stdout: {line}")));
        lines.extend(self.stderr.lines().map(|line| format!("stderr: {line}")));
        lines.join("\n")
    }
}

impl Call {
    /// Name and arguments.
    pub fn line(&self) -> String {
        let mut words = vec![self.invocation.name.clone()];
        words.extend(self.invocation.args.iter().cloned());
        words.join(" ")
    }
}
