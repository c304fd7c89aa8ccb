//! What Falco said of the candidates it was asked about last, kept on disk: a configuration that it rejected is not
//! tried again in every hook, and what it remarked on one that it took goes on to stand in the status.
//!
//! It only saves work. Without the file, Falco is asked once more.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use charm_core::digest::Digest;
use charm_core::{Hook, files};
use serde::{Deserialize, Serialize};

use crate::check::Verdict;
use crate::paths::CHECKED_FILE;

/// Verdicts by the digest of the candidate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Checked(BTreeMap<Digest, Verdict>);

impl Checked {
    /// Reads what is known.
    pub fn read(hook: &Hook) -> Result<Self> {
        Ok(files::noted(&hook.path(CHECKED_FILE))?.unwrap_or_default())
    }

    /// The verdict about a candidate.
    pub fn get(&self, candidate: &Digest) -> Option<&Verdict> {
        self.0.get(candidate)
    }

    /// Adds a verdict and writes it down.
    pub fn learn(hook: &Hook, candidate: &Digest, verdict: Verdict) -> Result<()> {
        let mut checked = Self::read(hook)?;
        checked.0.insert(candidate.clone(), verdict);
        checked.write(hook)
    }

    /// Forgets all candidates but these.
    pub fn keep(hook: &Hook, candidates: &[Digest]) -> Result<()> {
        let mut checked = Self::read(hook)?;
        let before = checked.0.len();
        checked.0.retain(|candidate, _| candidates.contains(candidate));
        if checked.0.len() == before { Ok(()) } else { checked.write(hook) }
    }

    /// Forgets what was rejected, so that it is tried again.
    pub fn forget_rejected(hook: &Hook) -> Result<()> {
        let mut checked = Self::read(hook)?;
        checked.0.retain(|_, verdict| verdict.rejected.is_none());
        checked.write(hook)
    }

    fn write(&self, hook: &Hook) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("failed to write the verdicts as JSON")?;
        files::replace(&hook.path(CHECKED_FILE), text.as_bytes(), 0o600)
    }
}

#[cfg(test)]
impl IntoIterator for Checked {
    type Item = (Digest, Verdict);
    type IntoIter = std::collections::btree_map::IntoIter<Digest, Verdict>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
impl FromIterator<(Digest, Verdict)> for Checked {
    fn from_iter<I: IntoIterator<Item = (Digest, Verdict)>>(verdicts: I) -> Self {
        Self(verdicts.into_iter().collect())
    }
}
