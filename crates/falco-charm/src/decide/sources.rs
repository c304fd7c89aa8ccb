//! Which of the operator's rules and overrides to use. Pure.
//!
//! A source that cannot be had, or cannot be used, takes nothing away: the generation in use stays, and a unit that has
//! none yet uses what is left.

use charm_core::Status;
use charm_core::status::one_line;

use crate::config::Config;
use crate::facts::Facts;
use crate::generation::Generation;
use crate::overrides::{self, Document, Overrides};
use crate::repository::Content;

/// The longest text about overrides that cannot be used, in characters.
const LONGEST: usize = 500;

/// What to use.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// The operator's rules and overrides.
    pub generation: Generation,
    /// What the sources give is no longer what the operator rolled back from.
    pub refusal_is_over: bool,
}

/// Chooses, and says in `notes` why it is not what the sources should give.
pub fn choose(facts: &Facts, config: &Config, notes: &mut Vec<Status>) -> Chosen {
    let (generation, is_wanted) = from_sources(facts, config, notes);
    let Some(refused) = &facts.machine.refused else {
        return Chosen { generation, refusal_is_over: false };
    };
    if *generation.id() != refused.refused {
        return Chosen { generation, refusal_is_over: is_wanted };
    }
    match facts.machine.generation(&refused.instead) {
        Some(instead) => {
            let text = format!(
                "rollback-rules: the generation {} is in use until the sources change, or the action is run with undo=true",
                refused.instead
            );
            notes.push(Status::Active(text));
            Chosen { generation: instead.clone(), refusal_is_over: false }
        }
        None => Chosen { generation, refusal_is_over: true },
    }
}

/// What the sources give, and whether that is what they should give.
pub fn from_sources(facts: &Facts, config: &Config, notes: &mut Vec<Status>) -> (Generation, bool) {
    let repository = &facts.repository;
    notes.extend(repository.problem.clone());
    let content = repository.content.as_ref();
    let is_missing = content.is_none() && repository.problem.is_some();
    if let (true, Some(current)) = (is_missing, facts.machine.current()) {
        return (current.clone(), false);
    }
    let rules = config.rules.as_deref();
    match overrides::merge(&documents(content, config), config.allow_unsafe_overrides) {
        Ok(overrides) => (Generation::new(content, rules, overrides), !is_missing),
        Err(problems) => {
            notes.push(Status::Blocked(one_line(&problems.join("; "), LONGEST)));
            let current = facts.machine.current().cloned();
            (current.unwrap_or_else(|| Generation::new(content, rules, Overrides::default())), false)
        }
    }
}

/// The overrides in the order in which they are merged: what an option says goes before what a repository says.
fn documents(content: Option<&Content>, config: &Config) -> Vec<Document> {
    let files = content.map(|content| content.overrides.as_slice()).unwrap_or_default();
    let repository = files.iter().map(|file| Document {
        name: format!("custom-config-repository: config.override.d/{}", file.name),
        text: file.content.clone(),
    });
    let option = config
        .falco_config
        .iter()
        .map(|text| Document { name: "falco-config".into(), text: text.clone().into_bytes() });
    repository.chain(option).collect()
}
