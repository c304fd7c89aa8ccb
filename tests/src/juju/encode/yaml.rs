//! YAML as Go's yaml.v2 writes it: the choice of quotes is the point of this module.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Value;

/// A document. Nothing at all for null, as Juju's formatter has it.
pub fn to_yaml(value: &Value) -> Vec<u8> {
    let mut out = String::new();
    match value {
        Value::Null => return Vec::new(),
        Value::List(_) | Value::Map(_) | Value::Fields(_) if !is_empty(value) => block(&mut out, value, 0),
        other => {
            scalar(&mut out, other, 0, false);
            out.push('\n');
        }
    }
    while out.ends_with("\n\n") {
        out.pop();
    }
    out.into_bytes()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::List(list) => list.is_empty(),
        Value::Map(map) => map.is_empty(),
        Value::Fields(fields) => fields.is_empty(),
        _ => false,
    }
}

/// Writes a list or map that has items, one line each at least.
fn block(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::List(list) => {
            for item in list {
                pad(out, indent);
                out.push('-');
                if matches!(item, Value::Map(_) | Value::Fields(_)) && !is_empty(item) {
                    // The first key stands on the line of the dash.
                    let mut inner = String::new();
                    block(&mut inner, item, indent + 2);
                    out.push(' ');
                    out.push_str(&inner[indent + 2..]);
                } else {
                    after_colon(out, item, indent);
                }
            }
        }
        Value::Map(map) => {
            let mut sorted: Vec<_> = map.iter().collect();
            sorted.sort_by(|a, b| natural(&a.0, &b.0));
            for (key, item) in sorted {
                entry(out, key, item, indent);
            }
        }
        Value::Fields(fields) => {
            for (key, item) in fields {
                entry(out, key, item, indent);
            }
        }
        _ => {}
    }
}

fn entry(out: &mut String, key: &str, item: &Value, indent: usize) {
    pad(out, indent);
    scalar(out, &Value::text(key), indent, true);
    out.push(':');
    after_colon(out, item, indent);
}

fn after_colon(out: &mut String, item: &Value, indent: usize) {
    match item {
        // A list inside a map is not indented, everything else is.
        Value::List(_) if !is_empty(item) => {
            out.push('\n');
            block(out, item, indent);
        }
        Value::Map(_) | Value::Fields(_) if !is_empty(item) => {
            out.push('\n');
            block(out, item, indent + 2);
        }
        other => {
            out.push(' ');
            scalar(out, other, indent, false);
            out.push('\n');
        }
    }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn scalar(out: &mut String, value: &Value, indent: usize, key: bool) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Integer(value) => out.push_str(&value.to_string()),
        Value::Float(value) => out.push_str(&float(*value)),
        Value::Text(text) => {
            if let Ok(text) = std::str::from_utf8(text) {
                string(out, text, indent, key);
            } else {
                out.push_str("!!binary ");
                out.push_str(&STANDARD.encode(text));
            }
        }
        Value::Stamp(text) => out.push_str(text),
        Value::List(_) => out.push_str("[]"),
        Value::Map(_) | Value::Fields(_) => out.push_str("{}"),
    }
}

/// Go's `%g`: an exponent from 1e+06 on, written with two digits at least.
fn float(value: f64) -> String {
    let text = format!("{value:e}");
    let exponent: Option<(&str, i32)> =
        text.split_once('e').and_then(|(digits, exponent)| Some((digits, exponent.parse().ok()?)));
    match exponent {
        Some((digits, exponent)) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => value.to_string(),
    }
}

fn string(out: &mut String, text: &str, indent: usize, key: bool) {
    let allowed = Allowed::by(text);
    let several_lines = text.contains('\n');
    if several_lines && !key && allowed.block {
        literal(out, text, indent + 2);
    } else if several_lines || means_something_else(text) {
        double(out, text);
    } else if allowed.plain {
        out.push_str(text);
    } else if allowed.single {
        single(out, text, indent);
    } else {
        double(out, text);
    }
}

/// The ways to write a text that its letters allow. Double quotes take any.
struct Allowed {
    plain: bool,
    single: bool,
    block: bool,
}

impl Allowed {
    /// The rules are those of libyaml, letter by letter.
    fn by(text: &str) -> Self {
        let letters: Vec<char> = text.chars().collect();
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut special, mut breaks, mut space_before_break) = (false, false, false);
        let mut previous = '\n';
        for (index, &letter) in letters.iter().enumerate() {
            let first = index == 0;
            let followed_by_white = letters.get(index + 1).is_none_or(|&next| is_white(next));
            indicators |= match letter {
                '#' => is_white(previous),
                ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => first,
                '?' | '-' => first && followed_by_white,
                ':' => followed_by_white,
                _ => false,
            };
            special |= !is_printable(letter);
            breaks |= is_break(letter);
            space_before_break |= previous == ' ' && is_break(letter);
            previous = letter;
        }
        let space_at_edge = text.starts_with(' ') || text.ends_with(' ');
        let single = !special && !space_before_break;
        Self {
            plain: single && !(text.is_empty() || space_at_edge || breaks || indicators),
            single,
            block: single && !text.ends_with(' '),
        }
    }
}

fn is_white(letter: char) -> bool {
    matches!(letter, ' ' | '\t') || is_break(letter)
}

fn is_break(letter: char) -> bool {
    matches!(letter, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// yaml.v2 knows the letters of the basic plane only, and neither a tab nor a byte order mark among them.
fn is_printable(letter: char) -> bool {
    matches!(letter, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}') && letter != '\u{feff}'
}

fn literal(out: &mut String, text: &str, indent: usize) {
    out.push('|');
    if text.starts_with(' ') || text.starts_with('\n') {
        out.push('2');
    }
    let body = text.trim_end_matches('\n');
    match text.len() - body.len() {
        0 => out.push('-'),
        1 => {}
        _ => out.push('+'),
    }
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(out, indent);
            out.push_str(line);
        }
    }
}

fn single(out: &mut String, text: &str, indent: usize) {
    out.push('\'');
    let mut after_break = false;
    for letter in text.chars() {
        if after_break && !is_break(letter) {
            pad(out, indent + 2);
        }
        after_break = is_break(letter);
        if letter == '\'' {
            out.push('\'');
        }
        out.push(letter);
    }
    out.push('\'');
}

fn double(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\u{1b}' => out.push_str("\\e"),
            '\u{85}' => out.push_str("\\N"),
            '\u{a0}' => out.push_str("\\_"),
            '\u{2028}' => out.push_str("\\L"),
            '\u{2029}' => out.push_str("\\P"),
            other if is_printable(other) => out.push(other),
            other => {
                let code = u32::from(other);
                let (prefix, digits) = match code {
                    0..=0xff => ("\\x", 2),
                    0x100..=0xffff => ("\\u", 4),
                    _ => ("\\U", 8),
                };
                write!(out, "{prefix}{code:0digits$X}").expect("a String takes everything");
            }
        }
    }
    out.push('"');
}

/// Whether the bare text would be read as something other than text, by the rules of YAML 1.1.
fn means_something_else(text: &str) -> bool {
    const WORDS: [&str; 30] = [
        "", "~", "null", "Null", "NULL", "y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No", "NO", "true", "True",
        "TRUE", "false", "False", "FALSE", "on", "On", "ON", "off", "Off", "OFF", "<<", ".nan", ".inf",
    ];
    const MORE_WORDS: [&str; 10] =
        [".NaN", ".NAN", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF"];
    WORDS.contains(&text) || MORE_WORDS.contains(&text) || is_number(text) || is_time(text) || is_base_60(text)
}

fn is_number(text: &str) -> bool {
    let bare = text.replace('_', "");
    let unsigned = bare.strip_prefix(['+', '-']).unwrap_or(&bare);
    if !unsigned.starts_with(|letter: char| letter.is_ascii_digit() || letter == '.') {
        return false;
    }
    for (prefix, radix) in [("0x", 16), ("0X", 16), ("0b", 2), ("0o", 8), ("0O", 8)] {
        if let Some(digits) = unsigned.strip_prefix(prefix) {
            return !digits.is_empty()
                && digits.chars().all(|letter| letter.is_digit(radix))
                && prefix != "0o"
                && prefix != "0O";
        }
    }
    unsigned.chars().all(|letter| letter.is_ascii_digit() || matches!(letter, '.' | 'e' | 'E' | '+' | '-'))
        && unsigned.parse::<f64>().is_ok()
}

/// A date, alone or with a time.
fn is_time(text: &str) -> bool {
    let (date, rest) = text.split_at_checked(10).unwrap_or((text, ""));
    let parts: Vec<&str> = date.split('-').collect();
    let is_date = matches!(parts.as_slice(), [year, month, day]
        if year.len() == 4 && month.len() == 2 && day.len() == 2
            && [year, month, day].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit())));
    is_date && (rest.is_empty() || rest.starts_with(['T', 't', ' ']) && rest.contains(':'))
}

/// Base 60 as in 190:20:30, which other readers take for a number.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let mut parts = whole.split(':');
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    parts.next().is_some_and(digits)
        && whole.contains(':')
        && parts.all(|part| digits(part) && part.len() <= 2)
        && fraction.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
}

/// Numbers inside of words count as numbers: `a2` before `a10`.
fn natural(left: &str, right: &str) -> std::cmp::Ordering {
    let (mut a, mut b) = (left.chars().peekable(), right.chars().peekable());
    loop {
        match (a.peek().copied(), b.peek().copied()) {
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let order = digits(&mut a).cmp(&digits(&mut b));
                if order.is_ne() {
                    return order;
                }
            }
            (Some(x), Some(y)) if x == y => {
                a.next();
                b.next();
            }
            (Some(x), Some(y)) => {
                return match (x.is_alphabetic(), y.is_alphabetic()) {
                    (true, false) => std::cmp::Ordering::Greater,
                    (false, true) => std::cmp::Ordering::Less,
                    _ => x.cmp(&y),
                };
            }
            (x, y) => return x.is_some().cmp(&y.is_some()),
        }
    }
}

fn digits(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> u64 {
    let mut number = 0_u64;
    while let Some(digit) = letters.peek().and_then(|letter| letter.to_digit(10)) {
        number = number.saturating_mul(10).saturating_add(digit.into());
        letters.next();
    }
    number
}
