//! Stand-ins for Falco 0.44.1 and Falcosidekick 2.34.1, which no package registry carries.
//!
//! They imitate what the charms rely on, as it was recorded on the real programs (`tests/recordings`), and nothing
//! else. The conformance suite plays those recordings against them, and against the real programs where their paths are
//! given, so that a stand-in cannot become kinder than what it stands for. Whatever a stand-in cannot do it says; it
//! never pretends a result. Every line that it logs starts with its name in brackets.

pub mod falco;
pub mod falcosidekick;
pub mod http;
pub mod tls;
pub mod yaml;

use std::io::Write as _;

/// What every line logged by the Falco stand-in starts with.
pub const FALCO_PREFIX: &str = "[falco stand-in] ";

/// What every line logged by the Falcosidekick stand-in starts with.
pub const FALCOSIDEKICK_PREFIX: &str = "[falcosidekick stand-in] ";

/// Writes `text` to standard error with `prefix` before each of its lines, in one write so that lines of two tasks
/// never mix.
pub fn log_lines(prefix: &str, text: &str) {
    let mut block = String::new();
    for line in text.split('\n') {
        block.push_str(prefix);
        block.push_str(line);
        block.push('\n');
    }
    // A closed standard error is the starter's choice; there is nowhere left to complain to.
    let _ = std::io::stderr().lock().write_all(block.as_bytes());
}
