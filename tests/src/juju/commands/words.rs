//! Pieces of command lines that several commands share.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::{Failure, refused, usage};
use crate::juju::command::Invocation;
use crate::juju::encode::read_settings;
use crate::juju::flags::{Line, quote};
use crate::juju::hook::Hook;
use crate::juju::state::Relation;

/// Reads `7` or `anything:7`.
pub fn relation_id(hook: &Hook, text: &str) -> Result<u32, String> {
    let number = text.rsplit(':').next().unwrap_or(text);
    let Ok(number) = number.parse::<i64>() else {
        return Err("invalid relation id".into());
    };
    u32::try_from(number)
        .ok()
        .filter(|id| hook.state.find_relation(*id).is_some())
        .ok_or_else(|| "relation not found".into())
}

/// The relation of `-r`, or of the hook.
pub fn relation<'a>(hook: &'a Hook, line: &Line) -> Result<&'a Relation, Failure> {
    let given = line.get("r").and_then(|text| relation_id(hook, text).ok());
    match given.and_then(|id| hook.state.find_relation(id)).or_else(|| hook.own_relation()) {
        Some(relation) => Ok(relation),
        None => usage("no relation id specified"),
    }
}

/// Reads `key=value` words. Blanks around both are cut, empty words skipped.
pub fn settings(words: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut settings = BTreeMap::new();
    for word in words.iter().filter(|word| !word.is_empty()) {
        let parts = word.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
        let Some((key, value)) = parts.filter(|(key, _)| !key.is_empty()) else {
            return usage(format!("expected \"key=value\", got {}", quote(word)));
        };
        if settings.insert(key.to_owned(), value.to_owned()).is_some() {
            return usage(format!("key {} specified more than once", quote(key)));
        }
    }
    Ok(settings)
}

/// Reads `--file`, where `-` is the standard input.
pub fn settings_file(line: &Line, invocation: &Invocation) -> Result<BTreeMap<String, String>, Failure> {
    let bytes = match line.text("file") {
        "" => return Ok(BTreeMap::new()),
        "-" => invocation.stdin.clone().ok_or(Failure::NeedsStdin)?,
        path => {
            let path = normal(&invocation.cwd.join(path));
            fs::read(&path).map_err(|error| Failure::Run(cannot_open(Path::new(&path), &error)))?
        }
    };
    read_settings(&bytes).or_else(refused)
}

/// A path without `.` in it, as Go joins paths.
fn normal(path: &Path) -> String {
    path.components().as_path().to_string_lossy().into_owned()
}

/// Go's text for a file that cannot be opened.
pub fn cannot_open(path: &Path, error: &io::Error) -> String {
    format!("open {}: {}", path.display(), system_words(error))
}

/// The system's words for an error: lower case, without the number.
pub fn system_words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Whether a text is the name of an application: lower-case words with hyphens, each with a letter.
pub fn is_application(name: &str) -> bool {
    let mut parts = name.split('-');
    let word = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            && part.bytes().any(|byte| byte.is_ascii_lowercase())
    };
    name.starts_with(|letter: char| letter.is_ascii_lowercase()) && parts.all(word)
}

/// Whether a text is the name of a unit.
pub fn is_unit(name: &str) -> bool {
    name.split_once('/').is_some_and(|(app, number)| {
        is_application(app)
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && (number == "0" || !number.starts_with('0'))
    })
}
