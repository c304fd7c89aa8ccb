//! What can go wrong between a charm and Pebble, told apart by what a charm does about it.

use std::fmt;
use std::time::Duration;

/// Why Pebble did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Nobody answers: no socket, nobody listening, no right to it, or Pebble ended before its answer was complete.
    /// Normal at any time, since a container may start, stop or be killed whenever it likes: not a fault, but "not
    /// yet".
    Unreachable {
        /// The container.
        container: String,
        /// In the words of the operating system.
        cause: String,
    },
    /// Pebble refused the request.
    Refused {
        /// What was being done.
        doing: String,
        /// The HTTP status.
        status: u16,
        /// Pebble's word for this kind of refusal; most have none.
        kind: Option<String>,
        /// Pebble's explanation.
        message: String,
    },
    /// Pebble could not read, write or remove this file or folder.
    File {
        /// Its path in the workload.
        path: String,
        /// Pebble's word for this kind of failure, for instance `permission-denied`.
        kind: Option<String>,
        /// Pebble's explanation.
        message: String,
    },
    /// Pebble tried and failed, for instance to start a service.
    Change {
        /// What it was to do.
        summary: String,
        /// Why it failed.
        message: String,
        /// Its protocol, the last output of a service that ended at once included.
        log: Vec<String>,
    },
    /// No answer, or no end of a change, within the time we give it. What was asked for may still happen.
    Timeout {
        /// What was being done.
        doing: String,
        /// How long we waited.
        after: Duration,
    },
    /// An answer that Pebble does not give, or too large a one.
    Answer {
        /// What was being done.
        doing: String,
        /// What is wrong with the answer.
        problem: String,
    },
    /// The request could not even be made from what the charm passed in.
    Request {
        /// What was being done.
        doing: String,
        /// What is wrong.
        problem: String,
    },
}

/// As everywhere, with [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether the container is simply not there (any more), so that waiting for its next `pebble-ready` is the answer.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Whether it may go better by itself: the container is not there, or so busy that it did not answer in time.
    pub fn is_not_ready(&self) -> bool {
        self.is_unreachable() || matches!(self, Self::Timeout { .. })
    }

    /// Whether a file or folder does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { kind: Some(kind), .. } | Self::File { kind: Some(kind), .. } if kind == "not-found")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { container, cause } => {
                write!(formatter, "pebble of container {container} does not answer: {cause}")
            }
            Self::Refused { doing, status, kind: _, message } => {
                write!(formatter, "failed to {doing}: pebble refused with {status}: {message}")
            }
            Self::File { path, kind: _, message } => write!(formatter, "{path}: {message}"),
            Self::Change { summary, message, log } => {
                write!(formatter, "{summary}: {message}")?;
                log.iter().try_for_each(|line| write!(formatter, "\n{line}"))
            }
            Self::Timeout { doing, after } => {
                write!(formatter, "failed to {doing}: no answer after {} s", after.as_secs_f32())
            }
            Self::Answer { doing, problem } => {
                write!(formatter, "failed to {doing}: pebble gave an unusable answer: {problem}")
            }
            Self::Request { doing, problem } => write!(formatter, "failed to {doing}: {problem}"),
        }
    }
}

impl std::error::Error for Error {}
