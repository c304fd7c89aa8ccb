//! The repository with the operator's rules and settings: what a branch, tag or commit has in its two folders, as files
//! in memory. Nothing but this module reads or writes its folder, and nothing of git or ssh lies anywhere else.
//!
//! What is there is the content of a commit that was had whole, or nothing: a commit is fetched and looked through
//! beside the kept one, and takes its place in one step. Whatever goes wrong on the way leaves the kept one, so that a
//! server that is away, a key that was withdrawn or a hook that was killed never takes rules away from Falco. What went
//! wrong is remembered, and told in each hook until it is right again.

mod access;
mod failure;
mod git;
mod install;
mod known_hosts;
mod store;
mod tree;
mod url;

use std::time::Duration;
use std::{fmt, fs};

use anyhow::Result;
use charm_core::digest::Digest;
use charm_core::{Hook, Status, files};

pub use self::known_hosts::KnownHosts;
pub use self::url::{Reference, RepositoryUrl, Transport};

use self::git::Access;
use self::store::Store;
use crate::paths;

/// The option with the address.
pub const REPOSITORY: &str = "custom-config-repository";

/// The option with the secret that holds the private key for SSH.
pub const SSH_KEY: &str = "custom-config-repo-ssh-key";

/// The option with the secret that holds the token for HTTPS.
pub const TOKEN: &str = "custom-config-repo-token";

/// The option with the keys of SSH hosts.
pub const KNOWN_HOSTS: &str = "custom-config-repo-known-hosts";

/// What the options ask for, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where the repository is, and which state of it is wanted.
    pub url: RepositoryUrl,
    /// The id of the secret with the private key.
    pub key: Option<String>,
    /// The id of the secret with the token.
    pub token: Option<String>,
    /// The keys of hosts.
    pub known_hosts: Option<KnownHosts>,
}

/// Where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// At what was fetched before, and at what was wrong then. Without it, or for other options, as [`Look::Remote`].
    Stored,
    /// At what the server has.
    Remote,
}

/// What there is. Both may be there: the content of before, and why it is not that of now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brought {
    /// The files, of the wanted address and ref.
    pub content: Option<Content>,
    /// What is wrong: waiting for what may pass, blocked for what the operator has to do.
    pub problem: Option<Status>,
}

/// The files of one commit that are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The commit, in hexadecimal digits.
    pub commit: String,
    /// The files of `rules.d`, in the order of their names.
    pub rules: Vec<File>,
    /// The files of `config.override.d`, in the order of their names.
    pub overrides: Vec<File>,
}

/// A file of the repository. `Debug` shows its digest, as settings may have passwords in them.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Its name without the folder. No slash, no control character.
    pub name: String,
    /// What it holds.
    pub content: Vec<u8>,
}

impl fmt::Debug for File {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, content } = self;
        write!(out, "File({name:?}, {} bytes, {})", content.len(), Digest::of(content).short())
    }
}

/// Brings the wanted content. Without a repository, what is left of an earlier one goes. A dry run changes nothing and
/// asks nobody.
pub fn bring(hook: &Hook, wanted: Option<&Wanted>, look: Look) -> Result<Brought> {
    let Some(wanted) = wanted else {
        if !hook.dry_run {
            forget(hook)?;
        }
        return Ok(Brought::default());
    };
    let mut store = Store::open(&hook.path(paths::REPOSITORY))?;
    if !hook.dry_run {
        store.tidy(wanted)?;
    }
    let kept = store.content(wanted);
    let problem = match access::check(wanted) {
        Err(problem) => Some(problem),
        Ok(()) if hook.dry_run => store.problem(wanted).or_else(|| kept.is_none().then(not_fetched)),
        Ok(()) if look == Look::Stored && kept.is_some() && store.was_asked_for(wanted) => store.problem(wanted),
        Ok(()) => return renew(hook, &mut store, wanted, kept),
    };
    Ok(Brought { content: kept, problem })
}

/// Removes everything of it.
pub fn forget(hook: &Hook) -> Result<()> {
    let folder = hook.path(paths::REPOSITORY);
    if files::remove(&folder)?
        && let Some(parent) = folder.parent()
    {
        // Its own folder goes only if nothing else is in it, which is what the system call sees to.
        let _ = fs::remove_dir(parent);
    }
    Ok(())
}

/// Asks the server, and remembers what came of it.
fn renew(hook: &Hook, store: &mut Store, wanted: &Wanted, kept: Option<Content>) -> Result<Brought> {
    match ask(hook, store, wanted, kept.is_some()) {
        Ok(Answer::Kept) => {
            store.remember(wanted, None)?;
            Ok(Brought { content: kept, problem: None })
        }
        Ok(Answer::New(content)) => Ok(Brought { content: Some(content), problem: None }),
        Ok(Answer::Refused { object, problem }) => {
            store.remember(wanted, Some((&problem, Some(object))))?;
            Ok(Brought { content: kept, problem: Some(problem) })
        }
        Err(error) => {
            // Without a status it is nothing that was to be expected.
            let Some(problem) = error.downcast_ref::<Status>().cloned() else { return Err(error) };
            tracing::warn!("the repository stays as it is: {error:#}");
            store.remember(wanted, Some((&problem, None)))?;
            Ok(Brought { content: kept, problem: Some(problem) })
        }
    }
}

/// What the server has, compared with what there is.
enum Answer {
    /// The same.
    Kept,
    /// This, which is the kept one from now on.
    New(Content),
    /// An object that nothing can be taken from.
    Refused { object: String, problem: Status },
}

fn ask(hook: &Hook, store: &mut Store, wanted: &Wanted, has_content: bool) -> Result<Answer> {
    install::ensure(hook, wanted.url.transport)?;
    store.prepare()?;
    let access = access::prepare(hook, store.folder(), wanted)?;
    let tip = git::look(store.folder(), &wanted.url, &access)?;
    let before = store.object(wanted).map(str::to_owned);
    if has_content && before.as_ref() == Some(&tip.object) {
        return Ok(Answer::Kept);
    }
    if let Some(problem) = store.refusal(wanted, &tip.object) {
        return Ok(Answer::Refused { object: tip.object, problem });
    }
    if let Some(before) = before.filter(|_| tip.is_tag) {
        tracing::warn!("the tag {} has moved from {before} to {}", wanted.url.reference, tip.object);
    }
    match fetch(store, wanted, &access, &tip.object)? {
        Ok(content) => {
            tracing::info!("the repository is at commit {}", content.commit);
            Ok(Answer::New(content))
        }
        Err(problem) => Ok(Answer::Refused { object: tip.object, problem }),
    }
}

/// Fetches an object beside the kept commit, and puts it into its place if it can be taken.
fn fetch(store: &mut Store, wanted: &Wanted, access: &Access, object: &str) -> Result<Result<Content, Status>> {
    let place = store.place();
    let read = || {
        if let Err(problem) = git::fetch(store.folder(), &place, &wanted.url, access, object)? {
            return Ok(Err(problem));
        }
        match git::commit_of(&place, object)? {
            Ok(commit) => tree::read(&place, &commit),
            Err(problem) => Ok(Err(problem)),
        }
    };
    let read = read();
    match &read {
        Ok(Ok(content)) => store.keep(wanted, &place, object, &content.commit)?,
        _ => store.tidy(wanted)?,
    }
    read
}

/// What a dry run says of a repository that no hook has asked yet.
fn not_fetched() -> Status {
    Status::Waiting(format!("{REPOSITORY}: not fetched yet; the next hook does"))
}

/// Between two tries at something that may pass at once.
#[expect(clippy::disallowed_methods, reason = "a second now is cheaper than the minutes until the next hook")]
fn pause() {
    std::thread::sleep(Duration::from_secs(1));
}
