//! Secrets of Juju in outputs: which are asked for, and what is in them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use charm_core::config::RawConfig;
use charm_core::secret::{Content, SecretError};

use super::block::{Block, Key, Kind};
use super::yaml::{self, Node, Tree};
use super::{OUTPUTS, OUTPUTS_SECRET, table};

/// Each is a hook command more. An operator who needs more than these can put them into one.
pub const MOST: usize = 10;

/// What was read of secrets, by their ids as the options name them.
pub type Secrets = BTreeMap<String, Result<Content, SecretError>>;

/// One value of a secret: `secret:<id>/<key>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference<'a> {
    /// With the word `secret:`, as Juju writes it.
    pub id: &'a str,
    /// The key in it.
    pub key: &'a str,
}

impl<'a> Reference<'a> {
    /// Reads a reference. `None`: it is none. `Err`: it looks like one.
    pub fn parse(text: &'a str) -> Option<Result<Self, &'static str>> {
        let rest = text.strip_prefix("secret:")?;
        let is_id = |id: &str| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || "-/".contains(c));
        let is_key = |key: &str| {
            !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        let parts = rest.rsplit_once('/').filter(|(id, key)| is_id(id) && !id.ends_with('/') && is_key(key));
        Some(
            parts
                .map(|(id, key)| Self { id: &text[.."secret:".len() + id.len()], key })
                .ok_or("is not secret:<id>/<key>"),
        )
    }
}

/// The secrets that the options ask for, the first ones of too many.
pub fn wanted(raw: &RawConfig) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    ids.extend(outputs_secret(raw));
    let text = raw.get::<String>(OUTPUTS).ok().flatten().unwrap_or_default();
    if let Ok(Some(root)) = yaml::parse(&text) {
        ids.extend(all(&root));
    }
    ids.into_iter().take(MOST).collect()
}

/// All secrets that a tree names.
pub fn all(root: &Node) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    collect(root, &mut ids);
    ids
}

/// The id of the one secret whose keys are keys of outputs.
pub fn outputs_secret(raw: &RawConfig) -> Option<String> {
    raw.get::<String>(OUTPUTS_SECRET).ok().flatten().filter(|id| !id.is_empty())
}

fn collect(node: &Node, ids: &mut BTreeSet<String>) {
    match &node.value {
        Tree::Scalar(text) => {
            if let Some(Ok(reference)) = Reference::parse(text) {
                ids.insert(reference.id.to_owned());
            }
        }
        Tree::List(items) => items.iter().for_each(|item| collect(item, ids)),
        Tree::Map(entries) => entries.iter().for_each(|(_, value)| collect(value, ids)),
        Tree::Null => {}
    }
}

/// Why a secret cannot be used, in words that say what to do.
pub fn problem(id: &str, error: SecretError, app: &str) -> String {
    match error {
        SecretError::NotGranted => format!("not granted; run: juju grant-secret {id} {app}"),
        SecretError::NotFound => format!("there is no secret {id}"),
        SecretError::NoKey => format!("secret {id} has no such key"),
    }
}

/// The key of an output that a key of the one secret stands for, and of a map also the name in it:
/// `webhook-customheaders-authorization`.
pub fn place(name: &str) -> Option<(&'static Block, &'static Key, Option<&str>)> {
    let keys = || table::blocks().flat_map(|block| block.all_keys().map(move |key| (block, key)));
    let exact = keys().find(|(block, key)| spelled(block, key) == name);
    if let Some((block, key)) = exact {
        return Some((block, key, None));
    }
    let is_map = |key: &Key| matches!(key.kind, Kind::Headers | Kind::Labels | Kind::Severities);
    keys().filter(|(_, key)| is_map(key)).find_map(|(block, key)| {
        let rest = name.strip_prefix(&spelled(block, key))?.strip_prefix('-')?;
        (!rest.is_empty()).then_some((block, key, Some(rest)))
    })
}

/// How the key of an output is spelled in a secret, whose keys have no dots.
pub fn spelled(block: &Block, key: &Key) -> String {
    format!("{}.{}", block.path, key.name).replace('.', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_told_from_other_texts() {
        let reference = Reference::parse("secret:9m4e2mr0ui3e8a215n4g/slack-url").unwrap().unwrap();
        assert_eq!((reference.id, reference.key), ("secret:9m4e2mr0ui3e8a215n4g", "slack-url"));
        let remote = Reference::parse("secret://12345678-1234/9m4e2mr0ui3e8a215n4g/key").unwrap().unwrap();
        assert_eq!((remote.id, remote.key), ("secret://12345678-1234/9m4e2mr0ui3e8a215n4g", "key"));
        assert_eq!(Reference::parse("https://secret:x/"), None);
        for text in [
            "secret:",
            "secret:abc",
            "secret:/key",
            "secret:abc/",
            "secret:abc/Key",
            "secret:--refresh x/key",
            "secret:a//k",
        ] {
            assert!(Reference::parse(text).unwrap().is_err(), "{text}");
        }
    }

    #[test]
    fn every_secret_key_can_be_spelled_in_a_secret_and_is_found_again() {
        for (block, key) in table::blocks().flat_map(|block| block.all_keys().map(move |key| (block, key))) {
            let name = spelled(block, key);
            let (found, found_key, rest) = place(&name).unwrap();
            assert_eq!((found.path, found_key.name, rest), (block.path, key.name, None), "{name}");
            assert!(
                name.len() >= 3 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
                "{name}"
            );
        }
        let (block, key, header) = place("webhook-customheaders-x-api-key").unwrap();
        assert_eq!((block.path, key.name, header), ("webhook", "customheaders", Some("x-api-key")));
        assert!(
            place("webhook-customheaders-").is_none() && place("slack").is_none() && place("slack-webhook").is_none()
        );
    }

    #[test]
    fn all_secrets_that_are_named_are_asked_for_once() {
        let outputs = "slack: {webhookurl: secret:aaa/x}\nalertmanager: {hostport: [secret:bbb/y, secret:aaa/z]}\n";
        let raw = [(OUTPUTS, outputs), (OUTPUTS_SECRET, "secret:ccc")].into_iter().collect();
        assert_eq!(wanted(&raw).into_iter().collect::<Vec<_>>(), ["secret:aaa", "secret:bbb", "secret:ccc"]);
        assert!(wanted(&[(OUTPUTS, "a: [")].into_iter().collect()).is_empty());
    }
}
