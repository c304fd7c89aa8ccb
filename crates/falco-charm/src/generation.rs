//! The operator's own rules and configuration overrides as one thing with a name: a generation. Pure.
//!
//! A generation is named by its content and kept in a folder that never changes, so that falco.yaml, which names that
//! folder, puts all of it to use in one step and takes all of it back in one step.

pub mod store;

use std::fmt;
use std::str::FromStr;

use charm_core::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::overrides::Overrides;
use crate::paths::{GENERATIONS, file_name};
use crate::repository::Content;

/// Put before the names of files that come from the repository. `/metrics` tells files apart by their names without
/// folders, so that no two of all that Falco loads may have the same.
const FROM_REPOSITORY: &str = "repository-";

/// The file of the option `rules`. It sorts behind those of the repository, and so it is loaded last.
const FROM_OPTION: &str = "rules.yaml";

/// The name of a generation: the beginning of a digest of all that is in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(String);

impl Id {
    /// The name of its folder.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl FromStr for Id {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hexadecimal = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() == 12 && hexadecimal { Ok(Self(text.to_owned())) } else { Err("is not the name of a generation") }
    }
}

/// What the operator wrote, wherever. The default is nothing, which is a generation like any other.
#[derive(Clone, PartialEq)]
pub struct Generation {
    /// Taken once, as it covers megabytes and is asked for again and again.
    id: Id,
    /// Rules, in the order in which Falco loads them.
    rules: Vec<RulesFile>,
    /// Configuration, to be merged into the charm's own.
    overrides: Overrides,
}

#[derive(Clone, PartialEq, Eq)]
struct RulesFile {
    name: String,
    content: Vec<u8>,
}

impl Default for Generation {
    fn default() -> Self {
        Self::of(Vec::new(), Overrides::default())
    }
}

impl fmt::Debug for Generation {
    /// Without any content: overrides may hold passwords.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Generation({}, {} rules files)", self.id, self.rules.len())
    }
}

impl Generation {
    /// From what was brought from the repository, the option `rules` and the merged overrides.
    pub fn new(content: Option<&Content>, inline: Option<&str>, overrides: Overrides) -> Self {
        let files = content.map(|content| content.rules.as_slice()).unwrap_or_default();
        let repository = files
            .iter()
            .map(|file| RulesFile { name: format!("{FROM_REPOSITORY}{}", file.name), content: file.content.clone() });
        let option = inline.map(|text| RulesFile { name: FROM_OPTION.to_owned(), content: text.as_bytes().to_vec() });
        Self::of(repository.chain(option).collect(), overrides)
    }

    fn of(rules: Vec<RulesFile>, overrides: Overrides) -> Self {
        let yaml = overrides.to_yaml();
        let files = rules.iter().flat_map(|file| [file.name.as_bytes(), &file.content]);
        let digest = Digest::of_all(std::iter::once(yaml.as_bytes()).chain(files));
        Self { id: Id(digest.short().to_owned()), rules, overrides }
    }

    /// Its name.
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// Nothing in it is rules.
    pub fn has_no_rules(&self) -> bool {
        self.rules.is_empty()
    }

    /// Nothing is in it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The overrides.
    pub fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    /// Where its rules files are, once it is stored, in the order in which Falco loads them.
    pub fn rules_paths(&self) -> Vec<String> {
        let folder = rules_folder(&self.id);
        self.rules.iter().map(|file| format!("{folder}/{}", file.name)).collect()
    }

    /// The digests of its rules files, by name without folder, as Falco tells them.
    pub fn rules_digests(&self) -> impl Iterator<Item = (String, Digest)> {
        self.rules.iter().map(|file| (file.name.clone(), Digest::of(&file.content)))
    }
}

/// The name of a rules file as the operator knows it, from the path Falco has of it.
pub fn shown(path: &str) -> String {
    let name = file_name(path);
    if !path.contains(GENERATIONS) {
        return name.to_owned();
    }
    match name.strip_prefix(FROM_REPOSITORY) {
        Some(file) => format!("custom-config-repository: rules.d/{file}"),
        None => "rules".to_owned(),
    }
}

fn rules_folder(id: &Id) -> String {
    format!("{GENERATIONS}/{id}/rules.d")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::File;

    fn content(files: &[(&str, &str)]) -> Content {
        let rules = files.iter().map(|(name, content)| File { name: (*name).into(), content: (*content).into() });
        Content { commit: "c0ffee".into(), rules: rules.collect(), overrides: Vec::new() }
    }

    #[test]
    fn the_id_follows_names_and_contents_and_nothing_else() {
        let one = Generation::new(Some(&content(&[("a.yaml", "x"), ("b.yaml", "")])), None, Overrides::default());
        let other_commit = Content { commit: "other".into(), ..content(&[("a.yaml", "x"), ("b.yaml", "")]) };
        assert_eq!(one.id(), Generation::new(Some(&other_commit), None, Overrides::default()).id());
        for files in [&[("a.yaml", "x")][..], &[("a.yaml", ""), ("b.yaml", "x")], &[("a.yaml", "xb.yaml")]] {
            assert_ne!(one.id(), Generation::new(Some(&content(files)), None, Overrides::default()).id());
        }
        assert_ne!(one.id(), Generation::default().id());
    }

    #[test]
    fn rules_of_the_option_are_loaded_last_and_every_file_is_called_by_what_the_operator_wrote() {
        let content = content(&[("zz.yaml", ""), ("~~.yml", "")]);
        let generation = Generation::new(Some(&content), Some("- list: x\n"), Overrides::default());
        let shown: Vec<String> = generation.rules_paths().iter().map(|path| shown(path)).collect();
        let from = "custom-config-repository: rules.d";
        assert_eq!(shown, [format!("{from}/zz.yaml"), format!("{from}/~~.yml"), "rules".to_owned()]);
        let mut sorted = generation.rules_paths();
        sorted.sort();
        assert_eq!(generation.rules_paths(), sorted, "a folder is read in this order");
        assert_eq!(super::shown("/opt/juju-falco/x/etc/falco/falco_rules.yaml"), "falco_rules.yaml");
    }

    #[test]
    fn debug_shows_no_content() {
        let generation = Generation::new(Some(&content(&[("a.yaml", "hunter2")])), None, Overrides::default());
        assert!(!format!("{generation:?}").contains("hunter2"));
    }
}
