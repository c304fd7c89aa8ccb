//! What is in the tarball of a distribution.
//!
//! It may come from anybody who can attach a resource, so its list of entries is checked as a whole before anything is
//! written: no way out of its folder, nothing but files, folders and links, and no more than fits. One that came with
//! the charm also has to be the pinned one, byte for byte.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use charm_core::digest::Fingerprint;
use flate2::read::GzDecoder;
use serde::Deserialize;
use tar::{Archive, EntryType};

use super::{Distribution, Tarball};
use crate::k8s_audit::Carried;
use crate::paths::{CONTAINER_PLUGIN, DEFAULT_RULES, JSON_PLUGIN, K8S_AUDIT_PLUGIN, K8S_AUDIT_RULES, PROGRAM};

/// How much a distribution may unpack to. The official one has 170 MB.
const LARGEST: u64 = 2 * 1024 * 1024 * 1024;

/// How many entries it may have. The official one has a few hundred, most of them sources of the kernel module.
const MOST_ENTRIES: usize = 20_000;

/// Opens one, to be read once from beginning to end.
pub fn open(path: &Path) -> Result<Archive<impl Read>> {
    let file = File::open(path).with_context(|| format!("failed to open {}", path.display()))?;
    // A few kilobytes can claim to be petabytes.
    Ok(Archive::new(GzDecoder::new(file).take(LARGEST)))
}

/// Reads a tarball to its end. The inner error is about its content, in words for the operator.
pub fn inspect(tarball: &Tarball) -> Result<Result<Distribution, String>> {
    let file = File::open(&tarball.path).with_context(|| format!("failed to open {}", tarball.path.display()))?;
    let fingerprint = Fingerprint::of(file).with_context(|| format!("failed to read {}", tarball.path.display()))?;
    if !tarball.attached && !pinned().is_some_and(|pinned| pinned.matches(&fingerprint)) {
        return Ok(Err("the packed distribution is not the pinned one: its checksum differs".to_owned()));
    }
    let contents = match contents(&tarball.path)? {
        Ok(contents) => contents,
        Err(problem) => return Ok(Err(problem)),
    };
    let version = contents.version.unwrap_or_else(|| "unknown".to_owned());
    let name = format!("{version}-{}", &fingerprint.sha256[..12]);
    Ok(Ok(Distribution { name, container_plugin: contents.container_plugin, audit: contents.audit }))
}

#[derive(Default)]
struct Contents {
    folder: Option<PathBuf>,
    version: Option<String>,
    architecture: Option<&'static str>,
    default_rules: bool,
    container_plugin: bool,
    audit: Carried,
}

fn contents(path: &Path) -> Result<Result<Contents, String>> {
    let mut archive = open(path)?;
    let mut contents = Contents::default();
    let (mut count, mut size) = (0, 0_u64);
    let entries = match archive.entries() {
        Ok(entries) => entries,
        Err(error) => return Ok(Err(format!("not a tar.gz archive ({error})"))),
    };
    for entry in entries {
        let mut entry = match entry {
            Ok(entry) => entry,
            Err(error) => return Ok(Err(format!("not a whole tar.gz archive ({error})"))),
        };
        count += 1;
        size = size.saturating_add(entry.header().size().unwrap_or(u64::MAX));
        if count > MOST_ENTRIES || size > LARGEST {
            return Ok(Err(format!("more than {MOST_ENTRIES} entries or {LARGEST} bytes")));
        }
        let (Ok(path), Ok(link)) =
            (entry.path().map(PathBuf::from), entry.link_name().map(|link| link.map(PathBuf::from)))
        else {
            return Ok(Err("an entry with a name that is no path".to_owned()));
        };
        if let Err(problem) = check_entry(&path, entry.header().entry_type(), link.as_deref()) {
            return Ok(Err(format!("entry {}: {problem}", path.display())));
        }
        let folder = top_folder(&path);
        if *contents.folder.get_or_insert_with(|| folder.clone()) != folder {
            return Ok(Err("entries in more than one folder".to_owned()));
        }
        let Some(place) = below_top(&path) else { continue };
        match place.to_str() {
            Some(PROGRAM) => {
                let mut start = [0; 20];
                contents.architecture = entry.read_exact(&mut start).ok().and_then(|()| elf_architecture(&start));
                contents.version = top_folder(&path).to_str().and_then(version_of);
            }
            Some(DEFAULT_RULES) => contents.default_rules = true,
            Some(CONTAINER_PLUGIN) => contents.container_plugin = true,
            Some(K8S_AUDIT_PLUGIN) => contents.audit.plugin = true,
            Some(JSON_PLUGIN) => contents.audit.json = true,
            Some(K8S_AUDIT_RULES) => contents.audit.rules = true,
            _ => {}
        }
    }
    let here = std::env::consts::ARCH;
    Ok(match contents {
        Contents { architecture: None, .. } => Err(format!("no program at <folder>/{PROGRAM}")),
        Contents { architecture: Some(other), .. } if other != here => {
            Err(format!("built for {other}, this machine is {here}"))
        }
        Contents { default_rules: false, .. } => Err(format!("no rules at <folder>/{DEFAULT_RULES}")),
        good => Ok(good),
    })
}

/// An entry that stays below its top folder, whatever was unpacked before it.
fn check_entry(path: &Path, kind: EntryType, link: Option<&Path>) -> Result<(), &'static str> {
    let Some(inside) = depth(path) else {
        return Err("outside of the archive's folder");
    };
    match (kind, link) {
        (EntryType::Regular | EntryType::Continuous | EntryType::Directory | EntryType::XGlobalHeader, _) => Ok(()),
        // A link may point to its neighbours. A way up is followed no further than the top folder.
        (EntryType::Symlink, Some(target)) if !target.is_absolute() => {
            let start = inside.saturating_sub(1);
            let stays = target.components().try_fold(start, |depth, part| match part {
                Component::Normal(_) => Some(depth + 1),
                Component::CurDir => Some(depth),
                Component::ParentDir if depth > 1 => Some(depth - 1),
                _ => None,
            });
            stays.map(drop).ok_or("a link out of the archive's folder")
        }
        (EntryType::Link, Some(target)) if depth(target).is_some_and(|depth| depth > 1) => Ok(()),
        (EntryType::Symlink | EntryType::Link, _) => Err("a link out of the archive's folder"),
        _ => Err("neither a file, a folder nor a link"),
    }
}

/// How many folders deep a path lies; `None` for one that starts at the root or goes up.
fn depth(path: &Path) -> Option<usize> {
    path.components().try_fold(0, |depth, part| match part {
        Component::Normal(_) => Some(depth + 1),
        Component::CurDir => Some(depth),
        _ => None,
    })
}

/// The path without the archive's own folder.
pub fn below_top(path: &Path) -> Option<PathBuf> {
    let rest: PathBuf = path.components().filter(|part| *part != Component::CurDir).skip(1).collect();
    (!rest.as_os_str().is_empty()).then_some(rest)
}

fn top_folder(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).take(1).collect()
}

/// The version in `falco-0.44.1-x86_64`. It becomes part of a folder's name, so nothing else than digits, letters and
/// dots will do.
fn version_of(folder: &str) -> Option<String> {
    let version = folder.strip_prefix("falco-")?.split('-').next()?;
    let plain = !version.is_empty() && version.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
    (plain && version.starts_with(|c: char| c.is_ascii_digit())).then(|| version.to_owned())
}

/// The architecture of a program for Linux, from the first bytes of its file.
fn elf_architecture(start: &[u8; 20]) -> Option<&'static str> {
    if !start.starts_with(b"\x7fELF") {
        return None;
    }
    match u16::from_le_bytes([start[18], start[19]]) {
        0x3e => Some("x86_64"),
        0xb7 => Some("aarch64"),
        _ => Some("another architecture"),
    }
}

/// What `metadata/workloads.yaml` says of one file.
#[derive(Deserialize)]
struct Pinned {
    arch: String,
    size: u64,
    sha256: Option<String>,
    sha512: Option<String>,
}

impl Pinned {
    /// Every sum that is known has to be right, and at least one has to be known.
    fn matches(&self, found: &Fingerprint) -> bool {
        let Self { arch: _, size, sha256, sha512 } = self;
        *size == found.size
            && (sha256.is_some() || sha512.is_some())
            && sha256.as_ref().is_none_or(|sum| *sum == found.sha256)
            && sha512.as_ref().is_none_or(|sum| *sum == found.sha512)
    }
}

#[derive(Deserialize)]
struct Workloads {
    falco: Workload,
}

#[derive(Deserialize)]
struct Workload {
    platforms: BTreeMap<String, Pinned>,
}

/// The pinned distribution of this machine's architecture.
fn pinned() -> Option<Pinned> {
    let workloads: Workloads = serde_yaml::from_str(include_str!("../../../../metadata/workloads.yaml")).ok()?;
    workloads.falco.platforms.into_values().find(|pinned| pinned.arch == std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, kind: EntryType, link: Option<&str>) -> Result<(), &'static str> {
        check_entry(Path::new(path), kind, link.map(Path::new))
    }

    #[test]
    fn nothing_leads_out_of_the_archive() {
        for (path, kind, link) in [
            ("/etc/passwd", EntryType::Regular, None),
            ("falco/../../etc/passwd", EntryType::Regular, None),
            ("falco/a", EntryType::Symlink, Some("/etc")),
            ("falco/a", EntryType::Symlink, Some("../..")),
            ("falco/a", EntryType::Symlink, Some("..")),
            ("falco/a", EntryType::Symlink, Some("b/../../../c")),
            ("falco/a", EntryType::Symlink, None),
            ("falco/a", EntryType::Link, Some("falco/../../b")),
            ("falco/a", EntryType::Link, Some("/etc/shadow")),
            ("falco/a", EntryType::Link, None),
            ("falco/a", EntryType::Char, None),
            ("falco/a", EntryType::Fifo, None),
        ] {
            assert!(check(path, kind, link).is_err(), "{path} {kind:?} {link:?}");
        }
    }

    #[test]
    fn files_folders_and_links_to_neighbours_are_fine() {
        for (path, kind, link) in [
            ("./falco/usr/bin/falco", EntryType::Regular, None),
            ("falco/etc/", EntryType::Directory, None),
            ("falco/usr/lib/x.so", EntryType::Symlink, Some("x.so.1")),
            ("falco/usr/lib/y.so", EntryType::Link, Some("falco/usr/lib/x.so")),
            ("falco/usr/lib/x.so", EntryType::Symlink, Some("../share/./x.so")),
        ] {
            assert_eq!(check(path, kind, link), Ok(()), "{path}");
        }
    }

    #[test]
    fn the_version_is_in_the_name_of_the_folder() {
        assert_eq!(version_of("falco-0.44.1-x86_64").as_deref(), Some("0.44.1"));
        assert_eq!(version_of("falco-0.45.0rc1-aarch64").as_deref(), Some("0.45.0rc1"));
        for folder in ["falco", "falco-", "falco-../x", "other-1.0", "falco-x86_64"] {
            assert_eq!(version_of(folder), None, "{folder}");
        }
    }

    #[test]
    fn the_pins_can_be_read_and_one_wrong_sum_is_enough_to_refuse() {
        let pinned = pinned().expect("this architecture is pinned");
        let sum = |sum: &Option<String>| sum.clone().unwrap_or_default();
        let mut found = Fingerprint { size: pinned.size, sha256: sum(&pinned.sha256), sha512: sum(&pinned.sha512) };
        assert!(pinned.matches(&found));
        found.sha512.replace_range(0..1, "x");
        assert!(!pinned.matches(&found));
    }
}
