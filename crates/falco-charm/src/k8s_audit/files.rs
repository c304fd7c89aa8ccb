//! The folder with certificate, key and rules of the listener. Each file is named by its content and never changes, so
//! that falco.yaml puts it to use and takes it back in one step, and one that nothing names can go.

use std::collections::BTreeMap;

use anyhow::Result;
use charm_core::files::{self, File};
use charm_core::{Hook, digest::Digest};
use serde::Serialize;

use super::{Found, Listener};
use crate::distribution::Distribution;
use crate::paths::{K8S_AUDIT_FOLDER, K8S_AUDIT_RULES};

/// What is to be done in the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What is not there yet, or not as it should be.
    #[serde(skip)]
    pub write: Vec<File>,
    /// What nothing names any more once Falco serves.
    pub remove: Vec<String>,
}

impl Change {
    /// For a falco.yaml with this text, and the listener that it was made of, if it was made now.
    pub fn of(found: &Found, listener: Option<&Listener>, falco_yaml: &[u8]) -> Self {
        let text = String::from_utf8_lossy(falco_yaml);
        let write = listener.map(|listener| listener.files.clone()).unwrap_or_default();
        Self {
            write: write.into_iter().filter(|file| found.stored.get(&file.path) != Some(file)).collect(),
            remove: found.stored.keys().filter(|path| !text.contains(path.as_str())).cloned().collect(),
        }
    }
}

/// Reads the folder, and which rules the distribution has.
pub fn gather(hook: &Hook, distribution: Option<&Distribution>) -> Result<Found> {
    let mut stored = BTreeMap::new();
    for name in files::list(&hook.path(K8S_AUDIT_FOLDER))? {
        let path = format!("{K8S_AUDIT_FOLDER}/{name}");
        let place = hook.path(&path);
        let Some(content) = files::read(&place)? else { continue };
        let file = File { path: path.clone(), mode: 0o600, content };
        // One that somebody has opened to others is not as it should be.
        let mode = if files::is_in_place(&place, &file)? { file.mode } else { 0 };
        stored.insert(path, File { mode, ..file });
    }
    let rules = match distribution.filter(|distribution| distribution.audit.rules) {
        Some(distribution) => files::read(&hook.path(&distribution.path(K8S_AUDIT_RULES)))?.map(Digest::of),
        None => None,
    };
    Ok(Found { unusable: None, stored, rules })
}

/// Removes what nothing names, and the folder with the last of it.
pub fn tidy(hook: &Hook, remove: &[String]) -> Result<()> {
    for path in remove {
        files::remove(&hook.path(path))?;
        tracing::info!("removed {path}");
    }
    let folder = hook.path(K8S_AUDIT_FOLDER);
    if !remove.is_empty() && files::list(&folder)?.is_empty() {
        files::remove(&folder)?;
    }
    Ok(())
}
