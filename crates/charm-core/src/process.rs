//! Child processes: **the** place that starts them. A failed command is quoted with what it wrote to stderr.
//!
//! Synchronous on purpose: hook commands and `systemctl` have to come one after the other anyway.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{ErrorKind, Write};
use std::process::Stdio;
use std::time::Duration;

use crate::secret::Redacted;
use crate::status::one_line;

/// How much of a command line or of its stderr an error quotes, in characters.
const LONGEST_QUOTE: usize = 800;

/// What `timeout` answers when it had to end the command.
const TIMED_OUT: i32 = 124;

/// A command to be run to its end.
#[derive(Debug)]
pub struct Command {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, Redacted<OsString>)>,
    limit: Option<Duration>,
    largest_file: Option<u64>,
    input: Option<Vec<u8>>,
}

/// How a command ended that could be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// All of its standard error, as text.
    pub stderr: String,
}

/// A command that could not be started, or failed.
#[derive(Debug)]
pub enum Error {
    /// It could not be started.
    Start(String, std::io::Error),
    /// It ended with another exit code than 0, or by a signal.
    Failed(String, Output),
    /// It did not end in time, and was ended.
    TimedOut(String, Duration),
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(command, _) => write!(out, "failed to start `{command}`"),
            Self::TimedOut(command, limit) => {
                write!(out, "`{command}` did not end within {} s", limit.as_secs())
            }
            Self::Failed(command, output) => {
                write!(out, "`{command}` failed: ")?;
                match (one_line(&output.stderr, LONGEST_QUOTE), output.code) {
                    (words, _) if !words.is_empty() => out.write_str(&words),
                    (_, Some(code)) => write!(out, "exit code {code}"),
                    (_, None) => out.write_str("ended by a signal"),
                }
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start(_, error) => Some(error),
            Self::Failed(..) | Self::TimedOut(..) => None,
        }
    }
}

impl Command {
    /// A program, by path or to be found in `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            limit: None,
            largest_file: None,
            input: None,
        }
    }

    /// Adds one argument. Never a secret: every user of the machine can read arguments.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args<T: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets one variable of its environment; the rest is that of the hook. The place for a secret that a program takes
    /// from its environment: values are never quoted, and only the same user and root can read them.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), Redacted::new(value.as_ref().to_owned())));
        self
    }

    /// Ends the command when it takes longer, with the `timeout` of coreutils. For programs that may hang: a hook holds
    /// the lock of its machine.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Lets no file that it writes grow beyond this many bytes, with the `prlimit` of util-linux: such a write fails, or
    /// ends the program.
    #[must_use]
    pub fn largest_file(mut self, bytes: u64) -> Self {
        self.largest_file = Some(bytes);
        self
    }

    /// Gives it this on standard input; without it, standard input is empty.
    #[must_use]
    pub fn input(mut self, input: Vec<u8>) -> Self {
        self.input = Some(input);
        self
    }

    /// The program, for messages.
    pub fn program(&self) -> &OsStr {
        &self.program
    }

    /// Runs it, whatever its exit code.
    pub fn output(self) -> Result<Output, Error> {
        let quoted = self.quoted();
        let output = self.spawn_and_wait().map_err(|error| Error::Start(quoted.clone(), error))?;
        match self.limit {
            Some(limit) if output.code == Some(TIMED_OUT) => Err(Error::TimedOut(quoted, limit)),
            _ => Ok(output),
        }
    }

    /// Runs it and wants exit code 0.
    pub fn run(self) -> Result<Vec<u8>, Error> {
        let quoted = self.quoted();
        let output = self.output()?;
        if output.code == Some(0) { Ok(output.stdout) } else { Err(Error::Failed(quoted, output)) }
    }

    fn spawn_and_wait(&self) -> std::io::Result<Output> {
        let line = self.line();
        #[expect(clippy::disallowed_methods, reason = "the one place that starts processes")]
        let mut child = std::process::Command::new(&line[0])
            .args(&line[1..])
            .envs(self.environment.iter().map(|(name, value)| (name, value.expose())))
            .stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let (Some(mut pipe), Some(input)) = (child.stdin.take(), &self.input) {
            match pipe.write_all(input) {
                // A child that reads no input closes its end early; that is its right.
                Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error),
                _ => {}
            }
        }
        let output = child.wait_with_output()?;
        Ok(Output {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// The command as it is started: behind the programs that bound it.
    fn line(&self) -> Vec<OsString> {
        let mut line = Vec::new();
        if let Some(limit) = self.limit {
            // Five seconds more between the polite and the final signal.
            line.extend(["timeout".into(), "--kill-after=5".into(), limit.as_secs().to_string().into()]);
        }
        if let Some(bytes) = self.largest_file {
            line.extend(["prlimit".into(), format!("--fsize={bytes}").into()]);
        }
        line.push(self.program.clone());
        line.extend(self.arguments.iter().cloned());
        line
    }

    /// The command line for an error message.
    fn quoted(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.arguments);
        let line = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        one_line(&line, LONGEST_QUOTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_is_quoted_with_its_stderr() {
        let error = Command::new("sh").args(["-c", "echo 'no such unit' >&2; exit 5"]).run().unwrap_err();
        assert_eq!(error.to_string(), "`sh -c echo 'no such unit' >&2; exit 5` failed: no such unit");
    }

    #[test]
    fn a_command_that_is_not_there_says_so() {
        let error = Command::new("/no/such/program").run().unwrap_err();
        assert!(error.to_string().contains("failed to start `/no/such/program`"), "{error}");
    }

    #[test]
    fn input_reaches_the_child_and_unread_input_is_no_error() {
        assert_eq!(Command::new("cat").input(b"abc".into()).run().unwrap(), b"abc");
        Command::new("true").input(vec![b'x'; 1_000_000]).run().unwrap();
    }

    #[test]
    fn a_command_over_its_limit_is_ended() {
        let error = Command::new("sleep").arg("60").limit(Duration::from_secs(1)).run().unwrap_err();
        assert!(matches!(error, Error::TimedOut(..)), "{error}");
    }

    #[test]
    fn a_variable_reaches_the_child_and_is_never_quoted() {
        let command = || Command::new("sh").env("WORD", "hunter2");
        assert_eq!(command().args(["-c", "printf $WORD"]).run().unwrap(), b"hunter2");
        let error = command().args(["-c", "exit 1"]).run().unwrap_err();
        assert!(!format!("{:?} {error} {error:?}", command()).contains("hunter2"), "{error}");
    }

    #[test]
    fn a_file_does_not_grow_beyond_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let write = |bytes| {
            let arguments = ["if=/dev/zero".to_owned(), format!("of={}", file.display()), format!("bs={bytes}")];
            let command = Command::new("dd").args(arguments).arg("count=1");
            command.largest_file(1_000).limit(Duration::from_secs(60)).run()
        };
        write(1_000).unwrap();
        write(1_001).unwrap_err();
        assert_eq!(std::fs::metadata(&file).unwrap().len(), 1_000);
    }
}
