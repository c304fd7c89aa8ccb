//! The log of the Falcosidekick stand-in: standard error, in the form of Go's logger.

use jiff::Timestamp;

use crate::stand_in::{FALCOSIDEKICK_PREFIX, log_lines};

/// How Falcosidekick marks a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// `[INFO]`
    Info,
    /// `[WARN]`
    Warn,
    /// `[ERROR]`
    Error,
    /// `[DEBUG]`
    Debug,
    /// Its logger has no mark for this one.
    Fatal,
}

/// Writes a line.
pub fn write(level: Level, text: &str) {
    let mark = match level {
        Level::Info => "[INFO] ",
        Level::Warn => "[WARN] ",
        Level::Error => "[ERROR]",
        Level::Debug => "[DEBUG]",
        Level::Fatal => "",
    };
    bare(&format!("{} {mark} : {text}", now()));
}

/// `[INFO]`
pub fn info(text: &str) {
    write(Level::Info, text);
}

/// `[ERROR]`
pub fn error(text: &str) {
    write(Level::Error, text);
}

/// A line of Go's HTTP server, which has a time and no mark.
pub fn http(text: &str) {
    bare(&format!("{} http: {text}", now()));
}

/// A line without time and mark.
pub fn bare(text: &str) {
    log_lines(FALCOSIDEKICK_PREFIX, text);
}

/// What only the stand-in has to say.
pub fn stand_in(text: &str) {
    bare(&format!("(stand-in) {text}"));
}

fn now() -> impl std::fmt::Display {
    Timestamp::now().strftime("%Y/%m/%d %H:%M:%S").to_string()
}
