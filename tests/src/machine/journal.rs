//! What services and their manager print, and a `journalctl` that reads it.
//!
//! A stand-in for journald, made for one question: what did a unit say last? Services write to plain files, so
//! everything a process has written before it ended is there when the end is noticed. A line carries the time at which
//! it was first seen. What a service sends to the socket of the system log becomes entries as well, of the unit that has
//! the name before the colon; journald itself knows the unit by the process. Of `journalctl`, only the options named in
//! [`Journal::run`] exist; any other one is refused with a text that says so.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde_json::json;
use tempfile::TempDir;

use crate::juju::command::Answer;

use super::clock::Clock;

/// As many entries are kept; older ones are forgotten, as journald forgets them when its space is used up.
const KEPT: usize = 10_000;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The unit it is about.
    pub unit: String,
    /// The text.
    pub message: String,
    /// Whether it came over the socket of the system log.
    pub from_syslog: bool,
    /// The syslog priority: 3 error, 4 warning, 5 notice, 6 information.
    pub priority: u8,
    /// Whether the manager itself wrote it.
    pub from_manager: bool,
    /// Microseconds since 1970.
    pub time: u128,
    /// The process that wrote it, as far as known.
    pub pid: i32,
    /// The run of the unit during which it was written.
    pub invocation: String,
}

/// The run of a unit that is being written about.
#[derive(Debug, Default)]
struct Source {
    read: u64,
    partial: Vec<u8>,
    pid: i32,
    invocation: String,
}

/// All entries of one host.
#[derive(Debug)]
pub struct Journal {
    folder: TempDir,
    syslog: Syslog,
    sources: BTreeMap<String, Source>,
    entries: VecDeque<Entry>,
}

impl Journal {
    /// An empty journal.
    pub fn new() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("journal-").tempdir()?;
        Ok(Self {
            syslog: Syslog::listen(&folder.path().join("log.socket"))?,
            folder,
            sources: BTreeMap::new(),
            entries: VecDeque::new(),
        })
    }

    fn path(&self, unit: &str) -> PathBuf {
        self.folder.path().join(unit)
    }

    /// The socket that stands for `/dev/log`.
    pub fn syslog_path(&self) -> PathBuf {
        self.path("log.socket")
    }

    /// A file whose lines become entries of the unit.
    pub fn writer(&self, unit: &str) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(self.path(unit))
    }

    /// Says which run, and which process, writes from now on.
    pub fn begin(&mut self, clock: Clock, unit: &str, invocation: &str, pid: i32) {
        self.collect(clock, unit, true);
        let source = self.sources.entry(unit.to_owned()).or_default();
        invocation.clone_into(&mut source.invocation);
        source.pid = pid;
    }

    /// Adds what the manager has to say about a unit, after everything the unit has written so far.
    pub fn note(&mut self, clock: Clock, unit: &str, priority: u8, message: impl Into<String>) {
        self.collect(clock, unit, true);
        let invocation = self.sources.entry(unit.to_owned()).or_default().invocation.clone();
        self.push(Entry {
            unit: unit.to_owned(),
            message: message.into(),
            from_syslog: false,
            priority,
            from_manager: true,
            time: clock.microseconds(),
            pid: 1,
            invocation,
        });
    }

    /// Takes in what a unit has written since the last time; a line without an end only if it has to be complete by
    /// now.
    fn collect(&mut self, clock: Clock, unit: &str, complete: bool) {
        self.collect_syslog(clock);
        let path = self.path(unit);
        let source = self.sources.entry(unit.to_owned()).or_default();
        let mut text = std::mem::take(&mut source.partial);
        if let Ok(mut file) = File::open(path)
            && file.seek(SeekFrom::Start(source.read)).is_ok()
        {
            source.read += file.read_to_end(&mut text).unwrap_or_default() as u64;
        }
        let (pid, invocation) = (source.pid, source.invocation.clone());
        let end =
            if complete { text.len() } else { text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1) };
        source.partial = text.split_off(end);
        for line in String::from_utf8_lossy(&text).lines() {
            self.push(Entry {
                unit: unit.to_owned(),
                message: line.to_owned(),
                from_syslog: false,
                priority: 6,
                from_manager: false,
                time: clock.microseconds(),
                pid,
                invocation: invocation.clone(),
            });
        }
    }

    /// Takes in what came over the socket since the last time.
    fn collect_syslog(&mut self, clock: Clock) {
        for (unit, priority, message) in self.syslog.take() {
            let source = self.sources.entry(unit.clone()).or_default();
            let (pid, invocation) = (source.pid, source.invocation.clone());
            let time = clock.microseconds();
            self.push(Entry { unit, message, from_syslog: true, priority, from_manager: false, time, pid, invocation });
        }
    }

    fn push(&mut self, entry: Entry) {
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    /// Every entry about a unit, oldest first.
    pub fn of(&mut self, clock: Clock, unit: &str) -> Vec<Entry> {
        self.collect(clock, unit, false);
        self.entries.iter().filter(|entry| entry.unit == unit).cloned().collect()
    }

    /// Forgets everything, as a journal that is kept in memory does at a reboot.
    pub fn clear(&mut self) {
        for unit in std::mem::take(&mut self.sources).into_keys() {
            // A unit that never wrote has no file.
            drop(fs::remove_file(self.path(&unit)));
        }
        self.entries.clear();
    }

    /// `journalctl -u UNIT [-n LINES] [-o cat|json] [--no-pager] [-q]`, and matches on the invocation or on what
    /// services printed.
    pub fn run(&mut self, clock: Clock, args: &[String]) -> Answer {
        let query = match Query::parse(args) {
            Ok(query) => query,
            Err(answer) => return answer,
        };
        let names: Vec<String> = self.sources.keys().cloned().collect();
        for unit in names {
            self.collect(clock, &unit, false);
        }
        let found: Vec<&Entry> = self.entries.iter().filter(|entry| query.matches(entry)).collect();
        let first = found.len().saturating_sub(query.lines.unwrap_or(usize::MAX));
        let mut text = String::new();
        for entry in &found[first..] {
            text.push_str(&if query.json { entry.json() } else { entry.message.clone() });
            text.push('\n');
        }
        Answer::text(text)
    }
}

impl Entry {
    fn json(&self) -> String {
        let mut fields = json!({
            "__REALTIME_TIMESTAMP": self.time.to_string(),
            "MESSAGE": self.message,
            "PRIORITY": self.priority.to_string(),
            "_PID": self.pid.to_string(),
        });
        let more = if self.from_manager {
            [
                ("UNIT", &*self.unit),
                ("INVOCATION_ID", &self.invocation),
                ("SYSLOG_IDENTIFIER", "systemd"),
                ("_SYSTEMD_UNIT", "init.scope"),
            ]
        } else {
            let name = self.unit.trim_end_matches(".service");
            [
                ("_SYSTEMD_UNIT", &*self.unit),
                ("_SYSTEMD_INVOCATION_ID", &self.invocation),
                ("SYSLOG_IDENTIFIER", name),
                ("_TRANSPORT", if self.from_syslog { "syslog" } else { "stdout" }),
            ]
        };
        for (key, value) in more {
            fields[key] = value.into();
        }
        fields.to_string()
    }
}

/// The socket of the system log, emptied by a thread: a service that finds it full would wait for ever.
#[derive(Debug)]
struct Syslog {
    socket: UnixDatagram,
    /// Unit, priority and text.
    messages: Arc<Mutex<Vec<(String, u8, String)>>>,
    reader: Option<JoinHandle<()>>,
}

impl Syslog {
    fn listen(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::bind(path)?;
        let messages = Arc::new(Mutex::new(Vec::new()));
        let (receiver, sink) = (socket.try_clone()?, Arc::clone(&messages));
        let reader = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            // It is shut down, and then says that nothing came.
            while let Ok(length @ 1..) = receiver.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if let Some(message) = read_datagram(&text) {
                    sink.lock().unwrap_or_else(PoisonError::into_inner).push(message);
                }
            }
        });
        Ok(Self { socket, messages, reader: Some(reader) })
    }

    fn take(&self) -> Vec<(String, u8, String)> {
        std::mem::take(&mut *self.messages.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        if self.socket.shutdown(std::net::Shutdown::Both).is_ok()
            && let Some(reader) = self.reader.take()
        {
            drop(reader.join());
        }
    }
}

/// `<13>Nov 25 17:00:00 falco: text`: facility and priority in one number, time, program.
fn read_datagram(text: &str) -> Option<(String, u8, String)> {
    let (number, rest) = text.strip_prefix('<')?.split_once('>')?;
    let (program, message) = rest.get(16..)?.split_once(": ")?;
    Some((format!("{program}.service"), number.parse::<u8>().ok()? % 8, message.to_owned()))
}

#[derive(Debug, Default)]
struct Query {
    units: Vec<String>,
    invocations: Vec<String>,
    manager_invocations: Vec<String>,
    of_services: bool,
    lines: Option<usize>,
    json: bool,
}

impl Query {
    fn parse(args: &[String]) -> Result<Self, Answer> {
        let mut query = Self::default();
        let mut form = None;
        let mut rest = args.iter().map(String::as_str);
        while let Some(argument) = rest.next() {
            let (name, attached) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value)),
                _ if argument.len() > 2 && argument.starts_with('-') && !argument.starts_with("--") => {
                    (&argument[..2], Some(&argument[2..]))
                }
                _ => (argument, None),
            };
            match name {
                "--no-pager" | "-q" | "--quiet" | "+" => {}
                "-u" | "--unit" => {
                    let unit = attached.or_else(|| rest.next()).unwrap_or_default();
                    query.units.push(if unit.contains('.') { unit.to_owned() } else { format!("{unit}.service") });
                }
                "-n" | "--lines" => {
                    let lines = attached.or_else(|| rest.next()).unwrap_or_default();
                    query.lines =
                        Some(lines.parse().map_err(|_| refusal(&format!("Failed to parse lines '{lines}'")))?);
                }
                "-o" | "--output" => form = Some(attached.or_else(|| rest.next()).unwrap_or_default()),
                other => match other.split_once('=') {
                    Some(("_SYSTEMD_INVOCATION_ID", id)) => query.invocations.push(id.to_owned()),
                    Some(("INVOCATION_ID", id)) => query.manager_invocations.push(id.to_owned()),
                    Some(("_TRANSPORT", "stdout")) => query.of_services = true,
                    _ => return Err(not_modelled(other)),
                },
            }
        }
        match form {
            Some("cat") => {}
            Some("json") => query.json = true,
            Some(other) => return Err(not_modelled(&format!("-o {other}"))),
            None => return Err(not_modelled("output without -o cat or -o json")),
        }
        Ok(query)
    }

    fn matches(&self, entry: &Entry) -> bool {
        let invocations = if entry.from_manager { &self.manager_invocations } else { &self.invocations };
        if self.of_services && (entry.from_manager || entry.from_syslog) {
            return false;
        }
        let any = self.invocations.is_empty() && self.manager_invocations.is_empty();
        (self.units.is_empty() || self.units.contains(&entry.unit)) && (any || invocations.contains(&entry.invocation))
    }
}

fn refusal(text: &str) -> Answer {
    Answer::failure(1, format!("{text}\n"))
}

fn not_modelled(what: &str) -> Answer {
    refusal(&format!("journalctl stand-in of charm-tests: {what} is not modelled"))
}
