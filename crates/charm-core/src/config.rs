//! Raw options with types, and the collector of problems, so that an operator hears of all of them at once.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::status::{Status, one_line};

/// How much of a bad value a message quotes, in characters.
const LONGEST_QUOTE: usize = 60;

/// The options as Juju gives them: those that are set or have a default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawConfig(BTreeMap<String, Value>);

/// The type of an option in `charmcraft.yaml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `string`
    Text,
    /// `int`
    Integer,
    /// `boolean`
    Switch,
    /// `secret`: the value is the id of one
    Secret,
}

/// An option that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    option: &'static str,
    text: String,
}

impl Problem {
    /// `text` follows the name of the option, says what is wrong with the value, and what would be right.
    pub fn new(option: &'static str, text: impl Into<String>) -> Self {
        Self { option, text: text.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.option, self.text)
    }
}

impl RawConfig {
    /// The value of an option, or `None` when it is not set. The error of `T` follows the quoted value: `"loud" is not
    /// …`.
    pub fn get<T: FromStr<Err: fmt::Display>>(&self, option: &'static str) -> Result<Option<T>, Problem> {
        let text = match self.0.get(option) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        let failed = |error: T::Err| Problem::new(option, format!("{:?} {error}", one_line(&text, LONGEST_QUOTE)));
        text.parse().map(Some).map_err(failed)
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for RawConfig {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(options: I) -> Self {
        Self(options.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// All that is wrong with the options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Keeps the problem, if it is one, and hands on the value otherwise.
    pub fn catch<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.0.push(problem)).ok()
    }

    /// Keeps a problem that is not about one value alone.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Adds those that were kept elsewhere.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        Problems(vec![problem]).into()
    }
}

impl From<Problems> for Status {
    /// Blocked, with all of them in one text.
    fn from(Problems(problems): Problems) -> Self {
        Self::Blocked(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_switches_are_read_from_their_json() {
        let raw: RawConfig = serde_json::from_str(r#"{"port": 2801, "on": true, "unset": null}"#).unwrap();
        assert_eq!(raw.get::<u16>("port"), Ok(Some(2801)));
        assert_eq!(raw.get::<bool>("on"), Ok(Some(true)));
        assert_eq!(raw.get::<String>("unset"), Ok(None));
        assert_eq!(raw.get::<String>("absent"), Ok(None));
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let raw: RawConfig = [("port", "x"), ("on", "maybe")].into_iter().collect();
        let mut problems = Problems::default();
        assert_eq!(problems.catch(raw.get::<u16>("port")), None);
        assert_eq!(problems.catch(raw.get::<bool>("on")), None);
        let Status::Blocked(text) = problems.into() else { panic!() };
        assert_eq!(
            text,
            "port: \"x\" invalid digit found in string; on: \"maybe\" provided string was not `true` or `false`"
        );
    }
}
