//! What Go's yaml.v3 makes of a scalar, and what Falcosidekick's configuration reader makes of that.
//!
//! This is where types leak: an unquoted `007` is the number 7 before anybody asks for text.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::stand_in::yaml::{Node, Value};

/// A value with the type that YAML gave it.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// Nothing.
    Null,
    /// A switch.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A moment, in Go's words.
    Time(String),
    /// Text.
    Text(String),
}

impl Scalar {
    /// The type of a scalar node.
    pub fn of(node: &Node) -> Option<Self> {
        match &node.value {
            Value::Scalar { text, plain: true } => Some(Self::plain(text)),
            Value::Scalar { text, plain: false } => Some(Self::Text(text.clone())),
            Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    /// The type of text without quotes.
    fn plain(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Self::Null,
            "true" | "True" | "TRUE" => return Self::Bool(true),
            "false" | "False" | "FALSE" => return Self::Bool(false),
            _ => {}
        }
        integer(text)
            .map(Self::Int)
            .or_else(|| float(text).map(Self::Float))
            .or_else(|| moment(text).map(Self::Time))
            .unwrap_or_else(|| Self::Text(text.to_owned()))
    }

    /// As text. The error is the end of mapstructure's message.
    pub fn text(&self) -> Result<String, String> {
        match self {
            Self::Null => Ok(String::new()),
            Self::Bool(value) => Ok(if *value { "1" } else { "0" }.to_owned()),
            Self::Int(number) => Ok(number.to_string()),
            // The shortest form that reads back as the same number.
            Self::Float(number) => Ok(number.to_string()),
            Self::Text(text) => Ok(text.clone()),
            Self::Time(time) => {
                Err(format!("expected type 'string', got unconvertible type 'time.Time', value: '{time}'"))
            }
        }
    }

    /// As a whole number; `parse` is the name of the Go function that would fail.
    pub fn number(&self, parse: &str) -> Result<i64, String> {
        match self {
            Self::Null => Ok(0),
            Self::Bool(value) => Ok(i64::from(*value)),
            Self::Int(number) => Ok(*number),
            Self::Float(number) => {
                #[expect(clippy::cast_possible_truncation, reason = "Go cuts the fraction off, too")]
                let whole = *number as i64;
                Ok(whole)
            }
            Self::Text(text) => {
                integer(text).ok_or_else(|| format!("strconv.{parse}: parsing {text:?}: invalid syntax"))
            }
            Self::Time(time) => Err(format!("unconvertible type 'time.Time', value: '{time}'")),
        }
    }

    /// As a switch.
    pub fn switch(&self) -> Result<bool, String> {
        match self {
            Self::Null => Ok(false),
            Self::Bool(value) => Ok(*value),
            Self::Int(number) => Ok(*number != 0),
            Self::Float(number) => Ok(*number != 0.0),
            Self::Text(text) => match text.as_str() {
                "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
                "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
                _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
            },
            Self::Time(time) => Err(format!("unconvertible type 'time.Time', value: '{time}'")),
        }
    }

    /// The name of its type in Go.
    pub fn go_type(&self) -> &'static str {
        match self {
            Self::Null => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Time(_) => "time.Time",
            Self::Text(_) => "string",
        }
    }
}

/// Go's base 0: a leading 0 is octal, 0x and 0b are what they are, underscores are dropped.
fn integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = digits.replace('_', "").to_ascii_lowercase();
    let (base, digits) = match digits.as_str() {
        "0" => (10, "0"),
        other => [("0x", 16), ("0b", 2), ("0o", 8), ("0", 8)]
            .into_iter()
            .find_map(|(start, base)| Some((base, other.strip_prefix(start)?)))
            .unwrap_or((10, other)),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(digits, base).ok().map(|number| sign * number)
}

fn float(text: &str) -> Option<f64> {
    let is_number = text.contains(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '+' | '-' | 'e' | 'E'));
    if is_number { text.parse().ok() } else { None }
}

/// A date or a time stamp, the way Go prints it.
fn moment(text: &str) -> Option<String> {
    if text.len() == 10 && text.as_bytes()[4] == b'-' {
        return text.parse::<Date>().ok().map(|date| format!("{date} 00:00:00 +0000 UTC"));
    }
    let stamp: Timestamp = text.parse().ok().filter(|_| text.len() > 10)?;
    Some(stamp.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(plain: &str) -> String {
        Scalar::plain(plain).text().unwrap_or_else(|error| error)
    }

    #[test]
    fn types_leak_into_text() {
        let pairs = [("007", "7"), ("010", "8"), ("1e3", "1000"), ("true", "1"), ("1.0", "1"), ("yes", "yes")];
        for (written, read) in pairs {
            assert_eq!(text(written), read, "{written}");
        }
        assert!(text("2026-01-02").contains("value: '2026-01-02 00:00:00 +0000 UTC'"));
    }

    #[test]
    fn addresses_and_versions_stay_text() {
        for written in ["127.0.0.1", "2.34.1", "http://a", "::1", "-", "e"] {
            assert_eq!(text(written), written);
        }
    }
}
