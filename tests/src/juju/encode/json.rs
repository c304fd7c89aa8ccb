//! JSON as Go's encoder writes it.

use std::fmt::Write as _;

use super::Value;

/// One line of JSON, without a newline at the end.
pub fn to_json(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Integer(value) => out.push_str(&value.to_string()),
        Value::Float(value) => out.push_str(&number(*value)),
        Value::Text(text) => write_text(out, &String::from_utf8_lossy(text), text),
        Value::Stamp(text) => write_text(out, text, text.as_bytes()),
        Value::List(list) => {
            out.push('[');
            for (index, item) in list.iter().enumerate() {
                separate(out, index);
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Map(map) => {
            let mut sorted: Vec<_> = map.iter().collect();
            sorted.sort_by(|a, b| a.0.cmp(&b.0));
            out.push('{');
            for (index, (key, item)) in sorted.into_iter().enumerate() {
                separate(out, index);
                write_text(out, key, key.as_bytes());
                out.push(':');
                write_value(out, item);
            }
            out.push('}');
        }
        Value::Fields(fields) => {
            out.push('{');
            for (index, (key, item)) in fields.iter().enumerate() {
                separate(out, index);
                write_text(out, key, key.as_bytes());
                out.push(':');
                write_value(out, item);
            }
            out.push('}');
        }
    }
}

fn separate(out: &mut String, index: usize) {
    if index > 0 {
        out.push(',');
    }
}

/// Go writes plain digits between 1e-6 and 1e21, and an exponent outside.
fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        return match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
            _ => text,
        };
    }
    value.to_string()
}

fn write_text(out: &mut String, text: &str, bytes: &[u8]) {
    out.push('"');
    // What was not UTF-8 is written as an escape, a replacement character of the source as itself.
    let broken = text.as_bytes() != bytes;
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{fffd}' if broken => out.push_str("\\ufffd"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..'\u{20}' => {
                write!(out, "\\u{:04x}", u32::from(letter)).expect("a String takes everything");
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_in_go() {
        for (value, text) in [(2801.0, "2801"), (0.5, "0.5"), (1e21, "1e+21"), (1e-7, "1e-7"), (-3.0, "-3"), (0.0, "0")]
        {
            assert_eq!(to_json(&Value::Float(value)), text);
        }
    }

    #[test]
    fn html_is_escaped_and_other_letters_are_not() {
        assert_eq!(to_json(&Value::text("<ü>&\u{2028}")), r#""\u003cü\u003e\u0026\u2028""#);
    }
}
