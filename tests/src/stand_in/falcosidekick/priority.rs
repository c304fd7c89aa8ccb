//! The priorities of Falcosidekick, least severe first.

/// How severe an event is: its number from 1 (debug) to 8 (emergency).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(usize);

const TITLES: [&str; 8] = ["Debug", "Informational", "Notice", "Warning", "Error", "Critical", "Alert", "Emergency"];

impl Priority {
    /// Reads a word in any case; `info` is a short form.
    pub fn parse(word: &str) -> Option<Self> {
        let word = if word.eq_ignore_ascii_case("info") { "informational" } else { word };
        TITLES.iter().position(|title| title.eq_ignore_ascii_case(word)).map(|place| Self(place + 1))
    }

    /// The word with a capital.
    pub fn title(self) -> &'static str {
        TITLES[self.0 - 1]
    }

    /// The number.
    pub fn number(self) -> usize {
        self.0
    }
}
