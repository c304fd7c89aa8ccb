//! How severe an event is, in the words of Falco and the numbers of Falcosidekick.

use std::str::FromStr;

/// From the least severe to the most.
const WORDS: [&str; 8] = ["debug", "informational", "notice", "warning", "error", "critical", "alert", "emergency"];

/// A priority of Falco.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(usize);

impl Priority {
    /// The least severe: everything.
    pub const DEBUG: Self = Self(0);

    /// The word.
    pub fn word(self) -> &'static str {
        WORDS[self.0]
    }

    /// The number by which Falcosidekick knows it, from 1 on.
    pub fn number(self) -> usize {
        self.0 + 1
    }
}

impl FromStr for Priority {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Falcosidekick takes `info` for some things and for others not.
        WORDS
            .iter()
            .position(|word| *word == text)
            .map(Self)
            .ok_or("is not one of emergency, alert, critical, error, warning, notice, informational, debug")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_are_those_of_falcosidekick() {
        assert_eq!("warning".parse::<Priority>().unwrap().number(), 4);
        assert_eq!("emergency".parse::<Priority>().unwrap().number(), 8);
        assert_eq!(Priority::DEBUG.word(), "debug");
        for text in ["", "info", "Error", "xerrory", "loud"] {
            assert!(text.parse::<Priority>().is_err(), "{text}");
        }
    }
}
