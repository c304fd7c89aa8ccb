//! Running git. Everything it could take from elsewhere — the settings of the machine and of root, keys, agents,
//! helpers, prompts — is shut out by its environment, so that it does the same on every machine and leaves nothing
//! outside of our folder.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};
use charm_core::process::{self, Command};
use charm_core::secret::Redacted;
use charm_core::{Status, files};

use super::REPOSITORY;
use super::failure::{self, Failure};
use super::url::{Reference, RepositoryUrl};

/// How long the server may take to tell what a branch stands at.
const LONGEST_LOOK: Duration = Duration::from_secs(10);

/// How long it may take to hand over a commit. All that time nothing else happens on the machine.
const LONGEST_FETCH: Duration = Duration::from_secs(30);

/// What reading from our own disk may take. Damaged objects must not hold a hook for ever.
const LONGEST_READ: Duration = Duration::from_secs(20);

/// How often the server is tried when the network was at fault and said so at once.
const TRIES: u32 = 3;

/// The largest pack that is taken from the server, in bytes. Rules are small; a repository that is not has other things
/// in it, and belongs apart from them.
const LARGEST_PACK: u64 = 64 * 1024 * 1024;

/// The settings of every git that is started.
const SETTINGS: [(&str, &str); 15] = [
    ("core.bigFileThreshold", "8m"), // larger objects pass through, and are not held in memory
    ("core.hooksPath", "/dev/null"),
    ("credential.helper", ""),
    ("fetch.fsckObjects", "false"), // harmless faults of old commits; nothing is checked out
    ("fetch.recurseSubmodules", "false"),
    ("fetch.unpackLimit", "1"), // always one pack, whose size is bounded
    ("fetch.writeCommitGraph", "false"),
    ("gc.auto", "0"),
    ("http.followRedirects", "false"), // a token goes to the host that it is for
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "10"),
    ("maintenance.auto", "false"),
    ("pack.threads", "1"),
    ("protocol.version", "2"), // lets single commits be fetched
    ("transfer.bundleURI", "false"),
];

/// How git reaches the server, beside its address.
#[derive(Debug, Default)]
pub struct Access {
    /// More variables of its environment.
    pub variables: Vec<(&'static str, Redacted<String>)>,
    /// More settings. A token is one.
    pub settings: Vec<(String, Redacted<String>)>,
    /// Is there a token?
    pub with_token: bool,
}

/// What a ref stands at, as the server tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// The object to fetch: a commit, or the object of an annotated tag.
    pub object: String,
    /// Is it a tag? Those are not expected to move.
    pub is_tag: bool,
}

/// What `git cat-file --batch-check` tells of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The name of its content.
    pub id: String,
    /// `commit`, `tree`, `blob` or `tag`.
    pub kind: String,
    /// In bytes.
    pub size: u64,
}

/// Asks the server what the wanted ref stands at.
pub fn look(home: &Path, url: &RepositoryUrl, access: &Access) -> Result<Tip> {
    let Some(patterns) = patterns(&url.reference) else {
        return Ok(Tip { object: url.reference.to_string(), is_tag: false });
    };
    let printed = ask(url, access, LONGEST_LOOK, || {
        // A folder of its own: git looks for a repository in the working directory, and has settings from there.
        let arguments = ["ls-remote", "--quiet", "--", &url.address()].map(str::to_owned);
        Ok(git(home, access).arg("-C").arg(home).args(arguments).args(&patterns))
    })?;
    let printed = String::from_utf8_lossy(&printed);
    let found = patterns.iter().find_map(|pattern| {
        let line = printed.lines().find(|line| line.split_once('\t').is_some_and(|(_, name)| name == pattern))?;
        let object = line.split('\t').next().filter(|object| is_object_name(object))?;
        Some(Tip { object: object.to_owned(), is_tag: pattern.starts_with("refs/tags/") })
    });
    found.with_context(|| failure::no_reference(url))
}

/// Fetches one object, without history, into a new repository at `place`; or says why it is not worth another try.
pub fn fetch(
    home: &Path,
    place: &Path,
    url: &RepositoryUrl,
    access: &Access,
    object: &str,
) -> Result<Result<(), Status>> {
    let format = if object.len() == 64 { "sha256" } else { "sha1" };
    let fetched = ask(url, access, LONGEST_FETCH, || {
        // What an attempt before this one has left is of no use, and may hold locks.
        files::remove(place)?;
        // Without a template there are no hooks, and no settings beyond git's own.
        let arguments = ["init", "--quiet", "--bare", "--template=", &format!("--object-format={format}"), "--"];
        git(home, &Access::default()).args(arguments).arg(place).limit(LONGEST_READ).run()?;
        let bounds = ["--depth=1", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"];
        let command = at(place, git(home, access)).args(["fetch", "--quiet"]).args(bounds);
        Ok(command.args(["--", &url.address(), object]).largest_file(LARGEST_PACK))
    });
    match fetched {
        // git does not say why the program that writes the pack was ended.
        Err(error) if is_full(place)? => {
            tracing::warn!("the repository is too large: {error:#}");
            Ok(Err(Status::Blocked(format!(
                "{REPOSITORY}: the repository has more than {} MiB, which is the most; keep rules apart from other things",
                LARGEST_PACK / 1024 / 1024
            ))))
        }
        other => other.map(|_| Ok(())),
    }
}

/// What is known of objects by these names, `None` for those that are not there.
pub fn check(repository: &Path, names: &[String]) -> Result<Vec<Option<Object>>> {
    let asked = names.join("\n") + "\n";
    let command = local(repository).args(["cat-file", "--batch-check"]).input(asked.into_bytes());
    let printed = command.run()?;
    let read = |line: &str| match line.split(' ').collect::<Vec<_>>()[..] {
        [id, kind, size] => Some(Object { id: id.to_owned(), kind: kind.to_owned(), size: size.parse().ok()? }),
        _ => None,
    };
    Ok(String::from_utf8_lossy(&printed).lines().map(read).collect())
}

/// What is in these folders of a commit, as `git ls-tree -z -l` prints it.
pub fn list(repository: &Path, commit: &str, folders: &[&str]) -> Result<Vec<u8>> {
    let paths = folders.iter().map(|folder| format!("{folder}/"));
    Ok(local(repository).args(["ls-tree", "-z", "-l", "--full-tree", commit]).args(paths).run()?)
}

/// The content of these objects, one name a line, as `git cat-file --batch` prints it.
pub fn contents(repository: &Path, names: Vec<u8>) -> Result<Vec<u8>> {
    Ok(local(repository).args(["cat-file", "--batch"]).input(names).run()?)
}

/// The names on the server that a ref may mean, the first that is there counts. `None`: nothing has to be asked.
fn patterns(reference: &Reference) -> Option<Vec<String>> {
    match reference {
        Reference::Commit(_) => None,
        Reference::Default => Some(vec!["HEAD".to_owned()]),
        Reference::Named(name) if name.starts_with("refs/") => Some(vec![name.clone()]),
        Reference::Named(name) => Some(vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")]),
    }
}

fn is_object_name(text: &str) -> bool {
    [40, 64].contains(&text.len()) && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// Lets git talk to the server, and again if it is worth it, all within `limit`. What goes wrong there has a status.
fn ask(
    url: &RepositoryUrl,
    access: &Access,
    limit: Duration,
    command: impl Fn() -> Result<Command>,
) -> Result<Vec<u8>> {
    let started = Instant::now();
    let mut tries = 1;
    loop {
        let left = limit.saturating_sub(started.elapsed()).max(Duration::from_secs(1));
        let error = match command()?.limit(left).run() {
            Ok(printed) => return Ok(printed),
            Err(error) => error,
        };
        let status = match &error {
            process::Error::Failed(_, output) => {
                let failure = Failure::of(&output.stderr);
                // A failure that took long would take as long again.
                if failure == Failure::Passing && tries < TRIES && started.elapsed() < limit / 3 {
                    tries += 1;
                    super::pause();
                    continue;
                }
                failure.status(url, &output.stderr, access.with_token)
            }
            process::Error::TimedOut(..) => {
                let text = format!("{REPOSITORY}: {} did not answer within {} s", url.host, limit.as_secs());
                Status::Waiting(text)
            }
            process::Error::Start(..) => return Err(error.into()),
        };
        return Err(Error::new(error).context(status));
    }
}

/// Has a pack in this repository reached the limit?
fn is_full(repository: &Path) -> Result<bool> {
    let packs = repository.join("objects/pack");
    for name in files::list(&packs)? {
        // It may be gone again: nobody waits for the programs that git has started.
        if fs::symlink_metadata(packs.join(name)).is_ok_and(|metadata| metadata.len() >= LARGEST_PACK) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A git that talks to no network.
fn local(repository: &Path) -> Command {
    let home = repository.parent().unwrap_or(repository);
    at(repository, git(home, &Access::default())).limit(LONGEST_READ)
}

fn at(repository: &Path, git: Command) -> Command {
    git.arg("--git-dir").arg(repository)
}

fn git(home: &Path, access: &Access) -> Command {
    let mut command = Command::new("git")
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home)
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("GIT_CEILING_DIRECTORIES", home)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ASKPASS", "")
        .env("SSH_ASKPASS", "")
        .env("GIT_ALLOW_PROTOCOL", "ssh:https")
        .env("GIT_ALLOC_LIMIT", "256m");
    for (name, value) in &access.variables {
        command = command.env(name, value.expose());
    }
    let fixed = SETTINGS.iter().copied();
    let settings = fixed.chain(access.settings.iter().map(|(key, value)| (key.as_str(), value.expose().as_str())));
    let mut count = 0;
    for (key, value) in settings {
        command = command.env(format!("GIT_CONFIG_KEY_{count}"), key).env(format!("GIT_CONFIG_VALUE_{count}"), value);
        count += 1;
    }
    command.env("GIT_CONFIG_COUNT", count.to_string())
}

/// The commit that an object is or, for an annotated tag, stands for; or what is wrong with it.
pub fn commit_of(repository: &Path, object: &str) -> Result<Result<String, Status>> {
    let answers = check(repository, &[format!("{object}^{{commit}}")])?;
    Ok(match answers.into_iter().next().flatten() {
        Some(object) if object.kind == "commit" && is_object_name(&object.id) => Ok(object.id),
        _ => Err(Status::Blocked(format!("{REPOSITORY}: {object} is no commit; name a branch, a tag or a commit"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_comes_before_a_tag_of_the_same_name_and_a_commit_needs_no_question() {
        let named = |name: &str| patterns(&Reference::Named(name.into())).unwrap();
        assert_eq!(named("v1"), ["refs/heads/v1", "refs/tags/v1"]);
        assert_eq!(named("refs/tags/v1"), ["refs/tags/v1"]);
        assert_eq!(patterns(&Reference::Default).unwrap(), ["HEAD"]);
        assert_eq!(patterns(&Reference::Commit("f".repeat(40))), None);
    }

    #[test]
    fn the_settings_are_in_order_and_each_is_there_once() {
        assert!(SETTINGS.is_sorted_by(|(a, _), (b, _)| a < b));
    }
}
