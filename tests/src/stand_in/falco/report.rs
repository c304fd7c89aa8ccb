//! What loading a rules file found, in the two forms in which Falco shows it: text with a piece of the file, and JSON.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::stand_in::yaml::Mark;

/// Errors and warnings by code, with the short words of the text and the long ones of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The file is no YAML.
    YamlParse,
    /// The YAML does not hold rules.
    YamlValidate,
    /// A condition cannot be used.
    CompileCondition,
    /// An output cannot be used.
    CompileOutput,
    /// Items do not fit together.
    Validate,
    /// Nothing provides the source of a rule.
    UnknownSource,
    /// A rule looks at all events.
    NoEventType,
    /// A key means nothing.
    UnknownKey,
    /// A macro is never used.
    UnusedMacro,
    /// A list is never used.
    UnusedList,
}

impl Code {
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::YamlParse => same("LOAD_ERR_YAML_PARSE", "YAML parse error"),
            Self::YamlValidate => same("LOAD_ERR_YAML_VALIDATE", "Error validating internal structure of YAML file"),
            Self::CompileCondition => same("LOAD_ERR_COMPILE_CONDITION", "Error compiling condition"),
            Self::CompileOutput => same("LOAD_ERR_COMPILE_OUTPUT", "Error compiling output"),
            Self::Validate => same("LOAD_ERR_VALIDATE", "Error validating rule/macro/list/exception objects"),
            Self::UnknownSource => (
                "LOAD_UNKNOWN_SOURCE",
                "Unknown event source",
                "A rule has a unknown event source. This can occur when reading rules content without having a \
                 corresponding plugin loaded, etc. The rule will be silently ignored.",
            ),
            Self::NoEventType => (
                "LOAD_NO_EVTTYPE",
                "Condition has no event-type restriction",
                "A rule condition matches too many evt.type values. This has a significant performance penalty. Make \
                 the condition more specific by adding an evt.type field or further restricting the number of \
                 evt.type values in the condition.",
            ),
            Self::UnknownKey => (
                "LOAD_UNKNOWN_KEY",
                "Unknown key in item definition",
                "An item in the rules content contains an unrecognized key. The key will be ignored. This may \
                 indicate a typo or a property placed on the wrong item type.",
            ),
            Self::UnusedMacro => (
                "LOAD_UNUSED_MACRO",
                "Unused macro",
                "A macro is defined in the rules content but is not used by any other macro or rule.",
            ),
            Self::UnusedList => (
                "LOAD_UNUSED_LIST",
                "Unused list",
                "A list is defined in the rules content but is not used by any other list, macro, or rule.",
            ),
        }
    }
}

fn same(code: &'static str, words: &'static str) -> (&'static str, &'static str, &'static str) {
    (code, words, words)
}

/// A place in a rules file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// `rule`, `macro`, `rule condition` and so on.
    pub kind: &'static str,
    /// Name of the item, or nothing.
    pub item: String,
    /// Name of the file, or the beginning of a condition.
    pub file: String,
    /// Where.
    pub mark: Mark,
}

/// An error or a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind.
    pub code: Code,
    /// The words.
    pub message: String,
    /// From the file inwards.
    pub locations: Vec<Location>,
    /// A line of the text, and a caret.
    pub snippet: String,
}

/// What loading one file found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The file.
    pub name: String,
    /// `None`: nothing to check. Otherwise what does not fit.
    pub schema: Option<Vec<String>>,
    /// The error, if any.
    pub error: Option<Problem>,
    /// Warnings.
    pub warnings: Vec<Problem>,
}

impl Report {
    /// Whether the file can be used.
    pub fn is_good(&self) -> bool {
        self.error.is_none()
    }

    /// Whether there is something to say about a good file.
    pub fn has_warnings(&self) -> bool {
        !self.warnings.is_empty()
    }

    /// The word behind `schema validation:`.
    pub fn schema_word(&self) -> String {
        match &self.schema {
            None => "none".to_owned(),
            Some(failures) => failures.first().cloned().unwrap_or_else(|| "ok".to_owned()),
        }
    }

    /// One line.
    pub fn summary(&self) -> String {
        let words = match (self.is_good(), self.has_warnings()) {
            (false, _) => "Invalid",
            (true, true) => "Ok, with warnings",
            (true, false) => "Ok",
        };
        format!("{}: {words}", self.name)
    }

    /// Everything, without the last line end.
    pub fn text(&self) -> String {
        // Writing to a text cannot fail, here and below.
        let mut text = self.summary();
        if self.is_good() && !self.has_warnings() {
            return text;
        }
        text.push('\n');
        let schema = self.schema.as_deref().unwrap_or_default();
        if !schema.is_empty() {
            let _ = write!(text, "{} Schema warnings:\n------\n", schema.len());
            for failure in schema {
                let _ = write!(text, "{failure}\n------\n");
            }
            text.push('\n');
        }
        if let Some(error) = &self.error {
            text.push_str("1 Errors:\n");
            text.push_str(&error.text());
        }
        if self.has_warnings() {
            let _ = writeln!(text, "{} Warnings:", self.warnings.len());
            self.warnings.iter().for_each(|warning| text.push_str(&warning.text()));
        }
        text
    }

    /// Everything as JSON.
    pub fn json(&self) -> Json {
        let errors: Vec<Json> = self.error.iter().map(Problem::json).collect();
        let warnings: Vec<Json> = self.warnings.iter().map(Problem::json).collect();
        let mut all = json!({
            "errors": errors,
            "name": self.name,
            "successful": self.is_good(),
            "warnings": warnings,
        });
        if let Some(failures) = &self.schema {
            all["schema_valid"] = failures.is_empty().into();
            all["schema_warnings"] = failures.clone().into();
        }
        all
    }
}

impl Problem {
    fn text(&self) -> String {
        let mut text = String::new();
        for (depth, location) in self.locations.iter().enumerate() {
            let Location { kind, item, file, mark } = location;
            let place = format!("({file}:{}:{})", mark.line, mark.column);
            let name = if item.is_empty() { String::new() } else { format!(" '{item}'") };
            let start = if depth == 0 { "In " } else { "    " };
            let _ = writeln!(text, "{start}{kind}{name}: {place}");
        }
        let (code, words, _) = self.code.words();
        let _ = write!(text, "------\n{}------\n{code} ({words}): {}\n", self.snippet, self.message);
        text
    }

    fn json(&self) -> Json {
        let (code, _, words) = self.code.words();
        let locations: Vec<Json> = self
            .locations
            .iter()
            .map(|Location { kind, item, file, mark }| {
                json!({
                    "item_name": item,
                    "item_type": kind,
                    "position": {"column": mark.column, "line": mark.line, "name": file, "offset": mark.offset},
                })
            })
            .collect();
        json!({
            "code": code,
            "codedesc": words,
            "context": {"locations": locations, "snippet": self.snippet},
            "message": self.message,
        })
    }
}

/// How much of a line is shown on either side of the place.
const HALF: usize = 80;

/// The line of `text` that holds `offset`, shortened, and a caret below the place.
pub fn snippet(text: &str, offset: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    let Some(last) = characters.len().checked_sub(1) else { return String::new() };
    // Places inside a condition are counted from the start of the file and then land behind the end.
    let at = offset.min(last);
    let line_start = characters[..at].iter().rposition(|c| *c == '\n').map_or(0, |found| found + 1);
    let line_end = characters[at..].iter().position(|c| *c == '\n').map_or(characters.len(), |found| at + found);
    let start = line_start.max(at.saturating_sub(HALF));
    let end = line_end.min(at + HALF + 1);
    let mut shown: Vec<char> = characters[start..end].to_vec();
    if start > line_start {
        shown.iter_mut().take(3).for_each(|c| *c = '.');
    }
    if end < line_end {
        shown.iter_mut().rev().take(3).for_each(|c| *c = '.');
    }
    let shown: String = shown.into_iter().collect();
    format!("{shown}\n{}^\n", " ".repeat(at - start))
}
