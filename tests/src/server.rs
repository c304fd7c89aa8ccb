//! A program of somebody else that serves: it is waited for until it answers, and ends when it is dropped.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any of them takes to be ready, even on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running program.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    address: String,
    log: PathBuf,
    process: Child,
}

impl Server {
    /// Starts a program that will listen at `address`, with its words in a file of `folder`, in which it works. It gets
    /// no environment but what the command says.
    pub fn start(name: &'static str, command: &mut Command, address: String, folder: &Path) -> Result<Self, String> {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let process = command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(|error| error.to_string())?)
            .stderr(output)
            .spawn()
            .map_err(|error| format!("failed to start {name}: {error}"))?;
        Ok(Self { name, address, log, process })
    }

    /// Waits until it is ready. An error holds its own last words.
    pub fn wait_until(&mut self, is_ready: impl Fn(&Self) -> bool) -> Result<(), String> {
        let started = Instant::now();
        loop {
            let ready = is_ready(self);
            let ended = self.process.try_wait().map_err(|error| error.to_string())?;
            if ready && ended.is_none() {
                return Ok(());
            }
            if ended.is_some() || started.elapsed() > PATIENCE {
                let words = fs::read_to_string(&self.log).unwrap_or_default();
                return Err(format!("{} does not become ready (ended: {ended:?}):\n{words}", self.name));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until this path is answered with 200.
    pub fn wait_for_page(&mut self, target: &str) -> Result<(), String> {
        self.wait_until(|server| server.get(target, &[]).is_ok_and(|(status, _)| status == 200))
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Status and body of a page.
    pub fn get(&self, target: &str, headers: &[(&str, &str)]) -> Result<(u16, String), String> {
        let exchange = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(&self.address)?;
            // An answer in HTTP/1.0 is never chunked, and ends where the connection ends.
            let headers: String = headers.iter().map(|(name, value)| [name, ": ", value, "\r\n"].concat()).collect();
            write!(stream, "GET {target} HTTP/1.0\r\n{headers}\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = exchange().map_err(|error| format!("GET {target}: {error}"))?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer of HTTP")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
        Ok((status, body.to_owned()))
    }

    /// Ends it.
    pub fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
