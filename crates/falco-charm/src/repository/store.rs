//! The folder of the repository, and what is remembered in it: which commit is kept, and what came of asking the server
//! the last time.
//!
//! The kept commit is the one that the memory names, and the memory is replaced in one step. Everything else in the
//! folder is left over from a hook that was killed, or from other options, and goes before anything is done.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use charm_core::digest::Digest;
use charm_core::{Status, files};
use serde::{Deserialize, Serialize};

use super::{Content, Wanted, access, tree};

/// What is remembered.
const MEMORY_FILE: &str = "memory.json";

/// How the folder of a commit that is being fetched begins. The process number follows: the git of a hook that was
/// killed may still be writing into that of its own.
const FETCHING: &str = "fetching-";

/// The folder, with the memory as it was read.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    memory: Memory,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    kept: Option<Kept>,
    asked: Option<Asked>,
}

/// The commit that is there whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    address: String,
    reference: String,
    /// What the server said that the ref stands at.
    object: String,
    commit: String,
}

/// What came of the last question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    options: Digest,
    problem: Option<Problem>,
    /// An object that was fetched and cannot be taken, so that it is not fetched in every hook.
    refused: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Problem {
    blocked: bool,
    text: String,
}

impl Store {
    /// Reads the memory. One that cannot be understood is none: everything can be fetched again.
    pub fn open(folder: &Path) -> Result<Self> {
        let place = folder.join(MEMORY_FILE);
        let memory = files::read(&place)?.map(|content| serde_json::from_slice(&content));
        let memory = memory.unwrap_or_else(|| Ok(Memory::default())).unwrap_or_else(|error| {
            tracing::warn!("{} is damaged and not used: {error}", place.display());
            Memory::default()
        });
        Ok(Self { folder: folder.to_owned(), memory })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the folder, for nobody else to look into.
    pub fn prepare(&self) -> Result<()> {
        files::private_folder(&self.folder)
    }

    /// Removes what does not belong here: anything but the memory, the kept commit, and what the options need to be let
    /// in.
    pub fn tidy(&self, wanted: &Wanted) -> Result<()> {
        let kept = self.memory.kept.as_ref().map(|kept| name_of(&kept.commit));
        for name in files::list(&self.folder)? {
            let belongs = name == MEMORY_FILE || kept.as_ref() == Some(&name) || access::is_file_for(wanted, &name);
            if belongs {
                continue;
            }
            match files::remove(&self.folder.join(&name)) {
                // Whatever still writes there has an end within a minute, and the next hook removes it.
                Err(error) if name.starts_with(FETCHING) => tracing::debug!("{error:#}"),
                other => drop(other?),
            }
        }
        Ok(())
    }

    /// The content of the kept commit, if it is the one of the wanted address and ref.
    pub fn content(&self, wanted: &Wanted) -> Option<Content> {
        let kept = self.kept(wanted)?;
        let read = tree::read(&self.folder.join(name_of(&kept.commit)), &kept.commit);
        match read.and_then(|content| Ok(content?)) {
            Ok(content) => Some(content),
            // Fetched again, it is made good.
            Err(error) => {
                tracing::warn!("the kept commit {} cannot be used: {error:#}", kept.commit);
                None
            }
        }
    }

    /// What the ref stood at when the kept commit was fetched.
    pub fn object(&self, wanted: &Wanted) -> Option<&str> {
        Some(&self.kept(wanted)?.object)
    }

    /// Was the last question asked with the options as they are?
    pub fn was_asked_for(&self, wanted: &Wanted) -> bool {
        self.asked(wanted).is_some()
    }

    /// What was wrong then.
    pub fn problem(&self, wanted: &Wanted) -> Option<Status> {
        let Problem { blocked, text } = self.asked(wanted)?.problem.clone()?;
        Some(if blocked { Status::Blocked(text) } else { Status::Waiting(text) })
    }

    /// Why this object was not taken, if it was the last one that was looked at.
    pub fn refusal(&self, wanted: &Wanted, object: &str) -> Option<Status> {
        let refused = self.asked(wanted)?.refused.as_deref() == Some(object);
        if refused { self.problem(wanted) } else { None }
    }

    /// Where the next commit is fetched to.
    pub fn place(&self) -> PathBuf {
        self.folder.join(format!("{FETCHING}{}", std::process::id()))
    }

    /// Keeps the commit that was fetched to `place`, in the place of the one before.
    pub fn keep(&mut self, wanted: &Wanted, place: &Path, object: &str, commit: &str) -> Result<()> {
        let kept = self.folder.join(name_of(commit));
        files::remove(&kept)?;
        fs::rename(place, &kept).with_context(|| format!("failed to rename {}", place.display()))?;
        let address = wanted.url.address();
        let reference = wanted.url.reference.to_string();
        self.memory.kept = Some(Kept { address, reference, object: object.to_owned(), commit: commit.to_owned() });
        self.remember(wanted, None)?;
        self.tidy(wanted)
    }

    /// Remembers what came of asking: what is wrong, and the object that is to blame, if one is.
    pub fn remember(&mut self, wanted: &Wanted, wrong: Option<(&Status, Option<String>)>) -> Result<()> {
        let (problem, refused) = wrong.unzip();
        let problem =
            problem.map(|status| Problem { blocked: matches!(status, Status::Blocked(_)), text: status.message() });
        self.memory.asked = Some(Asked { options: digest(wanted), problem, refused: refused.flatten() });
        // Most hooks have nothing new to tell.
        let content = serde_json::to_vec(&self.memory).context("failed to write the memory of the repository")?;
        let place = self.folder.join(MEMORY_FILE);
        if files::read(&place)?.as_ref() == Some(&content) {
            return Ok(());
        }
        self.prepare()?;
        files::replace(&place, &content, 0o600)
    }

    fn kept(&self, wanted: &Wanted) -> Option<&Kept> {
        let Wanted { url, .. } = wanted;
        let kept = self.memory.kept.as_ref()?;
        (kept.address == url.address() && kept.reference == url.reference.to_string()).then_some(kept)
    }

    fn asked(&self, wanted: &Wanted) -> Option<&Asked> {
        self.memory.asked.as_ref().filter(|asked| asked.options == digest(wanted))
    }
}

/// The folder of a commit.
fn name_of(commit: &str) -> String {
    format!("{commit}.git")
}

/// Everything that the options say. Secrets are there by their ids alone.
fn digest(wanted: &Wanted) -> Digest {
    let Wanted { url, key, token, known_hosts } = wanted;
    let known_hosts = known_hosts.as_ref().map(super::KnownHosts::file);
    let parts = [&Some(url.address()), &Some(url.reference.to_string()), key, token, &known_hosts];
    Digest::of_all(parts.map(|part| part.as_deref().unwrap_or_default()))
}
