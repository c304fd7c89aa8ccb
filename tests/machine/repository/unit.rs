//! A unit of the charm that is nothing but the repository.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use charm_tests::git_server::{GitServer, Repository};
use charm_tests::juju::{Context, Event, Metadata, Outcome, Secret, State};
use charm_tests::programs;

/// The secret with the key.
pub const KEY: &str = "9m4e2mr0ui3e8a215n4g";

/// The secret with the token.
pub const TOKEN: &str = "9m4e2mr0ui3e8a215n5g";

/// What a repository has first.
pub const RULES: &[(&str, &str)] = &[("rules.d/a.yaml", "one")];

/// What it has later.
pub const CHANGED: &[(&str, &str)] = &[("rules.d/a.yaml", "two")];

const METADATA: &str = "
name: settings
type: charm
summary: the repository alone
description: the repository alone
config:
  options:
    custom-config-repository: {type: string, description: where}
    custom-config-repo-ssh-key: {type: secret, description: key}
    custom-config-repo-token: {type: secret, description: token}
    custom-config-repo-known-hosts: {type: string, description: hosts}
";

/// The unit, and what the controller knows of it.
pub struct Unit {
    pub context: Context,
    pub state: State,
}

impl Unit {
    /// A unit that knows nothing.
    pub fn new() -> Self {
        Self { context: Self::bare_context().system_path(), state: State::machine() }
    }

    /// Without the programs of this machine.
    pub fn bare_context() -> Context {
        let metadata = Metadata::parse(METADATA).unwrap();
        Context::with_metadata(metadata, programs::built("repository-charm"), programs::hook_command()).unwrap()
    }

    /// One with everything that it needs to read `repository` at `reference`, such as `@main`, or nothing.
    pub fn of(server: &GitServer, repository: &Repository, reference: &str) -> Self {
        let unit = Self::new();
        let state = unit.state.clone();
        let state = state
            .config("custom-config-repository", format!("{}{reference}", server.url(repository)))
            .config("custom-config-repo-ssh-key", format!("secret:{KEY}"))
            .config("custom-config-repo-known-hosts", server.known_hosts())
            .secret(Secret::user(KEY, "settings").revision([("value", server.key())]));
        Self { state, ..unit }
    }

    /// Sets an option.
    pub fn set(&mut self, option: &str, value: impl Into<serde_json::Value>) {
        self.state.config.insert(option.to_owned(), value.into());
    }

    /// A new revision of a secret, as `juju update-secret` makes it.
    pub fn rotate(&mut self, id: &str, value: impl Into<Vec<u8>>) {
        let secret = self.state.secrets.iter_mut().find(|secret| secret.id == id).unwrap();
        *secret = secret.clone().revision([("value", value.into())]);
    }

    /// Runs a hook, which has to succeed, and gives the status.
    #[track_caller]
    pub fn run(&mut self, event: &Event) -> String {
        self.outcome(event).state.unit_status.to_string()
    }

    /// The same with everything that is known of it. No secret may be in what it says.
    #[track_caller]
    pub fn outcome(&mut self, event: &Event) -> Outcome {
        let outcome = self.context.run(event, &self.state).expect_success();
        self.state = outcome.state.clone();
        let said = outcome.report();
        for secret in &self.state.secrets {
            for content in secret.revisions.values().flat_map(BTreeMap::values) {
                let text = String::from_utf8_lossy(content);
                let telling = text.lines().filter(|line| line.len() > 8 && !line.starts_with("-----"));
                telling.for_each(|line| assert!(!said.contains(line), "a secret is told:\n{said}"));
            }
        }
        outcome
    }

    /// Runs `config-changed`.
    #[track_caller]
    pub fn changed(&mut self) -> String {
        self.run(&Event::config_changed())
    }

    /// Runs `update-status`.
    #[track_caller]
    pub fn update(&mut self) -> String {
        self.run(&Event::update_status())
    }

    /// What the last hook brought, by path; `None` when there was no content.
    pub fn brought(&self) -> Option<BTreeMap<String, String>> {
        serde_json::from_slice(&fs::read(self.context.root().join("brought.json")).unwrap()).unwrap()
    }

    /// The content of one file that was brought.
    #[track_caller]
    pub fn file(&self, name: &str) -> String {
        let brought = self.brought().unwrap_or_default();
        brought.get(name).unwrap_or_else(|| panic!("{name} is not in {brought:?}")).clone()
    }

    /// The folder of the charm.
    pub fn folder(&self) -> PathBuf {
        self.context.root().join("var/lib/juju-falco/repository")
    }

    /// The names in it.
    pub fn names(&self) -> Vec<String> {
        names(&self.folder())
    }
}

/// The names in a folder, sorted; none when there is no folder.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Text of a status that blocks on an option.
#[track_caller]
pub fn assert_blocked(status: &str, option: &str, words: &str) {
    assert!(status.starts_with(&format!("blocked: {option}: ")) && status.contains(words), "{status}");
}

/// Text of a status that waits for something about the repository.
#[track_caller]
pub fn assert_waiting(status: &str, words: &str) {
    assert!(status.starts_with("waiting: custom-config-repository: ") && status.contains(words), "{status}");
}
