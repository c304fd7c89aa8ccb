//! A value from an operator beside what a key takes. No message quotes a value that could be a secret. Pure.

use std::collections::BTreeMap;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use charm_core::priority::Priority;
use charm_core::secret::Redacted;

use super::address::{host_port, is_base_url, is_host, is_url};
use super::block::{Key, Kind};
use super::template;
use crate::fields;

/// Longer than any token, certificate or template.
const LONGEST: usize = 16 * 1024;

/// What an operator gave: a scalar, a list or a map of scalars, with references to secrets already followed.
#[derive(Clone)]
pub enum Raw {
    Text(String),
    List(Vec<String>),
    Map(Vec<(String, String)>),
}

/// A value of the right kind. Texts may be secrets, so none of them prints itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Text(Redacted<String>),
    Integer(i64),
    Switch(bool),
    List(Vec<Redacted<String>>),
    Map(BTreeMap<String, Redacted<String>>),
}

impl Value {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.expose()),
            _ => None,
        }
    }

    /// All texts in it.
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Self::Text(text) => vec![text.expose()],
            Self::List(texts) => texts.iter().map(|text| text.expose().as_str()).collect(),
            Self::Map(texts) => texts.values().map(|text| text.expose().as_str()).collect(),
            Self::Integer(_) | Self::Switch(_) => Vec::new(),
        }
    }
}

/// Checks a value. The error follows the place of the key.
pub fn value(key: &Key, raw: Raw) -> Result<Value, String> {
    match (key.kind, raw) {
        (Kind::Only(only, _), Raw::Text(text)) if text.parse() == Ok(only) => Ok(Value::Switch(only)),
        (Kind::Only(only, why), _) => Err(format!("can only be {only}: {why}")),
        (Kind::Refused(why), _) => Err(format!("is not taken: {why}")),
        (Kind::List | Kind::BaseUrls, Raw::List(items)) => list(key.kind, items),
        // Falcosidekick takes a text with commas for a list, blanks included.
        (Kind::List | Kind::BaseUrls, Raw::Text(text)) => {
            list(key.kind, text.split(',').map(|item| item.trim().to_owned()).collect())
        }
        (Kind::Headers | Kind::Labels | Kind::Severities, Raw::Map(entries)) => map(key.kind, entries),
        (Kind::List | Kind::BaseUrls, _) => Err("is not a list of texts".into()),
        (Kind::Headers | Kind::Labels | Kind::Severities, _) => Err("is not a map of names and texts".into()),
        (_, Raw::List(_)) => Err("is a list, and takes one value".into()),
        (_, Raw::Map(_)) => Err("is a map, and takes one value".into()),
        (kind, Raw::Text(text)) => scalar(kind, text),
    }
}

fn scalar(kind: Kind, text: String) -> Result<Value, String> {
    let wrong = |is_good: bool, words: &str| if is_good { Ok(()) } else { Err(words.to_owned()) };
    wrong(text.len() <= LONGEST, "is longer than anything that belongs there")?;
    let several_lines = matches!(kind, Kind::Template | Kind::Pem);
    wrong(several_lines || !text.contains(char::is_control), "has a line feed or another control character in it")?;
    match kind {
        Kind::Integer(least, most) => {
            let number = text.parse().ok().filter(|number| (least..=most).contains(number));
            let range = if most == i64::MAX { format!("from {least} on") } else { format!("from {least} to {most}") };
            return number.map(Value::Integer).ok_or_else(|| format!("is not a whole number {range}"));
        }
        Kind::Switch => return text.parse().map(Value::Switch).map_err(|_| "is not true or false".into()),
        Kind::Word(words) => {
            let word = words.iter().find(|word| word.eq_ignore_ascii_case(&text));
            let word = word.ok_or_else(|| format!("is not one of {}", words.join(", ")))?;
            return Ok(Value::Text(Redacted::new((*word).to_owned())));
        }
        Kind::Priority => {
            let priority = Priority::from_str(&text.to_lowercase())?;
            return Ok(Value::Text(Redacted::new(priority.word().to_owned())));
        }
        Kind::Name => wrong(
            is_name(&text),
            "may only have letters, digits, `.`, `_` and `-`, and begins with one of the first three",
        )?,
        Kind::Url => wrong(is_url(&text, &["http", "https"]), "is not a URL that begins with http:// or https://")?,
        Kind::BaseUrl => return base_url(&text).map(|url| Value::Text(Redacted::new(url))),
        Kind::UrlOf(schemes) => {
            let words = schemes.join(":// or ");
            wrong(is_url(&text, schemes), &format!("is not a URL that begins with {words}://"))?;
        }
        Kind::Host => wrong(is_host(&text), "is not a host name or an address")?,
        Kind::HostPort => wrong(host_port(&text).is_some(), "is not host:port")?,
        Kind::HostPorts => {
            wrong(
                text.split(',').all(|one| host_port(one).is_some()),
                "is not host:port, or several with commas between them",
            )?;
        }
        Kind::Duration => wrong(is_duration(&text), "is not a span of time such as 500ms, 1s or 1m30s")?,
        Kind::Pairs => wrong(are_pairs(&text), "is not name=value, or several with commas between them")?,
        Kind::Thresholds => {
            wrong(are_thresholds(&text), "is not number:priority, or several with commas between them")?;
        }
        Kind::Fields => {
            let bad = fields::list(&text).into_iter().find(|name| !fields::is_field(name));
            wrong(
                bad.is_none(),
                "is not a list of output fields with commas between them, each of which makes a label",
            )?;
        }
        Kind::Template => {
            if let Some(problem) = template::problem(&text) {
                return Err(problem.to_owned());
            }
        }
        Kind::Base64Json => wrong(is_base64_json(&text), "is not a JSON object in base64")?,
        Kind::Pem => wrong(text.contains("-----BEGIN "), "is not PEM")?,
        // Any text will do, or the kind was answered for above.
        Kind::Text
        | Kind::UrlPart
        | Kind::List
        | Kind::BaseUrls
        | Kind::Headers
        | Kind::Labels
        | Kind::Severities
        | Kind::Refused(_)
        | Kind::Only(..) => {}
    }
    Ok(Value::Text(Redacted::new(text)))
}

/// Without the slash at the end, which would be doubled.
fn base_url(text: &str) -> Result<String, String> {
    if is_base_url(text) {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("is not a URL that begins with http:// or https:// and ends with its path".into())
    }
}

fn list(kind: Kind, items: Vec<String>) -> Result<Value, String> {
    if items.iter().any(|item| item.is_empty() || item.contains(char::is_control)) {
        return Err("has an empty entry, or one with a control character".into());
    }
    let items =
        if kind == Kind::BaseUrls { items.iter().map(|item| base_url(item)).collect::<Result<_, _>>()? } else { items };
    Ok(Value::List(items.into_iter().map(Redacted::new).collect()))
}

fn map(kind: Kind, entries: Vec<(String, String)>) -> Result<Value, String> {
    let mut map = BTreeMap::new();
    for (name, value) in entries {
        if value.is_empty() || value.contains(char::is_control) {
            return Err(format!("{name:?} has an empty value, or one with a control character"));
        }
        let name = match kind {
            Kind::Headers if is_header(&name) => name,
            // Falcosidekick drops names with a dot, and reads names of maps in lower case.
            Kind::Headers => {
                return Err(format!("{name:?} is not the name of a header, or has a dot, which Falcosidekick drops"));
            }
            // Falcosidekick only understands the numbers of priorities here.
            Kind::Severities => Priority::from_str(&name.to_lowercase())
                .map(number)
                .map_err(|error| format!("{name:?} {error}"))?
                .to_string(),
            _ if is_label(&name) => name,
            _ => return Err(format!("{name:?} may only have small letters, digits and `_`, and begins with a letter")),
        };
        if map.insert(name.clone(), Redacted::new(value)).is_some() {
            return Err(format!("{name:?} stands there twice"));
        }
    }
    Ok(Value::Map(map))
}

/// The number by which Falcosidekick knows a priority, from 1 on.
fn number(priority: Priority) -> usize {
    priority as usize + 1
}

fn is_name(text: &str) -> bool {
    let is_first = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    text.starts_with(is_first) && text != "." && text != ".." && text.chars().all(|c| is_first(c) || c == '-')
}

fn is_label(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn is_header(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-^_`|~".contains(c))
}

fn is_duration(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = ["ms", "s", "m", "h"].into_iter().find(|unit| rest[digits..].starts_with(unit));
        let Some(unit) = unit.filter(|_| (1..10).contains(&digits)) else { return false };
        rest = &rest[digits + unit.len()..];
    }
    !text.is_empty()
}

fn are_pairs(text: &str) -> bool {
    text.split(',')
        .all(|pair| pair.split_once('=').is_some_and(|(name, value)| is_header(name.trim()) && !value.is_empty()))
}

fn are_thresholds(text: &str) -> bool {
    text.split(',').all(|one| {
        let parts = one.trim().split_once(':');
        parts.is_some_and(|(number, word)| number.parse::<u32>().is_ok() && Priority::from_str(word.trim()).is_ok())
    })
}

fn is_base64_json(text: &str) -> bool {
    let decoded = STANDARD.decode(text).ok();
    decoded.is_some_and(|bytes| serde_json::from_slice::<serde_json::Map<_, _>>(&bytes).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_priorities_are_those_of_falcosidekick() {
        assert_eq!(number("warning".parse().unwrap()), 4);
        assert_eq!(number("emergency".parse().unwrap()), 8);
        assert_eq!(number(Priority::Debug), 1);
    }
}
