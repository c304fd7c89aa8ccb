//! What the packed charms say about themselves, checked where charmcraft itself does not look.
//!
//! charmcraft takes any text as the type of an option and any name as a reference, and Juju refuses the charm when it
//! is deployed. Nothing here starts a charm: the files are read and compared, with each other and with the names that a
//! refresh from the Python charms depends on.

mod charm;
mod consistency;
mod descriptions;
mod interfaces;
mod options;
mod surface;
mod workloads;

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text of a file of the repository.
fn text(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The sorted names in a folder of the repository, those that begin with a dot left out.
fn names(folder: &str) -> Vec<String> {
    let path = root().join(folder);
    let entries = fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}
