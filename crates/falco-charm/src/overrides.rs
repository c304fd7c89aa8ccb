//! What the operator wants otherwise in falco.yaml: documents from a repository and from an option, merged into one that
//! is put over what the charm writes. Pure.
//!
//! Falco would merge files itself, but by their uppermost keys only, so that one key of `metrics` would take all the
//! others away. Here mappings are merged key by key, anything else replaces what was there before, and `null` takes it
//! away; three lists are added to, see `lists`. Later documents win.
//!
//! Whoever can push to the repository writes these documents, and they end up in front of a program that runs as root.
//! So a document is read within bounds (`read`), and what it may say is limited (`refusals`).

mod lists;
mod merge;
mod read;
mod refusals;

use std::fmt;

use anyhow::{Result, anyhow};
use serde_yaml::Mapping;

use self::read::Budget;

/// One text with overrides.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    /// What the operator knows it by.
    pub name: String,
    /// YAML, as far as it is.
    pub text: Vec<u8>,
}

impl fmt::Debug for Document {
    /// Without the content, which may have passwords in it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, text } = self;
        write!(out, "Document({name:?}, {} bytes)", text.len())
    }
}

/// Overrides that were checked and merged. The default is none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Overrides(Mapping);

impl fmt::Debug for Overrides {
    /// Without the content, which may have passwords in it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Overrides({} keys)", self.0.len())
    }
}

/// Checks and merges, in this order. Every problem is told, with its document and key; overrides that make whoever
/// writes them root are one unless `allow_unsafe`.
pub fn merge(documents: &[Document], allow_unsafe: bool) -> Result<Overrides, Vec<String>> {
    let mut problems = Vec::new();
    let mut merged = Mapping::new();
    // One for all of them: a hundred documents that are within bounds are not.
    let mut budget = Budget::of_documents();
    for Document { name, text } in documents {
        let document = match read::mapping(text, &mut budget) {
            Ok(document) => document,
            Err(problem) => {
                problems.push(format!("{name}: {problem}"));
                continue;
            }
        };
        let found = lists::check(&document).into_iter().chain(refusals::check(&document, allow_unsafe));
        problems.extend(found.map(|problem| format!("{name}: {problem}")));
        merge::compose(&mut merged, document);
    }
    if problems.is_empty() { Ok(Overrides(merge::sorted(merged))) } else { Err(problems) }
}

impl Overrides {
    /// Reads what [`Self::to_yaml`] wrote.
    pub fn from_yaml(yaml: &[u8]) -> Result<Self> {
        let mapping = read::mapping(yaml, &mut Budget::of_our_own());
        mapping.map(|mapping| Self(merge::sorted(mapping))).map_err(|problem| anyhow!("the overrides: {problem}"))
    }

    /// As text, which is the same for the same overrides, in whatever order they were written.
    pub fn to_yaml(&self) -> String {
        serde_yaml::to_string(&self.0).expect("texts, numbers and lists with texts for keys are YAML")
    }

    /// Nothing is to be otherwise.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The configuration as it is with the overrides.
    pub fn apply_to(&self, mut base: Mapping) -> Mapping {
        merge::apply(&mut base, &self.0);
        base
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
