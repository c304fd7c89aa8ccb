//! The four statuses a charm may set, their order, and the worst of several.
//!
//! A status is also the reason to stop: pure code returns `Err(Status)`, and code that does I/O adds a status as
//! context to an error that it expects. [`crate::run()`] finds it in the chain.

use std::fmt;

/// How long a message may be, in characters. `juju status` shows one line, and databases have limits.
const LONGEST_MESSAGE: usize = 500;

/// What `juju status` shows for the unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It works; the message is a remark, or empty.
    Active(String),
    /// Something outside has to come first, and will come by itself.
    Waiting(String),
    /// A long step is under way. Progress only, never the last word of a hook.
    Maintenance(String),
    /// The operator has to do something; the message says what.
    Blocked(String),
}

impl Status {
    /// Works, nothing to remark.
    pub fn active() -> Self {
        Self::Active(String::new())
    }

    /// The same status, saying something else.
    #[must_use]
    pub fn with_message(&self, message: String) -> Self {
        match self {
            Self::Active(_) => Self::Active(message),
            Self::Waiting(_) => Self::Waiting(message),
            Self::Maintenance(_) => Self::Maintenance(message),
            Self::Blocked(_) => Self::Blocked(message),
        }
    }

    /// The worst of several: blocked, maintenance, waiting, active. The first of equals.
    pub fn worst(all: impl IntoIterator<Item = Self>) -> Option<Self> {
        // `max_by_key` takes the last of equals, hence the reversed comparison.
        all.into_iter().min_by_key(|status| std::cmp::Reverse(status.rank()))
    }

    /// The word Juju knows it by.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Active(_) => "active",
            Self::Waiting(_) => "waiting",
            Self::Maintenance(_) => "maintenance",
            Self::Blocked(_) => "blocked",
        }
    }

    /// The message, fit for one line ([`one_line`]) and for everybody's eyes ([`without_credentials`]).
    pub fn message(&self) -> String {
        let (Self::Active(text) | Self::Waiting(text) | Self::Maintenance(text) | Self::Blocked(text)) = self;
        one_line(&without_credentials(text), LONGEST_MESSAGE)
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Active(_) => 0,
            Self::Waiting(_) => 1,
            Self::Maintenance(_) => 2,
            Self::Blocked(_) => 3,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.name(), self.message())
    }
}

impl std::error::Error for Status {}

/// Text from elsewhere — a program's words, a peer's data — as one line: control characters and runs of blanks become
/// one blank, and what is longer than `longest` characters is cut.
pub fn one_line(text: &str, longest: usize) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        // Enough to know that it has to be cut; the rest of a megabyte need not be copied.
        if line.len() > 4 * longest {
            break;
        }
    }
    match line.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Text without user and password of the URLs in it. Programs and databags quote URLs whole, and neither a status nor a
/// log is a place for a password.
pub fn without_credentials(text: &str) -> String {
    let mut parts = text.split("://");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(['/', '?', '#', '"', ' ']).unwrap_or(part.len());
        let host = part[..end].rfind('@').map_or(0, |at| at + 1);
        shown.extend(["://", &part[host..]]);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocked_is_worse_than_waiting_and_the_first_of_equals_wins() {
        let all =
            [Status::active(), Status::Blocked("a".into()), Status::Waiting("w".into()), Status::Blocked("b".into())];
        assert_eq!(Status::worst(all), Some(Status::Blocked("a".into())));
        assert_eq!(Status::worst([]), None);
    }

    #[test]
    fn a_message_is_one_line_without_control_characters() {
        let status = Status::Blocked("bad\n\x1b[31m rule\t\tat 7".into());
        assert_eq!(status.message(), "bad [31m rule at 7");
    }

    #[test]
    fn a_password_that_an_error_quotes_is_not_repeated() {
        let words = r#"parse "http://user:p%zz@h/a@b": invalid URL escape "%zz", see https://e.example/"#;
        let shown = r#"parse "http://h/a@b": invalid URL escape "%zz", see https://e.example/"#;
        assert_eq!(Status::Blocked(words.to_owned()).message(), shown);
        assert_eq!(without_credentials("://x@"), "://");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(one_line("äöü", 2), "äö…");
        assert_eq!(one_line(&"x".repeat(1_000_000), 3), "xxx…");
    }
}
