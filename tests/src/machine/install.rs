//! Enabling: the links below `/etc/systemd/system` that make a target want a unit.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::paths::{self, FOLDERS, Found, below};
use super::settings::Settings;

/// Where links are made.
const ETC: &str = FOLDERS[0];

/// What `is-enabled` says; `None` if there is no such unit file.
pub fn state(root: &Path, name: &str) -> Option<&'static str> {
    match paths::find(root, name) {
        Found::Missing => None,
        Found::Masked(_) => Some("masked"),
        Found::Alias(_) => Some("alias"),
        Found::File(path) => {
            let settings = Settings::read(root, name, &path, &paths::drop_ins(root, name));
            let own_alias =
                settings.aliases.iter().any(|alias| paths::find(root, alias) == Found::Alias(name.to_owned()));
            Some(if own_alias || !wants(root, |link| link == name).is_empty() {
                "enabled"
            } else if paths::names(root, name).len() > 1 {
                "indirect"
            } else if settings.can_be_enabled() {
                "disabled"
            } else {
                "static"
            })
        }
    }
}

/// The units that some target wants.
pub fn referenced(root: &Path) -> BTreeSet<String> {
    wants(root, |_| true).iter().filter_map(|link| Some(link.rsplit_once('/')?.1.to_owned())).collect()
}

/// The links in folders of wants and requirements.
fn wants(root: &Path, matches: impl Fn(&str) -> bool) -> Vec<String> {
    let mut links = Vec::new();
    for folder in FOLDERS {
        for target in paths::entries(&below(root, folder)) {
            let extension = Path::new(&target).extension();
            if extension.is_some_and(|extension| extension == "wants" || extension == "requires") {
                let folder = format!("{folder}/{target}");
                let names = paths::entries(&below(root, &folder));
                links.extend(names.into_iter().filter(|name| matches(name)).map(|name| format!("{folder}/{name}")));
            }
        }
    }
    links
}

/// Makes the links that `[Install]` asks for, and returns what `systemctl enable` prints.
pub fn enable(root: &Path, name: &str, path: &str, settings: &Settings) -> io::Result<String> {
    let folders = |targets: &[String], suffix: &str| -> Vec<String> {
        targets.iter().map(|target| format!("{ETC}/{target}.{suffix}/{name}")).collect()
    };
    let mut links: Vec<String> = settings.aliases.iter().map(|alias| format!("{ETC}/{alias}")).collect();
    links.extend(folders(&settings.wanted_by, "wants"));
    links.extend(folders(&settings.required_by, "requires"));
    let mut text = String::new();
    for link in links {
        let outside = below(root, &link);
        if fs::read_link(&outside).is_ok_and(|target| target == Path::new(path)) {
            continue;
        }
        if let Some(folder) = outside.parent() {
            fs::create_dir_all(folder)?;
        }
        symlink(path, &outside)?;
        text.push_str("Created symlink ");
        text.push_str(&link);
        text.push_str(" → ");
        text.push_str(path);
        text.push_str(".\n");
    }
    Ok(text)
}

/// Removes every link to a unit, and returns what `systemctl disable` prints; `None` if there was nothing to disable.
pub fn disable(root: &Path, name: &str) -> io::Result<Option<String>> {
    let id = match paths::find(root, name) {
        Found::Alias(target) => target,
        _ => name.to_owned(),
    };
    let mut links = wants(root, |link| link == id || link == name);
    links.extend(paths::names(root, &id).into_iter().skip(1).map(|alias| format!("{ETC}/{alias}")));
    links.retain(|link| link.starts_with(ETC) && below(root, link).is_symlink());
    if links.is_empty() && paths::find(root, &id) == Found::Missing {
        return Ok(None);
    }
    let mut text = String::new();
    for link in links {
        let outside = below(root, &link);
        fs::remove_file(&outside)?;
        if let Some(folder) = outside.parent().filter(|folder| !folder.ends_with("system")) {
            // Only an empty folder goes.
            drop(fs::remove_dir(folder));
        }
        text.push_str("Removed \"");
        text.push_str(&link);
        text.push_str("\".\n");
    }
    Ok(Some(text))
}
