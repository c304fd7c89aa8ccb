//! Runs Falco for an answer, within bounds. The only module of the check that starts processes.

use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use charm_core::process::{Command, Error};
use charm_core::status::one_line;

/// What an error quotes of what Falco wrote, in characters.
const LONGEST_QUOTE: usize = 200;

/// Runs a program with its memory bounded and with both of its outputs cut after so many bytes. It ends with the exit
/// code of the program.
const BOUNDED: &str = r#"
bytes=$1; shift
ulimit -c 0; ulimit -d "$1"; shift
{ "$@" 2>&1 >&3 3>&- | head -c "$bytes" >&2; exit "${PIPESTATUS[0]}"; } 3>&1 | head -c "$bytes"
exit "${PIPESTATUS[0]}"
"#;

/// What a shell adds to the number of the signal that ended a program.
const BY_SIGNAL: i32 = 128;

/// The signals by which a program ends itself: illegal instruction, trap, abort, bus error, division by zero,
/// segmentation fault, and a write to an output that is full.
const OWN_FAULT: [i32; 7] = [4, 5, 6, 7, 8, 11, 13];

/// What Falco may take for an answer.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long, since a hook holds the lock of its machine.
    pub time: Duration,
    /// How much it may write to each of its outputs.
    pub bytes: usize,
    /// How much memory it may fill. Macros that use macros grow without end, and a check is outside of the bounds that
    /// the service has.
    pub memory: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        // The default rules take Falco 0.44.1 a tenth of a second and 62 MB, and their list with everything expanded is
        // less than a megabyte.
        Self { time: Duration::from_secs(60), bytes: 32 << 20, memory: 2 << 30 }
    }
}

/// What Falco answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// How it ended.
    pub end: End,
    /// What it was asked for.
    pub stdout: Vec<u8>,
    /// Its log.
    pub stderr: String,
}

/// How Falco ended. It knows two exit codes: 0, and 1 for everything that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// All is well.
    Accepted,
    /// Something is wrong, and it says what.
    Refused,
    /// It came to an end that nobody meant, which what it was given can be the cause of. The words continue a sentence.
    Broken(String),
}

/// Asks Falco. An error is no answer, and its text continues a sentence that begins with what was to be found out.
pub fn ask(program: &Path, arguments: &[&OsStr], bounds: Bounds) -> Result<Answer> {
    let Bounds { time, bytes, memory } = bounds;
    let command = Command::new("bash").args(["-c", BOUNDED, "bash"]);
    let command = command.arg(bytes.to_string()).arg((memory >> 10).to_string());
    let hangs = || anyhow!("it does not answer within {} s", time.as_secs());
    let start = Instant::now();
    let output = match command.arg(program).args(arguments).limit(time).output() {
        Ok(output) => output,
        Err(Error::TimedOut(..)) => return Err(hangs()),
        Err(error) => return Err(anyhow!(error).context("it cannot be started")),
    };
    let end = match output.code {
        _ if output.stdout.len() >= bytes || output.stderr.len() >= bytes => {
            End::Broken(format!("it writes more than {bytes} bytes"))
        }
        Some(0) => End::Accepted,
        Some(1) => End::Refused,
        // What a shell answers when it cannot start a program, with the reason.
        Some(126 | 127) => bail!("it cannot be started: {}", one_line(&output.stderr, LONGEST_QUOTE)),
        Some(code @ 2..BY_SIGNAL) => End::Broken(format!("it ends with exit code {code}")),
        Some(code) if OWN_FAULT.contains(&(code - BY_SIGNAL)) => {
            End::Broken(format!("it crashes with signal {}", code - BY_SIGNAL))
        }
        // A program that does not mind the polite signal gets the final one, and so does all that watches it.
        None if start.elapsed() >= time => return Err(hangs()),
        // Somebody else ended it, such as a kernel short of memory.
        Some(_) | None => bail!("it was killed"),
    };
    Ok(Answer { end, stdout: output.stdout, stderr: output.stderr })
}
