//! Where absolute paths really are: below `FALCO_STAND_IN_ROOT` when that is set, so that a machine can be a folder in
//! a test.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

fn root() -> Option<&'static Path> {
    static ROOT: OnceLock<Option<PathBuf>> = OnceLock::new();
    ROOT.get_or_init(|| std::env::var_os("FALCO_STAND_IN_ROOT").map(PathBuf::from)).as_deref()
}

/// The path to open for a path of the machine.
pub fn on_disk(path: &Path) -> PathBuf {
    match (root(), path.strip_prefix("/")) {
        // Whoever knows of the folder names it himself.
        (Some(root), _) if path.starts_with(root) => path.to_owned(),
        (Some(root), Ok(below)) => root.join(below),
        _ => path.to_owned(),
    }
}

/// The path of the machine for a path that was opened.
pub fn on_machine(path: &Path) -> PathBuf {
    match root().and_then(|root| path.strip_prefix(root).ok()) {
        Some(below) => Path::new("/").join(below),
        None => path.to_owned(),
    }
}
