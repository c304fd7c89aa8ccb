//! Watching the files of the configuration: single files for content and name, folders for the names in them.
//!
//! A file that was replaced takes its watch with it, which is why Falco misses changes after a reload that failed.

use std::io;
use std::path::PathBuf;

use inotify::{EventStream, Inotify, WatchMask};
use tokio_stream::StreamExt as _;

use super::disk::on_disk;

/// Changes of files and folders.
pub struct Changes {
    events: EventStream<Vec<u8>>,
}

impl Changes {
    /// Starts to watch. What is not there cannot be watched.
    pub fn watch(files: &[PathBuf], folders: &[PathBuf]) -> io::Result<Self> {
        let events = Inotify::init()?.into_event_stream(vec![0; 4096])?;
        let of_file = WatchMask::CLOSE_WRITE | WatchMask::MOVE_SELF | WatchMask::DELETE_SELF;
        let of_folder = WatchMask::CREATE | WatchMask::DELETE | WatchMask::MOVE;
        for (paths, mask) in [(files, of_file), (folders, of_folder)] {
            for path in paths {
                let _ = events.watches().add(on_disk(path), mask);
            }
        }
        Ok(Self { events })
    }

    /// Waits for a change.
    pub async fn next(&mut self) {
        if self.events.next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
