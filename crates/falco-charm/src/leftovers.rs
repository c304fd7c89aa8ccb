//! What the Python charm of the same name left on the machine, once this charm has taken its place.
//!
//! Its unit file is replaced, like one of ours. Of the rest, what is provably its own is removed, after Falco runs
//! without it; everything else is left, and logged.

use std::path::PathBuf;

use anyhow::Result;
use charm_core::{Hook, files};
use url::Url;

use crate::paths::UNIT_FILE;

/// Its clone of the operator's repository.
const CLONE: &str = "/root/custom-falco-config-repository";

/// Where it put the SSH key for that.
const KEY: &str = "/root/.ssh/id_rsa";

/// Where it put the keys of hosts, over whatever was there.
const KNOWN_HOSTS: &str = "/root/.ssh/known_hosts";

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Provably the Python charm's.
    pub remove: Vec<String>,
    /// Its part of the charm's folder is there: the proof of all the above.
    pub own_folder: bool,
    /// What it may have written, and may be somebody else's as well.
    pub leave: Vec<String>,
}

/// Looks for them. `repository` and `key` are the options of today as they are: the Python charm had the same ones.
pub fn gather(hook: &Hook, repository: Option<&str>, key: Option<&[u8]>) -> Result<Leftovers> {
    let mut found = Leftovers::default();
    // It ran Falco out of its own folder, and wrote there. Juju takes away what came with a charm, and nothing else.
    let own_folder = own_folder(hook);
    found.own_folder = files::exists(&own_folder)?;
    let unit_file = files::read(&hook.path(UNIT_FILE))?.unwrap_or_default();
    let is_in_use = String::from_utf8_lossy(&unit_file).contains(&format!("ExecStart={}/", own_folder.display()));
    if !found.own_folder && !is_in_use {
        // It never was here. A key that looks like the option's is then the operator's own.
        return Ok(found);
    }
    if let Some(content) = files::read(&hook.path(KEY))? {
        let is_same = key.is_some_and(|key| !key.is_empty() && key.trim_ascii() == content.trim_ascii());
        if is_same { &mut found.remove } else { &mut found.leave }.push(KEY.to_owned());
    }
    if files::exists(&hook.path(KNOWN_HOSTS))? {
        found.leave.push(KNOWN_HOSTS.to_owned());
    }
    if files::exists(&hook.path(CLONE))? {
        let config = files::read(&hook.path(&format!("{CLONE}/.git/config")))?.unwrap_or_default();
        let origin = origin(&String::from_utf8_lossy(&config));
        let is_same = repository.zip(origin).is_some_and(|(option, origin)| is_same_repository(option, &origin));
        if is_same { &mut found.remove } else { &mut found.leave }.push(CLONE.to_owned());
    }
    Ok(found)
}

fn own_folder(hook: &Hook) -> PathBuf {
    hook.charm_dir.join("falco")
}

/// Removes what is to be removed. Only once Falco runs without it.
pub fn remove(hook: &Hook, leftovers: &Leftovers) -> Result<()> {
    let Leftovers { remove, own_folder, leave } = leftovers;
    for path in leave {
        tracing::warn!("{path} may be of the charm that was here before, and may be somebody else's: left as it is");
    }
    for path in remove {
        files::remove(&hook.path(path))?;
        tracing::info!("removed {path} of the charm that was here before");
    }
    if *own_folder {
        // Last, so that a hook that was killed is made good by the next: without it there is no proof.
        files::remove(&self::own_folder(hook))?;
    }
    Ok(())
}

/// The `url` of the remote `origin` in the configuration of a clone.
fn origin(config: &str) -> Option<String> {
    let lines = config.lines().map(str::trim).skip_while(|line| *line != "[remote \"origin\"]").skip(1);
    let (_, url) =
        lines.take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once('=')).find(|(key, _)| {
            // Git writes it with a blank before the sign.
            key.trim() == "url"
        })?;
    Some(url.trim().to_owned())
}

/// The Python charm cloned without the port and the ref of its option.
fn is_same_repository(option: &str, origin: &str) -> bool {
    let parts = |text: &str| {
        let url = Url::parse(text).ok()?;
        let path = url.path().split('@').next()?.trim_end_matches('/').to_owned();
        Some((url.host_str()?.to_owned(), path))
    };
    parts(option).is_some_and(|option| Some(option) == parts(origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::World;

    const OPTION: &str = "git+ssh://git@git.example.com:2222/org/settings.git@v1.0";
    const GIT_CONFIG: &str = "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = git+ssh://git@git.example.com/org/settings.git\n\tfetch = +refs/tags/v1.0\n";

    /// After a refresh from the Python charm that had a repository and a key.
    fn refreshed() -> World {
        let world = World::new();
        let own_file = own_folder(&world.hook).join("etc/falco/falco.yaml");
        files::replace(&own_file, b"config_files: []\n", 0o644).unwrap();
        world.write(&format!("{CLONE}/.git/config"), GIT_CONFIG);
        world.write(&format!("{CLONE}/rules.d/a.yaml"), "[]");
        world.write(KEY, "the key\n");
        world.write(KNOWN_HOSTS, "git.example.com ssh-rsa AAAA\n");
        world
    }

    #[test]
    fn what_is_provably_its_own_is_removed_and_the_rest_is_left() {
        let world = refreshed();
        let found = gather(&world.hook, Some(OPTION), Some(b"the key")).unwrap();
        assert_eq!(found.remove, [KEY, CLONE]);
        assert_eq!(found.leave, [KNOWN_HOSTS]);
        remove(&world.hook, &found).unwrap();
        assert_eq!(world.read(KEY), None);
        assert!(!own_folder(&world.hook).exists());
        assert!(world.read(KNOWN_HOSTS).is_some());
        assert_eq!(gather(&world.hook, Some(OPTION), Some(b"the key")).unwrap(), Leftovers::default());
    }

    #[test]
    fn a_key_or_a_clone_that_the_options_do_not_explain_stays() {
        let world = refreshed();
        for (option, key) in [
            (None, None),
            (Some("git+ssh://git@git.example.com/org/other.git"), Some(b"another key".as_slice())),
            (Some("git+ssh://git@other.example/org/settings.git"), Some(b"".as_slice())),
            (Some("no url"), None),
        ] {
            let found = gather(&world.hook, option, key).unwrap();
            assert_eq!(found.remove, [""; 0], "{option:?}");
            assert_eq!(found.leave, [KEY, KNOWN_HOSTS, CLONE], "{option:?}");
        }
        world.write(KEY, "");
        let found = gather(&world.hook, Some(OPTION), Some(b"")).unwrap();
        assert!(found.leave.contains(&KEY.to_owned()), "an empty key proves nothing");
    }

    #[test]
    fn where_the_python_charm_never_was_nothing_is_its_own() {
        let world = refreshed();
        let own_folder = own_folder(&world.hook);
        files::remove(&own_folder).unwrap();
        assert_eq!(gather(&world.hook, Some(OPTION), Some(b"the key")).unwrap(), Leftovers::default());
        // Its Falco still runs, so it was here, though Juju took all of its folder away.
        world.write(UNIT_FILE, &format!("[Service]\nExecStart={}/usr/bin/falco -c x\n", own_folder.display()));
        assert_eq!(gather(&world.hook, Some(OPTION), Some(b"the key")).unwrap().remove, [KEY, CLONE]);
    }

    #[test]
    fn a_clone_is_recognised_without_port_user_and_ref() {
        for (option, is_same) in [
            (OPTION, true),
            ("git+ssh://git.example.com/org/settings.git", true),
            ("git+ssh://git@git.example.com/org/settings.git/", true),
            ("git+ssh://git@git.example.com/org/settings", false),
        ] {
            assert_eq!(is_same_repository(option, &origin(GIT_CONFIG).unwrap()), is_same, "{option}");
        }
        assert_eq!(origin("[remote \"upstream\"]\n\turl = x\n[remote \"origin\"]\n[core]\n\turl = y\n"), None);
    }
}
