//! Events without a kernel probe: inotify tells that a file in a watched folder was opened, and how, but not by whom.
//! Who it was is looked up in `/proc` at the moment of opening, and is found if the process has not closed the file by
//! then.
//!
//! `FALCO_STAND_IN_WATCH` names the folders, separated by colons; `/etc` is the default. Folders below them are watched
//! too.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use inotify::{Event, EventMask, EventStream, Inotify, WatchDescriptor, WatchMask};
use tokio_stream::StreamExt as _;

use super::disk::{on_disk, on_machine};
use super::event::Opener;
use super::opener::opener_of;

/// Room for many events at once.
type Buffer = Vec<u8>;

const BUFFER: usize = 64 * 1024;

/// Whether the kernel describes its types. Without that the modern probe cannot be loaded.
pub fn kernel_has_types() -> bool {
    let given = std::env::var_os("FALCO_STAND_IN_BTF").map(PathBuf::from);
    given.unwrap_or_else(|| on_disk(Path::new("/sys/kernel/btf/vmlinux"))).is_file()
}

/// A file that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Path on the machine.
    pub path: PathBuf,
    /// For reading, or else for writing.
    pub read: bool,
    /// By whom, if that could be seen.
    pub opener: Option<Opener>,
}

/// The watch on the folders.
pub struct Watch {
    events: EventStream<Buffer>,
    folders: HashMap<WatchDescriptor, PathBuf>,
    /// Who opened a file without a sign yet what for.
    undecided: HashMap<PathBuf, Vec<Option<Opener>>>,
    /// Whether a rule could match a file: only then it matters who opens it.
    interesting: Box<dyn Fn(&Path) -> bool>,
}

impl Watch {
    /// Watches the folders of the environment.
    pub fn open(interesting: Box<dyn Fn(&Path) -> bool>) -> io::Result<Self> {
        let events = Inotify::init()?.into_event_stream(vec![0; BUFFER])?;
        let mut watch = Self { events, folders: HashMap::new(), undecided: HashMap::new(), interesting };
        let folders = std::env::var("FALCO_STAND_IN_WATCH").unwrap_or_else(|_| "/etc".into());
        for folder in folders.split(':').filter(|folder| !folder.is_empty()) {
            watch.add(&on_disk(Path::new(folder)));
        }
        Ok(watch)
    }

    /// The next file that was opened.
    pub async fn next(&mut self) -> Opened {
        loop {
            match self.events.next().await {
                Some(Ok(event)) => {
                    if let Some(opened) = self.take(event) {
                        return opened;
                    }
                }
                // The queue was too short for what happened; what was lost stays lost, as in Falco.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    fn take(&mut self, event: Event<OsString>) -> Option<Opened> {
        let Event { wd, mask, name, .. } = event;
        let path = self.folders.get(&wd)?.join(name?);
        if mask.contains(EventMask::ISDIR) {
            if mask.intersects(EventMask::CREATE | EventMask::MOVED_TO) {
                self.add(&path);
            }
            return None;
        }
        if mask.contains(EventMask::OPEN) {
            let opener = if (self.interesting)(&on_machine(&path)) { opener_of(&path) } else { None };
            self.undecided.entry(path).or_default().push(opener);
            return None;
        }
        // A read, or the end of an opening that could only read, shows what the file was opened for.
        let read = mask.intersects(EventMask::ACCESS | EventMask::CLOSE_NOWRITE);
        if !read && !mask.contains(EventMask::CLOSE_WRITE) {
            return None;
        }
        let undecided = self.undecided.get_mut(&path)?;
        let opener = undecided.pop()?;
        if undecided.is_empty() {
            self.undecided.remove(&path);
        }
        Some(Opened { path: on_machine(&path), read, opener })
    }

    /// Watches a folder and all below it; one that cannot be watched is left out.
    fn add(&mut self, folder: &Path) {
        let mask = WatchMask::OPEN
            | WatchMask::ACCESS
            | WatchMask::CLOSE
            | WatchMask::CREATE
            | WatchMask::MOVED_TO
            | WatchMask::ONLYDIR;
        let Ok(descriptor) = self.events.watches().add(folder, mask) else { return };
        self.folders.insert(descriptor, folder.to_owned());
        let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            self.add(&entry.path());
        }
    }
}
