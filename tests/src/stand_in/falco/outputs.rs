//! Sending alerts: one worker serves all outputs in turn, so that one that hangs blocks them all.
//!
//! Fire and forget: an alert that an output does not take is lost, and the status code of an HTTP answer means nothing.

mod http;

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::alert::Alert;
use super::disk::on_disk;
use super::log::{Log, stand_in, to_syslog};
use super::metrics::Counters;
use super::priority::Priority;
use super::settings::Settings;
use http::HttpSink;

/// The way to the worker.
#[derive(Debug)]
pub struct Outputs {
    sender: UnboundedSender<Job>,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    worker: JoinHandle<()>,
    watchdog: JoinHandle<()>,
    discard: Arc<AtomicBool>,
    timeout: Duration,
    log: Log,
}

#[derive(Debug)]
enum Job {
    Send(Alert),
    Reopen,
}

/// What waits for the worker.
#[derive(Debug)]
struct Queue {
    waiting: AtomicUsize,
    capacity: usize,
}

impl Queue {
    /// Takes a place, if there is one. Only one task asks for places.
    fn enter(&self) -> bool {
        let has_room = self.capacity == 0 || self.waiting.load(Ordering::Relaxed) < self.capacity;
        if has_room {
            self.waiting.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    fn leave(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The output that is being served, and since when.
type Busy = Arc<Mutex<Option<(&'static str, Instant)>>>;

impl Outputs {
    /// Starts the worker.
    pub fn start(settings: &Settings, log: &Log, counters: &Arc<Counters>) -> Self {
        let queue = Arc::new(Queue { waiting: AtomicUsize::new(0), capacity: settings.queue });
        let (sender, receiver) = unbounded_channel();
        let busy = Busy::default();
        let discard = Arc::new(AtomicBool::new(false));
        let worker = Worker {
            stdout: settings.stdout,
            syslog: settings.syslog,
            file: settings.file.clone().map(|(path, keep_open)| FileSink { path, keep_open, open: None }),
            http: settings.http.clone().map(|http| HttpSink::new(http, settings.json)),
            queue: Arc::clone(&queue),
            busy: Arc::clone(&busy),
            discard: Arc::clone(&discard),
            log: log.clone(),
        };
        if settings.program.is_some() {
            stand_in("program_output is on, and the stand-in does not run programs");
        }
        Self {
            sender,
            queue,
            counters: Arc::clone(counters),
            worker: tokio::spawn(worker.run(receiver)),
            watchdog: tokio::spawn(watch(busy, settings.output_timeout, log.clone())),
            discard,
            timeout: settings.output_timeout,
            log: log.clone(),
        }
    }

    /// Queues an alert.
    pub fn send(&self, alert: Alert) {
        self.push(Job::Send(alert));
    }

    /// Opens files again.
    pub fn reopen(&self) {
        self.push(Job::Reopen);
    }

    /// What finds the queue full is gone and counted; only the first time is logged.
    fn push(&self, job: Job) {
        if self.queue.enter() {
            // The worker lives as long as this sender.
            let _ = self.sender.send(job);
        } else if self.counters.drops.fetch_add(1, Ordering::Relaxed) == 0 {
            self.log.write(Priority::Error, "Outputs queue out of memory. Drop event and continue on ...");
        }
    }

    /// Waits until everything is sent. What still waits behind a blocked output after the time limit is thrown away;
    /// the blocked output itself is waited for without end.
    pub async fn stop(self) {
        let Self { sender, mut worker, watchdog, discard, timeout, log, .. } = self;
        drop(sender);
        if tokio::time::timeout(timeout, &mut worker).await.is_err() {
            log.write(Priority::Critical, "output channels still blocked, discarding all remaining notifications");
            discard.store(true, Ordering::Relaxed);
            let _ = worker.await;
        }
        watchdog.abort();
    }
}

/// Reports an output that takes too long, once for each time it does.
async fn watch(busy: Busy, timeout: Duration, log: Log) {
    let mut reported = None;
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = *busy.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((name, since)) = now else { continue };
        if since.elapsed() >= timeout && reported != Some(since) {
            reported = Some(since);
            log.write(Priority::Critical, &format!("\"{name}\" output timeout, all output channels are blocked"));
        }
    }
}

struct Worker {
    stdout: bool,
    syslog: bool,
    file: Option<FileSink>,
    http: Option<HttpSink>,
    queue: Arc<Queue>,
    busy: Busy,
    discard: Arc<AtomicBool>,
    log: Log,
}

impl Worker {
    async fn run(mut self, mut jobs: UnboundedReceiver<Job>) {
        if let Some(file) = self.file.as_mut().filter(|file| file.keep_open) {
            file.open(&self.log);
        }
        while let Some(job) = jobs.recv().await {
            self.queue.leave();
            if self.discard.load(Ordering::Relaxed) {
                continue;
            }
            match job {
                Job::Send(alert) => self.send(&alert).await,
                Job::Reopen => {
                    if let Some(file) = &mut self.file {
                        file.open(&self.log);
                    }
                }
            }
        }
    }

    async fn send(&mut self, alert: &Alert) {
        if self.stdout {
            let mut stdout = std::io::stdout().lock();
            // A closed standard output is the starter's choice.
            let _ = writeln!(stdout, "{}", alert.line);
            let _ = stdout.flush();
        }
        if let Some(file) = &mut self.file {
            file.write(&alert.line, &self.log);
        }
        if self.syslog {
            to_syslog(alert.priority, &alert.line);
        }
        if let Some(http) = &mut self.http {
            *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = Some(("http", Instant::now()));
            let result = http.send(&alert.line).await;
            *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = None;
            match result {
                Ok(Some(answer)) => print_answer(&answer),
                Ok(None) => {}
                Err(reason) => {
                    self.log.write(Priority::Error, &format!("libcurl failed to perform call: {reason}"));
                }
            }
        }
    }
}

/// `http_output.echo`: an answer as it came, without a line end of its own.
fn print_answer(answer: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    // A closed standard output is the starter's choice.
    let _ = stdout.write_all(answer);
    let _ = stdout.flush();
}

struct FileSink {
    path: PathBuf,
    keep_open: bool,
    open: Option<File>,
}

impl FileSink {
    fn open(&mut self, log: &Log) {
        self.open = OpenOptions::new().create(true).append(true).open(on_disk(&self.path)).ok();
        if self.open.is_none() {
            log.write(Priority::Error, &format!("file: failed to open output file {}", self.path.display()));
        }
    }

    fn write(&mut self, line: &str, log: &Log) {
        if !self.keep_open {
            self.open(log);
        }
        if let Some(file) = &mut self.open {
            // Falco does not look at the result either.
            let _ = writeln!(file, "{line}");
        }
    }
}
