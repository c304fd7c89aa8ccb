//! YAML that all readers understand alike: JSON, in which every text stands in quotes.
//!
//! Readers of YAML disagree on what plain words mean (`010`, `yes`, `1e3`), and Go's, which Juju, Pebble and
//! Falcosidekick use, refuses some characters inside quotes, changes others without a word, and knows no surrogate
//! pairs. So what it would refuse or change — U+007F to U+009F, U+FFFE, U+FFFF, and the two separators U+2028 and U+2029,
//! which end a line to it and so end a key too early; JSON itself sees to what is below U+0020 — is escaped, and
//! everything else is left as it is.

use anyhow::{Context, Result};
use serde::Serialize;

/// On one line, for programs.
pub fn quoted_line(value: &impl Serialize) -> Result<String> {
    Ok(escape(&serde_json::to_string(value).context("failed to write JSON")?))
}

/// On many lines, for files that people may look at. Ends with a line feed.
pub fn quoted(value: &impl Serialize) -> Result<String> {
    Ok(escape(&serde_json::to_string_pretty(value).context("failed to write JSON")?) + "\n")
}

fn escape(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}' => {
                escaped.extend(format!("\\u{:04x}", u32::from(c)).chars());
            }
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_a_reader_of_yaml_would_refuse_or_change_is_escaped() {
        let map = BTreeMap::from([("k", "a\u{85}\u{7f}\u{fffe}\n\u{1d11e}ü")]);
        assert_eq!(quoted_line(&map).unwrap(), "{\"k\":\"a\\u0085\\u007f\\ufffe\\n\u{1d11e}ü\"}");
    }

    #[test]
    fn it_reads_back_as_it_was() {
        let text: String = (0..0x300).filter_map(char::from_u32).collect();
        let written = quoted(&[&text]).unwrap();
        assert_eq!(serde_yaml::from_str::<Vec<String>>(&written).unwrap(), [text]);
    }
}
