//! One call of a program by the charm, and the answer to it.
//!
//! Hook commands are answered by this crate; any other program that a scenario wants to play (`systemctl`, `apt-get`)
//! implements [`HostCommand`] and is registered with `Context::host_command`. Both kinds reach the harness through the
//! same shim and socket.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// A program that the charm, or a child of the charm, has started by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// The name of the program, without a folder.
    pub name: String,
    /// The arguments after the name. Bytes that are not UTF-8 were replaced.
    pub args: Vec<String>,
    /// The standard input; `None` while it was not asked for.
    pub stdin: Option<Vec<u8>>,
    /// The working directory of the caller.
    pub cwd: PathBuf,
    /// The environment of the caller.
    pub env: BTreeMap<String, String>,
}

impl Invocation {
    /// A call as a test writes it: no input, working directory `/`, empty environment.
    pub fn new<I>(name: impl Into<String>, args: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self {
            name: name.into(),
            args: args.into_iter().map(Into::into).collect(),
            cwd: PathBuf::from("/"),
            ..Self::default()
        }
    }

    /// The arguments as `&str`, for `match`.
    pub fn words(&self) -> Vec<&str> {
        self.args.iter().map(String::as_str).collect()
    }
}

/// What the program prints and returns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Bytes for the standard output.
    pub stdout: Vec<u8>,
    /// Bytes for the standard error.
    pub stderr: Vec<u8>,
    /// The exit code.
    pub code: i32,
}

impl Answer {
    /// Exit code 0 and nothing printed.
    pub fn success() -> Self {
        Self::default()
    }

    /// Exit code 0 and this text on the standard output.
    pub fn text(stdout: impl Into<Vec<u8>>) -> Self {
        Self { stdout: stdout.into(), ..Self::default() }
    }

    /// A failure with this text on the standard error.
    pub fn failure(code: i32, stderr: impl Into<Vec<u8>>) -> Self {
        Self { stderr: stderr.into(), code, ..Self::default() }
    }
}

/// A program of the unit's host, played by the harness.
///
/// One object serves all calls of the names it is registered under, over all hooks of a context, one call at a time:
/// its fields are the memory of the host. The program finds the harness by the variables of the hook, so a caller that
/// clears the environment of its children cannot reach it.
pub trait HostCommand: Send {
    /// Answers one call. The charm waits for it.
    fn run(&mut self, invocation: &Invocation) -> Answer;

    /// Whether this call reads its standard input. If so, `run` gets all of it.
    fn reads_stdin(&self, _invocation: &Invocation) -> bool {
        false
    }
}

impl<F> HostCommand for F
where
    F: FnMut(&Invocation) -> Answer + Send,
{
    fn run(&mut self, invocation: &Invocation) -> Answer {
        self(invocation)
    }
}
