//! What the commands about secrets read from their lines.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::words::{cannot_open, system_words};
use super::{Failure, usage};
use crate::juju::buffer::SecretFields;
use crate::juju::clock;
use crate::juju::encode::read_settings;
use crate::juju::flags::{Flag, Line, quote};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub const FLAGS: &[Flag] = &[
    Flag::text(&["label"]),
    Flag::text(&["description"]),
    Flag::text(&["expire"]),
    Flag::text(&["rotate"]),
    Flag::text(&["owner"]),
    super::FILE,
];

const LARGEST: usize = 1_000_000;
const POLICIES: [&str; 7] = ["never", "hourly", "daily", "weekly", "monthly", "quarterly", "yearly"];

/// Reads the id of a secret in any of its forms.
pub fn secret_id(text: &str) -> Result<String, Failure> {
    let lower = text.get(..7).map(str::to_ascii_lowercase);
    let rest = if lower.as_deref() == Some("secret:") { &text[7..] } else { text };
    let id = match rest.strip_prefix("//") {
        Some(path) => path.split_once('/').map_or("", |(_, id)| id),
        None => rest,
    };
    if id.len() == 20 && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        Ok(id.to_owned())
    } else {
        usage(format!("secret URI {} not valid", quote(text)))
    }
}

/// Reads the options and the content that `secret-add` and `secret-set` share.
pub fn fields(line: &Line, words: &[String]) -> Result<SecretFields, Failure> {
    let owner = line.text("owner");
    if !["", "application", "unit"].contains(&owner) {
        return usage(format!("secret owner {} not valid", quote(owner)));
    }
    let expire = line.get("expire").filter(|text| !text.is_empty()).map(expiry).transpose()?;
    let rotate = line.get("rotate").filter(|text| !text.is_empty());
    if let Some(policy) = rotate.filter(|policy| !POLICIES.contains(policy)) {
        return usage(format!("rotate policy {} not valid", quote(policy)));
    }
    let given = |name: &str| line.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
    Ok(SecretFields {
        content: content(line.text("file"), words)?,
        label: given("label"),
        description: given("description"),
        rotate: rotate.map(str::to_owned),
        expire,
    })
}

/// A time, or how long from now.
fn expiry(text: &str) -> Result<String, Failure> {
    if let Some(time) = clock::normal_time(text) {
        return Ok(time);
    }
    match clock::seconds(text) {
        Some(seconds) if seconds < 0 => usage(format!("negative expire duration {} not valid", quote(text))),
        Some(seconds) => Ok(clock::from_now(seconds)),
        None => usage(format!("expire time or duration {} not valid", quote(text))),
    }
}

/// The content in base64; `None` if none is given. The file wins over words, and later words over earlier ones.
fn content(file: &str, words: &[String]) -> Result<Option<BTreeMap<String, String>>, Failure> {
    let mut raw: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for word in words {
        // Signs at the end may be padding of base64, so the separator is searched before them.
        let Some(index) = word.trim_end_matches('=').find('=').filter(|index| *index > 0) else {
            return usage(format!("key value {} not valid", quote(word)));
        };
        let (key, value) = (&word[..index], &word[index + 1..]);
        match key.strip_suffix("#file") {
            Some(key) => raw.insert(key.to_owned(), file_content(key, value)?),
            None => raw.insert(key.to_owned(), value.as_bytes().to_vec()),
        };
    }
    if !file.is_empty() {
        let bytes = read(file).map_err(Failure::Usage)?;
        let values = read_settings(&bytes).map_err(Failure::Usage)?;
        raw.extend(values.into_iter().map(|(key, value)| (key, value.into_bytes())));
    }
    if raw.is_empty() { Ok(None) } else { encode(raw).map(Some) }
}

/// The path is used as it is, so a relative one is looked for where the agent runs, not where the caller does.
fn read(path: &str) -> Result<Vec<u8>, String> {
    let path = Path::new(path);
    if path.is_absolute() {
        fs::read(path).map_err(|error| cannot_open(path, &error))
    } else {
        let missing = std::io::Error::from_raw_os_error(2);
        Err(format!("open {}: {}", path.display(), system_words(&missing)))
    }
}

fn file_content(key: &str, path: &str) -> Result<Vec<u8>, Failure> {
    read(path).map_err(|why| Failure::Usage(format!("reading content for secret key {}: {why}", quote(key))))
}

fn encode(raw: BTreeMap<String, Vec<u8>>) -> Result<BTreeMap<String, String>, Failure> {
    let mut content = BTreeMap::new();
    let mut total = 0;
    for (key, value) in raw {
        let bare = key.strip_suffix("#base64");
        let name = bare.unwrap_or(&key);
        if !is_key(name) {
            return usage(format!("key {} not valid", quote(name)));
        }
        let value = if bare.is_some() { String::from_utf8_lossy(&value).into_owned() } else { STANDARD.encode(&value) };
        if value.len() > LARGEST {
            return usage(format!(
                "base64 encoded secret content for key {} too large: {} bytes",
                quote(name),
                value.len()
            ));
        }
        total += value.len();
        content.insert(name.to_owned(), value);
    }
    if total > LARGEST {
        return usage(format!("base64 encoded secret content too large: {total} bytes"));
    }
    Ok(content)
}

/// A small letter, then at least two more letters or digits, each with a hyphen before it or not.
pub fn is_key(key: &str) -> bool {
    let bytes = key.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    bytes.first().is_some_and(u8::is_ascii_lowercase)
        && bytes.last().is_some_and(plain)
        && bytes.iter().all(|byte| plain(byte) || *byte == b'-')
        && !key.contains("--")
        && bytes.iter().filter(|byte| plain(byte)).count() >= 3
}
