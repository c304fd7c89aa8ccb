//! Starts a program under the tracer of `charm_tests::interrupt`: `traced REPORT KILL-BEFORE PROGRAM…`, where
//! KILL-BEFORE is the number of an effect, or 0 to let it run. It ends as the program ended, and lists the effects that
//! took place in REPORT, one a line.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use charm_tests::interrupt::{self, End, Program};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The harness has a shorter one.
const LIMIT: Duration = Duration::from_secs(3_600);

fn main() -> io::Result<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    let (Some(report), Some(number)) = (words.next(), words.next()) else {
        return Err(io::Error::other("usage: traced REPORT KILL-BEFORE PROGRAM…"));
    };
    let number: usize = number.to_string_lossy().parse().map_err(io::Error::other)?;
    let line: Vec<OsString> = words.collect();
    let env = std::env::vars().collect();
    let program = Program { line: &line, cwd: &std::env::current_dir()?, env: &env };
    let traced = interrupt::run(&program, Some(number).filter(|number| *number > 0), LIMIT, |_| ())?;
    io::stdout().write_all(&traced.stdout)?;
    io::stderr().write_all(&traced.stderr)?;
    let effects: Vec<String> = traced.effects.iter().map(|effect| format!("{:?} {effect}\n", effect.kind)).collect();
    fs::write(report, effects.concat())?;
    match traced.end {
        End::Code(code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))),
        End::Signal(signal) => {
            kill(Pid::this(), signal)?;
            // A signal that this process survives is as good as the one that nobody does.
            kill(Pid::this(), Signal::SIGKILL)?;
            Ok(ExitCode::FAILURE)
        }
    }
}
