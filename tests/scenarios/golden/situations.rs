//! Situations and the status in each, as one text.

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The list so far, in the order in which a unit may get there.
#[derive(Debug, Default)]
pub struct Situations(String);

impl Situations {
    /// Adds one.
    pub fn add(&mut self, situation: &str, status: impl Display) {
        let status = status.to_string();
        self.0.extend([situation, "\n    ", status.trim_end(), "\n"]);
    }

    /// The list.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// Puts a script where a program is that may be running.
pub fn replace_program(program: &Path, script: &str) {
    fs::remove_file(program).unwrap();
    fs::write(program, script).unwrap();
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
}
