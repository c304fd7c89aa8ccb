//! Files that the charm owns: **the** place that reads and replaces them.
//!
//! A file is replaced in one step — written beside its place, synchronised, renamed — so that no reader ever sees half
//! of it. The name of the file beside is always the same, so that what a killed hook left there is used up by the next.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::digest::Digest;

/// More than any file the charm reads as a whole. A larger one is somebody's mistake, not an answer to hold in memory.
const LARGEST: u64 = 32 * 1024 * 1024;

/// A file as it should be. `Debug` shows its digest, never its content, which may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Where it stands, absolute, as the unit names it.
    pub path: String,
    /// The nine permission bits.
    pub mode: u32,
    /// What it holds.
    pub content: Vec<u8>,
}

impl fmt::Debug for File {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, mode, content } = self;
        write!(out, "File({path}, mode {mode:o}, {} bytes, {})", content.len(), Digest::of(content).short())
    }
}

/// Is this file at `place`, with this content and mode, a regular file that belongs to us?
pub fn is_in_place(place: &Path, file: &File) -> Result<bool> {
    let Some(metadata) = look(place)? else {
        return Ok(false);
    };
    let ours =
        metadata.is_file() && metadata.permissions().mode() & 0o7777 == file.mode && metadata.uid() == own_user()?;
    Ok(ours && metadata.len() == file.content.len() as u64 && read(place)?.as_deref() == Some(&file.content))
}

/// The content of a file, or `None` when there is none. Follows links; refuses folders, devices and what is too large.
pub fn read(place: &Path) -> Result<Option<Vec<u8>>> {
    let failed = || format!("failed to read {}", place.display());
    // Not to wait for the other end of a named pipe.
    let opened = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(place);
    let file = match opened {
        Err(error) if is_absence(&error) => return Ok(None),
        other => other.with_context(failed)?,
    };
    let mut content = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut content).with_context(failed)?;
    if content.len() as u64 > LARGEST {
        bail!("{} has more than {LARGEST} bytes", place.display());
    }
    Ok(Some(content))
}

/// Puts a file at `place` in one step, with its parent folders (0755).
pub fn replace(place: &Path, content: &[u8], mode: u32) -> Result<()> {
    let (folder, beside) = beside(place)?;
    let failed = || format!("failed to write {}", place.display());
    fs::create_dir_all(folder).with_context(failed)?;
    remove(&beside)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside).with_context(failed)?;
    file.write_all(content).with_context(failed)?;
    // The mode given at creation is cut by the umask.
    file.set_permissions(fs::Permissions::from_mode(mode)).with_context(failed)?;
    file.sync_all().with_context(failed)?;
    fs::rename(&beside, place).with_context(failed)
}

/// What the charm has noted down for itself. A note that cannot be read is as good as none.
pub fn noted<T: DeserializeOwned>(place: &Path) -> Result<Option<T>> {
    Ok(read(place)?.and_then(|text| serde_json::from_slice(&text).ok()))
}

/// Notes something down as JSON that nobody else has to read (0600).
pub fn note(place: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec(value).with_context(|| format!("failed to write {} as JSON", place.display()))?;
    replace(place, &text, 0o600)
}

/// Makes a folder that only its owner may look into (0700), with its parent folders (0755).
pub fn private_folder(place: &Path) -> Result<()> {
    let failed = || format!("failed to make the folder {}", place.display());
    fs::create_dir_all(place).with_context(failed)?;
    fs::set_permissions(place, fs::Permissions::from_mode(0o700)).with_context(failed)
}

/// Makes `place` a symbolic link to `target` in one step.
pub fn replace_link(place: &Path, target: &Path) -> Result<()> {
    let (folder, beside) = beside(place)?;
    let failed = || format!("failed to link {} to {}", place.display(), target.display());
    fs::create_dir_all(folder).with_context(failed)?;
    remove(&beside)?;
    std::os::unix::fs::symlink(target, &beside).with_context(failed)?;
    fs::rename(&beside, place).with_context(failed)
}

/// Where a symbolic link points to, or `None` when there is no link.
pub fn link_target(place: &Path) -> Result<Option<PathBuf>> {
    match fs::read_link(place) {
        Ok(target) => Ok(Some(target)),
        Err(error) if is_absence(&error) || error.kind() == ErrorKind::InvalidInput => Ok(None),
        Err(error) => Err(error).with_context(|| format!("failed to read the link {}", place.display())),
    }
}

/// Removes a file, link or whole folder, and says whether it was there. Never follows a link.
pub fn remove(place: &Path) -> Result<bool> {
    let Some(metadata) = look(place)? else {
        return Ok(false);
    };
    let removed = if metadata.is_dir() { fs::remove_dir_all(place) } else { fs::remove_file(place) };
    removed.with_context(|| format!("failed to remove {}", place.display()))?;
    Ok(true)
}

/// Is anything there, a dangling link included?
pub fn exists(place: &Path) -> Result<bool> {
    Ok(look(place)?.is_some())
}

/// Is there a socket, perhaps behind a link? It need not be one that anybody listens on.
pub fn is_socket(place: &Path) -> Result<bool> {
    match fs::metadata(place) {
        Ok(metadata) => Ok(metadata.file_type().is_socket()),
        Err(error) if is_absence(&error) => Ok(false),
        Err(error) => Err(error).with_context(|| format!("failed to look at {}", place.display())),
    }
}

/// The names in a folder, sorted; empty when there is no folder. Names that are not UTF-8 are not ours and are left
/// out.
pub fn list(folder: &Path) -> Result<Vec<String>> {
    let failed = || format!("failed to list {}", folder.display());
    let entries = match fs::read_dir(folder) {
        Err(error) if is_absence(&error) => return Ok(Vec::new()),
        other => other.with_context(failed)?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok())).collect::<std::io::Result<Vec<_>>>();
    let mut names: Vec<String> = names.with_context(failed)?.into_iter().flatten().collect();
    names.sort();
    Ok(names)
}

fn look(place: &Path) -> Result<Option<fs::Metadata>> {
    match fs::symlink_metadata(place) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("failed to look at {}", place.display())),
    }
}

fn is_absence(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// The folder of a file, and the place beside it where its successor is written.
fn beside(place: &Path) -> Result<(&Path, PathBuf)> {
    let (Some(folder), Some(name)) = (place.parent(), place.file_name()) else {
        bail!("{} is no file", place.display())
    };
    Ok((folder, folder.join(format!(".{}.new", name.to_string_lossy()))))
}

/// The user this process runs as, read from the owner of its entry in /proc: the standard library has no call for it.
fn own_user() -> Result<u32> {
    Ok(fs::metadata("/proc/self").context("failed to look at /proc/self")?.uid())
}

/// `O_NONBLOCK` of Linux, the same on every architecture that Juju runs on.
const O_NONBLOCK: i32 = 0o4000;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &str, mode: u32) -> File {
        File { path: "/etc/x".into(), mode, content: content.into() }
    }

    #[test]
    fn a_replaced_file_has_its_content_and_mode_and_leaves_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a/b/x.yaml");
        replace(&place, b"one", 0o600).unwrap();
        replace(&place, b"two", 0o640).unwrap();
        assert!(is_in_place(&place, &file("two", 0o640)).unwrap());
        assert_eq!(list(place.parent().unwrap()).unwrap(), ["x.yaml"]);
    }

    #[test]
    fn a_note_is_read_back_by_nobody_else_and_garbage_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("run/note.json");
        assert_eq!(noted::<Vec<u8>>(&place).unwrap(), None);
        note(&place, &[1, 2]).unwrap();
        assert_eq!(noted(&place).unwrap(), Some(vec![1, 2]));
        assert!(is_in_place(&place, &file("[1,2]", 0o600)).unwrap());
        replace(&place, b"[1,", 0o600).unwrap();
        assert_eq!(noted::<Vec<u8>>(&place).unwrap(), None);
    }

    #[test]
    fn what_a_killed_hook_left_beside_is_used_up() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("x");
        fs::File::create(folder.path().join(".x.new")).unwrap();
        replace(&place, b"new", 0o644).unwrap();
        assert_eq!(list(folder.path()).unwrap(), ["x"]);
    }

    #[test]
    fn another_mode_another_content_or_a_link_is_not_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let (place, link) = (folder.path().join("x"), folder.path().join("link"));
        replace(&place, b"abc", 0o600).unwrap();
        replace_link(&link, &place).unwrap();
        assert!(!is_in_place(&place, &file("abc", 0o644)).unwrap());
        assert!(!is_in_place(&place, &file("abd", 0o600)).unwrap());
        assert!(!is_in_place(&link, &file("abc", 0o600)).unwrap());
        assert_eq!(link_target(&link).unwrap(), Some(place));
    }

    #[test]
    fn a_link_is_removed_and_its_target_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (place, link) = (folder.path().join("x"), folder.path().join("link"));
        replace(&place, b"abc", 0o600).unwrap();
        replace_link(&link, &place).unwrap();
        assert!(remove(&link).unwrap());
        assert!(!remove(&link).unwrap());
        assert!(exists(&place).unwrap());
    }

    #[test]
    fn what_is_not_there_is_not_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let nothing = folder.path().join("no/such");
        assert_eq!(read(&nothing).unwrap(), None);
        assert_eq!(link_target(&nothing).unwrap(), None);
        assert!(list(&nothing).unwrap().is_empty());
    }

    #[test]
    fn debug_does_not_show_the_content() {
        assert!(!format!("{:?}", file("hunter2", 0o600)).contains("hunter2"));
    }
}
