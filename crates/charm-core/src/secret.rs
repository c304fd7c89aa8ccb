//! Secret content that never prints itself, and its way from and to Juju: never in an argument, where every user could
//! read it.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::hook::Hook;
use crate::process::Error;
use crate::{files, juju, yaml};

/// Something that `Debug` does not show. There is no `Display`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// Hides it.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// Shows it, to code that hands it on to the one who may know it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Redacted([redacted])")
    }
}

/// Why a secret cannot be read. Each is somebody's to mend, so each is a fact, not a failure of the hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretError {
    /// It exists, but this application was not given it.
    NotGranted,
    /// There is no such secret.
    NotFound,
    /// It has no key of this name.
    NoKey,
}

/// What is in a secret, by key. Juju has put U+FFFD in the place of bytes that are no text.
pub type Content = BTreeMap<String, Redacted<String>>;

/// The newest content of a secret whose values are text, or why there is none.
pub fn content(id: &str) -> Result<Result<Content, SecretError>> {
    let output = match read(juju::secret_get_all(id))? {
        Ok(output) => output,
        Err(error) => return Ok(Err(error)),
    };
    // The error may not quote what it failed to read.
    let texts: BTreeMap<String, String> =
        serde_json::from_slice(&output).ok().context("secret-get printed no JSON object of texts")?;
    Ok(Ok(texts.into_iter().map(|(key, value)| (key, Redacted::new(value))).collect()))
}

/// The newest content of one key of a secret, or why there is none.
pub fn get(id: &str, key: &str) -> Result<Result<Redacted<Vec<u8>>, SecretError>> {
    let output = match read(juju::secret_get(id, key))? {
        Ok(output) => output,
        Err(error) => return Ok(Err(error)),
    };
    // Neither error may quote what it failed to read.
    let text: String = serde_json::from_slice(&output).ok().context("secret-get printed no JSON text")?;
    let content = STANDARD.decode(text).ok().context("secret-get printed no base64")?;
    Ok(Ok(Redacted::new(content)))
}

/// What a secret-get printed, or what of its failures is somebody's to mend.
fn read(answer: std::result::Result<Vec<u8>, Error>) -> Result<Result<Vec<u8>, SecretError>> {
    match answer {
        Ok(output) => Ok(Ok(output)),
        Err(Error::Failed(command, output)) => {
            let said = |words| output.stderr.contains(words);
            match () {
                () if said("permission denied") => Ok(Err(SecretError::NotGranted)),
                () if said("secret key value") => Ok(Err(SecretError::NoKey)),
                () if said("not found") || said("not valid") => Ok(Err(SecretError::NotFound)),
                () => Err(Error::Failed(command, output).into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Stores `content` as this unit's secret with this label: a new secret, or a new revision of the one there is. Juju
/// keeps a secret even when a later part of the same hook fails to be committed, so the label is looked up first.
/// `expire`: when Juju shall tell that it is due, in RFC 3339.
pub fn store(
    hook: &Hook,
    label: &str,
    content: &BTreeMap<String, Redacted<String>>,
    expire: Option<&str>,
) -> Result<()> {
    let content: BTreeMap<_, _> = content.iter().map(|(key, value)| (key, value.expose())).collect();
    // Juju's agent opens the file, so it needs a place that both see and no one else can read.
    let file = hook.charm_dir.join(".secret.yaml");
    files::replace(&file, yaml::quoted_line(&content)?.as_bytes(), 0o600)?;
    let stored = match juju::secret_info_get(label) {
        Ok(Some((id, _))) => juju::secret_set(&id, &file, expire),
        Ok(None) => juju::secret_add(label, &file, expire).map(drop),
        Err(error) => Err(error),
    };
    files::remove(&file)?;
    stored
}

/// Removes the secret of ours with this label, if there is one.
pub fn forget(label: &str) -> Result<()> {
    match juju::secret_info_get(label)? {
        Some((id, _)) => juju::secret_remove(&id, None),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print_itself() {
        assert_eq!(format!("{:?}", Redacted::new("hunter2")), "Redacted([redacted])");
    }
}
