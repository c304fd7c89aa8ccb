//! The one program behind every hook command and host command under test: it asks the harness and plays back the
//! answer.
//!
//! The name it is started by is the command. Errors before the harness is reached have the words and exit code of
//! Juju's own client.

use std::env;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use charm_tests::juju::wire::{Request, Response, write_stdin};

fn main() -> ExitCode {
    match call() {
        Ok(code) => u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(text) => {
            eprintln!("ERROR {text}");
            ExitCode::FAILURE
        }
    }
}

fn call() -> Result<i32, String> {
    let mut words = env::args_os().map(|word| word.to_string_lossy().into_owned());
    let program = words.next().unwrap_or_default();
    let name = Path::new(&program).file_name().map(|name| name.to_string_lossy().into_owned());
    let context_id = variable("JUJU_CONTEXT_ID")?;
    let socket = variable("JUJU_AGENT_SOCKET_ADDRESS")?;
    let request = Request {
        context_id,
        name: name.unwrap_or_default(),
        args: words.collect(),
        cwd: env::current_dir().map_err(|error| words_of(&error))?.to_string_lossy().into_owned(),
        env: env::vars_os()
            .map(|(key, value)| (key.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .collect(),
    };
    let mut stream =
        UnixStream::connect(&socket).map_err(|error| format!("dial unix {socket}: connect: {}", words_of(&error)))?;
    exchange(&mut stream, &request).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => "unexpected EOF".to_owned(),
        _ => words_of(&error),
    })
}

fn exchange(stream: &mut UnixStream, request: &Request) -> io::Result<i32> {
    request.write(stream)?;
    loop {
        match Response::read(stream)? {
            Response::SendStdin => {
                let mut stdin = Vec::new();
                io::stdin().read_to_end(&mut stdin)?;
                write_stdin(stream, &stdin)?;
            }
            Response::Done { code, stdout, stderr } => {
                // A reader that has gone away is no reason to change the exit code.
                let _ = io::stdout().write_all(&stdout).and_then(|()| io::stdout().flush());
                let _ = io::stderr().write_all(&stderr);
                return Ok(code);
            }
        }
    }
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).ok().filter(|value| !value.is_empty()).ok_or_else(|| format!("{name} not set"))
}

/// The system's words for an error: lower case, without the number.
fn words_of(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
