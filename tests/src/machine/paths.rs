//! Where systemd looks for unit files below one root folder, and what it finds there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where unit files are looked for; the first folder wins.
pub const FOLDERS: [&str; 4] =
    ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

/// What stands on disk under a unit's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Missing,
    /// A link to `/dev/null` or an empty file at this path.
    Masked(String),
    /// A link to a unit of another name.
    Alias(String),
    /// A unit file at this path.
    File(String),
}

/// An absolute path of the host, seen from outside.
pub fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Looks a unit up, without following aliases.
pub fn find(root: &Path, name: &str) -> Found {
    for folder in FOLDERS {
        let path = format!("{folder}/{name}");
        let Ok(metadata) = fs::symlink_metadata(below(root, &path)) else {
            continue;
        };
        if !metadata.is_symlink() {
            return if metadata.len() == 0 { Found::Masked(path) } else { Found::File(path) };
        }
        let target = link_target(root, &path);
        if target == "/dev/null" {
            return Found::Masked(path);
        }
        let base = target.rsplit('/').next().unwrap_or_default();
        if base != name {
            return Found::Alias(base.to_owned());
        }
        if below(root, &target).exists() {
            return Found::File(target);
        }
    }
    Found::Missing
}

/// The absolute path, inside the root, that a link names.
fn link_target(root: &Path, link: &str) -> String {
    let target = fs::read_link(below(root, link)).unwrap_or_default();
    let inside = match target.strip_prefix(root) {
        Ok(inside) => Path::new("/").join(inside),
        Err(_) => Path::new(link).parent().unwrap_or_else(|| Path::new("/")).join(&target),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in inside.to_str().unwrap_or_default().split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The names under which a unit is known: its own first, then every link to it.
pub fn names(root: &Path, id: &str) -> Vec<String> {
    let links: BTreeSet<String> = FOLDERS
        .iter()
        .flat_map(|folder| entries(&below(root, folder)))
        .filter(|name| find(root, name) == Found::Alias(id.to_owned()))
        .collect();
    std::iter::once(id.to_owned()).chain(links).collect()
}

/// The sorted names in a folder; none if there is no folder.
pub fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// The paths of a unit's drop-in files, in the order in which they apply.
pub fn drop_ins(root: &Path, id: &str) -> Vec<String> {
    let mut found: Vec<(String, String)> = Vec::new();
    for folder in FOLDERS {
        let folder = format!("{folder}/{id}.d");
        for name in entries(&below(root, &folder)) {
            if Path::new(&name).extension().is_some_and(|extension| extension == "conf")
                && !found.iter().any(|(known, _)| *known == name)
            {
                let path = format!("{folder}/{name}");
                found.push((name, path));
            }
        }
    }
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

/// When a file was last written; `None` if there is none.
pub fn modified(root: &Path, path: &str) -> Option<SystemTime> {
    fs::symlink_metadata(below(root, path)).ok()?.modified().ok()
}
