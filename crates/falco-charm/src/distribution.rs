//! Falco distributions: the tarball to install from, what is in it, and unpacking it.
//!
//! A tarball may come from anybody who can attach a resource, so its list of entries is checked as a whole before
//! anything is written: no way out of its folder, nothing but files, folders and links, and no more than fits. One that
//! came with the charm also has to be the pinned one, byte for byte. Each is unpacked into a folder of its own, so that
//! nothing that runs is touched.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use charm_core::digest::Fingerprint;
use charm_core::{Hook, files, juju};
use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};
use tar::{Archive, EntryType};

use crate::paths::{CONTAINER_PLUGIN, DEFAULT_RULES, DISTRIBUTIONS, ORIGIN_FILE, PROGRAM};

/// The resource that an operator can attach.
const RESOURCE: &str = "falco";

/// The tarball that may have been packed with the charm.
const BUNDLED: &str = "falco.tar.gz";

/// How much a distribution may unpack to. The official one has 170 MB.
const LARGEST: u64 = 2 * 1024 * 1024 * 1024;

/// How many entries it may have. The official one has a few hundred, most of them sources of the kernel module.
const MOST_ENTRIES: usize = 20_000;

/// Where a distribution is assembled before it gets its name.
const UNPACKING: &str = ".unpacking";

/// A tarball, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tarball {
    /// Where it lies.
    pub path: PathBuf,
    /// It is the operator's, not the one packed with the charm.
    pub attached: bool,
    /// Its size in bytes.
    size: u64,
    /// When it was last changed, in nanoseconds.
    modified: i64,
}

/// A distribution, unpacked or about to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// The folder below [`DISTRIBUTIONS`]: version and digest of the tarball.
    pub name: String,
    /// Its container plugin is there.
    pub container_plugin: bool,
}

impl Distribution {
    /// Its version, as the tarball's folder told it.
    pub fn version(&self) -> &str {
        self.name.split('-').next().unwrap_or_default()
    }

    /// The absolute path of something in it.
    pub fn path(&self, below: &str) -> String {
        format!("{DISTRIBUTIONS}/{}/{below}", self.name)
    }
}

/// What there is to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Available {
    /// Nothing to install from, and nothing installed.
    #[default]
    Nothing,
    /// What the tarball holds is unpacked already.
    Installed(Distribution),
    /// The tarball is new, and good.
    New(Tarball, Distribution),
    /// The tarball is new, and cannot be used.
    Unusable {
        /// Which.
        tarball: Tarball,
        /// Why, in words for the operator.
        problem: String,
        /// What was installed before.
        installed: Option<Distribution>,
    },
}

impl Available {
    /// What is unpacked, and goes on to run unless something new takes its place.
    pub fn installed(&self) -> Option<&Distribution> {
        match self {
            Self::Installed(distribution) => Some(distribution),
            Self::Unusable { installed, .. } => installed.as_ref(),
            Self::New(..) | Self::Nothing => None,
        }
    }
}

/// What the origin file says: this tarball was unpacked into that folder.
#[derive(Serialize, Deserialize)]
struct Origin {
    tarball: Tarball,
    distribution: Distribution,
}

/// The origin file for a distribution.
pub fn origin_text(tarball: &Tarball, distribution: &Distribution) -> String {
    let origin = Origin { tarball: tarball.clone(), distribution: distribution.clone() };
    serde_json::to_string_pretty(&origin).expect("paths of Juju are UTF-8") + "\n"
}

/// Looks at what there is. Reads only.
///
/// Juju tells of a new resource by `upgrade-charm`, the event that also brings a new charm. So it is asked then, and as
/// long as nothing is installed; in every other hook a look at the file that was used last is enough.
pub fn look(hook: &Hook, may_have_changed: bool) -> Result<Available> {
    let origin = origin(hook)?;
    let found = match &origin {
        Some(origin) if !may_have_changed => tarball(&origin.tarball.path, origin.tarball.attached)?,
        _ => match juju::resource_get(RESOURCE)? {
            Some(path) => tarball(&path, true)?.map_or_else(|| bundled(hook), |attached| Ok(Some(attached)))?,
            // A controller that cannot deliver the operator's tarball now is no reason to replace what came from it.
            None => match &origin {
                Some(origin) if origin.tarball.attached => Some(origin.tarball.clone()),
                _ => bundled(hook)?,
            },
        },
    };
    match (found, origin) {
        (Some(found), Some(origin)) if found == origin.tarball => Ok(Available::Installed(origin.distribution)),
        (Some(found), origin) => Ok(match inspect(&found)? {
            Ok(distribution) => Available::New(found, distribution),
            Err(problem) => {
                let installed = origin.map(|origin| origin.distribution);
                Available::Unusable { tarball: found, problem, installed }
            }
        }),
        // Gone is as good as unchanged: what is installed needs it no more.
        (None, Some(origin)) => Ok(Available::Installed(origin.distribution)),
        (None, None) => Ok(Available::Nothing),
    }
}

/// Unpacks a tarball that [`look`] found good. Does nothing when that was done before.
pub fn unpack(hook: &Hook, tarball: &Tarball, distribution: &Distribution) -> Result<()> {
    if is_unpacked(hook, distribution)? {
        return Ok(());
    }
    let beside = hook.path(&format!("{DISTRIBUTIONS}/{UNPACKING}"));
    files::remove(&beside)?;
    fs::create_dir_all(&beside).with_context(|| format!("failed to make {}", beside.display()))?;
    let failed = || format!("failed to unpack {}", tarball.path.display());
    let mut archive = open(&tarball.path)?;
    // No user but root may write to what root runs, whatever the tarball says.
    archive.set_mask(0o022);
    archive.set_preserve_ownerships(false);
    archive.set_overwrite(false);
    for entry in archive.entries().with_context(failed)? {
        let mut entry = entry.with_context(failed)?;
        let path = entry.path().with_context(failed)?.into_owned();
        let Some(place) = below_top(&path) else { continue };
        let place = beside.join(place);
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).with_context(failed)?;
        }
        if entry.header().entry_type() == EntryType::Link {
            // Its target is named from the top of the archive, and was unpacked before it.
            let target =
                entry.link_name().with_context(failed)?.and_then(|target| below_top(&target)).with_context(failed)?;
            fs::hard_link(beside.join(target), &place).with_context(failed)?;
        } else {
            entry.unpack(&place).with_context(failed)?;
        }
    }
    let place = hook.path(&distribution.path(""));
    files::remove(&place)?;
    fs::rename(&beside, &place).with_context(failed)
}

/// Removes all other distributions, and what a killed hook left of one.
pub fn remove_others(hook: &Hook, keep: &Distribution) -> Result<()> {
    let folder = hook.path(DISTRIBUTIONS);
    for name in files::list(&folder)? {
        let place = folder.join(&name);
        if name != keep.name && place.is_dir() {
            files::remove(&place)?;
            tracing::debug!("removed {}", place.display());
        }
    }
    Ok(())
}

/// Where the installed distribution came from, if one is installed.
fn origin(hook: &Hook) -> Result<Option<Origin>> {
    let text = files::read(&hook.path(ORIGIN_FILE))?;
    // It only saves time. One that cannot be read is as good as none.
    let Some(origin) = text.and_then(|text| serde_json::from_slice::<Origin>(&text).ok()) else {
        return Ok(None);
    };
    Ok(if is_unpacked(hook, &origin.distribution)? { Some(origin) } else { None })
}

fn is_unpacked(hook: &Hook, distribution: &Distribution) -> Result<bool> {
    files::exists(&hook.path(&distribution.path(PROGRAM)))
}

/// The tarball that was packed with the charm, if one was.
fn bundled(hook: &Hook) -> Result<Option<Tarball>> {
    tarball(&hook.charm_dir.join(BUNDLED), false)
}

/// A file to install from. An empty one stands for none: that is how a resource is published for those who need none.
fn tarball(path: &Path, attached: bool) -> Result<Option<Tarball>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.len() > 0 => {
            let modified = metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec();
            Ok(Some(Tarball { path: path.to_owned(), attached, size: metadata.len(), modified }))
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to look at {}", path.display()))
        }
        _ => Ok(None),
    }
}

fn open(path: &Path) -> Result<Archive<impl Read>> {
    let file = File::open(path).with_context(|| format!("failed to open {}", path.display()))?;
    // A few kilobytes can claim to be petabytes.
    Ok(Archive::new(GzDecoder::new(file).take(LARGEST)))
}

/// Reads a tarball to its end. The inner error is about its content, in words for the operator.
fn inspect(tarball: &Tarball) -> Result<Result<Distribution, String>> {
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
    Ok(Ok(Distribution { name, container_plugin: contents.container_plugin }))
}

#[derive(Default)]
struct Contents {
    folder: Option<PathBuf>,
    version: Option<String>,
    architecture: Option<&'static str>,
    default_rules: bool,
    container_plugin: bool,
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
fn below_top(path: &Path) -> Option<PathBuf> {
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
    let workloads: Workloads = serde_yaml::from_str(include_str!("../../../metadata/workloads.yaml")).ok()?;
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
