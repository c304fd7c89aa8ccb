//! Reading `--file` of `relation-set` and `state-set` as Go's yaml.v2 does: one map of texts.
//!
//! The parsing itself is libyaml's, from which yaml.v2 descends; what yaml.v2 does otherwise stands here. Two things
//! are not played: only the first of several values that are no text is reported, and `!!binary` is not decoded.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Reads a map of texts. The error is yaml.v2's own text.
pub fn read_settings(bytes: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let text = check_letters(bytes)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Once for the syntax alone: the reading of values would stop at the first wrong one, before a later fault of
    // syntax is seen.
    let Some(document) = serde_yaml::Deserializer::from_str(text).next() else {
        return Ok(BTreeMap::new());
    };
    IgnoredAny::deserialize(document).map_err(|error| in_words_of_go(&error))?;
    let Some(document) = serde_yaml::Deserializer::from_str(text).next() else {
        return Ok(BTreeMap::new());
    };
    match Top::deserialize(document) {
        Ok(Top(settings)) => Ok(settings),
        Err(error) => Err(in_words_of_go(&error)),
    }
}

/// The reader of yaml.v2 refuses some letters before any parsing.
fn check_letters(bytes: &[u8]) -> Result<&str, String> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err("yaml: invalid leading UTF-8 octet".into());
    };
    let allowed = |letter: char| matches!(letter, '\t' | '\n' | '\r' | '\u{85}' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    if text.chars().all(allowed) { Ok(text) } else { Err("yaml: control characters are not allowed".into()) }
}

const NOT_TEXT: &str = "not text: ";

/// libyaml's error has the same words, with places that yaml.v2 counts in its own way.
fn in_words_of_go(error: &serde_yaml::Error) -> String {
    let text = error.to_string();
    let line = || error.location().map_or(1, |location| location.line());
    if let Some((_, wrong)) = text.split_once(NOT_TEXT) {
        let wrong = wrong.split(" at line ").next().unwrap_or(wrong);
        return format!("yaml: unmarshal errors:\n  line {}: cannot unmarshal {wrong}", line());
    }
    for (kind, tag) in [("map", "!!map"), ("sequence", "!!seq")] {
        if text.contains(&format!("invalid type: {kind}")) {
            return format!("yaml: unmarshal errors:\n  line {}: cannot unmarshal {tag} into string", line());
        }
    }
    let (problem, place) = text.split_once(" at line ").unwrap_or((&text, ""));
    // A map key prefixes the text with its own place when the error is inside a value.
    let problem = problem.rsplit(": ").next().unwrap_or(problem);
    let scanner = SCANNER_PROBLEMS.iter().any(|start| problem.starts_with(start));
    let line: usize = place.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(1);
    // yaml.v2 counts from 0, adds one for the scanner only, and leaves the first line out.
    match (line - 1, scanner) {
        (0, _) => format!("yaml: {problem}"),
        (number, true) => format!("yaml: line {}: {problem}", number + 1),
        (number, false) => format!("yaml: line {number}: {problem}"),
    }
}

const SCANNER_PROBLEMS: [&str; 7] =
    ["found ", "mapping values", "could not find", "block sequence", "mapping keys", "invalid", "did not find URI"];

struct Top(BTreeMap<String, String>);

impl<'de> serde::Deserialize<'de> for Top {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(TopVisitor).map(Self)
    }
}

struct TopVisitor;

impl<'de> Visitor<'de> for TopVisitor {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map of texts")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(BTreeMap::new())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(BTreeMap::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut settings = BTreeMap::new();
        while let Some(key) = map.next_key_seed(Text)? {
            settings.insert(key, map.next_value_seed(Text)?);
        }
        Ok(settings)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _seq: A) -> Result<Self::Value, A::Error> {
        Err(wrong("!!seq"))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Err(wrong(&format!("!!str `{}`", shortened(text))))
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Self::Value, E> {
        Err(wrong(&format!("!!bool `{value}`")))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
        Err(wrong(&format!("!!int `{value}`")))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
        Err(wrong(&format!("!!int `{value}`")))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        Err(wrong(&format!("!!float `{value}`")))
    }
}

/// yaml.v2 quotes ten bytes at most.
fn shortened(text: &str) -> String {
    if text.len() > 10 {
        let end = (0..=7).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        format!("{}...", &text[..end])
    } else {
        text.to_owned()
    }
}

fn wrong<E: serde::de::Error>(what: &str) -> E {
    E::custom(format_args!("{NOT_TEXT}{what} into map[string]string"))
}

/// A scalar as its own text; null is empty.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        // An option tells a bare null from the quoted word, and hands over anything else unread.
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text")
    }

    fn visit_none<E>(self) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_unit<E>(self) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(Self)
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scalar_is_its_own_text() {
        let settings = read_settings(b"f: 1.50\ny: yes\nx: 0x1F\nn: null\nq: \"null\"\nd: 2026-01-02\n").unwrap();
        let values: Vec<&str> = settings.values().map(String::as_str).collect();
        assert_eq!(values, ["2026-01-02", "1.50", "", "null", "0x1F", "yes"]);
    }
}
