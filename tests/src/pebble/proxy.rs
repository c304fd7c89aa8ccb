//! A socket between the charm and Pebble, which notes each request and can break the connection at one of them.
//!
//! It forwards bytes, and understands just one thing of HTTP: the first line that a client sends at the beginning, or
//! after an answer, begins a request. Two threads a connection, in blocking reads; they end with the connection.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::daemon::Daemon;

/// How a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Before the request reaches Pebble.
    Unsent,
    /// After Pebble did what was asked for, before the client hears of it.
    Unanswered,
    /// Before the request reaches Pebble, and from then on there is no socket any more.
    Gone,
    /// Before the request reaches Pebble, which is killed with its services. When the client hears of it, another one
    /// is there already.
    Killed,
    /// The same after Pebble did what was asked for.
    KilledUnanswered,
    /// Not at all: Pebble has been killed with its services since its last answer, and another one gets the request.
    Replaced,
}

/// The socket that the charm connects to.
#[derive(Clone, Debug)]
pub struct Proxy {
    socket: PathBuf,
    daemon: Arc<Daemon>,
    open: Arc<AtomicBool>,
    book: Arc<Mutex<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    requests: Vec<String>,
    cut: Option<(usize, Cut)>,
}

/// One connection of a client, with the one to Pebble that belongs to it.
struct Connection {
    client: UnixStream,
    server: UnixStream,
    /// The next bytes of the client begin a request.
    answered: AtomicBool,
    /// The next answer does not reach the client.
    mute: AtomicBool,
    /// Pebble does not outlive the connection.
    fatal: AtomicBool,
    /// The client has a connection to another Pebble.
    handed_over: AtomicBool,
}

impl Proxy {
    pub fn new(socket: PathBuf, daemon: Arc<Daemon>) -> Self {
        Self { socket, daemon, open: Arc::default(), book: Arc::default() }
    }

    /// Begins to listen.
    pub fn open(&self) {
        let _ = fs::remove_file(&self.socket);
        let listener =
            UnixListener::bind(&self.socket).unwrap_or_else(|error| panic!("{}: {error}", self.socket.display()));
        self.open.store(true, Ordering::SeqCst);
        let proxy = self.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                if !proxy.open.load(Ordering::SeqCst) {
                    return;
                }
                // If Pebble is not there the client loses its connection, as it would if Pebble ended just now.
                if let (Ok(client), Ok(server)) = (client, UnixStream::connect(proxy.daemon.socket())) {
                    proxy.serve(client, server, true);
                }
            }
        });
    }

    /// Ends listening, so that connections are refused, which is how Pebble leaves its socket behind when it is killed.
    pub fn close(&self) {
        self.open.store(false, Ordering::SeqCst);
        // The thread drops the listener when a connection wakes it.
        while UnixStream::connect(&self.socket).is_ok() {
            thread::yield_now();
        }
    }

    /// Ends listening and removes the socket, which is what Pebble does when it is asked to end.
    pub fn remove(&self) {
        self.close();
        let _ = fs::remove_file(&self.socket);
    }

    /// Method and target of every request so far, such as `GET /v1/plan?format=yaml`.
    pub fn requests(&self) -> Vec<String> {
        self.book().requests.clone()
    }

    /// Breaks the connection at the request of this number, counted from now and from 1.
    pub fn cut(&self, number: usize, cut: Cut) {
        assert!(number > 0, "requests are counted from 1");
        let mut book = self.book();
        book.cut = Some((book.requests.len() + number, cut));
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `answered`: whether the next bytes of the client begin a request.
    fn serve(&self, client: UnixStream, server: UnixStream, answered: bool) {
        let connection = Connection {
            client,
            server,
            answered: answered.into(),
            mute: false.into(),
            fatal: false.into(),
            handed_over: false.into(),
        };
        let (upwards, proxy, daemon) = (Arc::new(connection), self.clone(), Arc::clone(&self.daemon));
        let answers = Arc::clone(&upwards);
        thread::spawn(move || {
            proxy.forward_requests(&upwards);
            upwards.close();
        });
        thread::spawn(move || {
            answers.forward_answers();
            if answers.fatal.load(Ordering::SeqCst) {
                daemon.restart();
            }
            answers.close();
        });
    }

    fn forward_requests(&self, connection: &Connection) {
        let mut buffer = vec![0; 64 * 1024];
        let mut line = Vec::new();
        while let Ok(length @ 1..) = (&connection.client).read(&mut buffer) {
            let mut bytes = &buffer[..length];
            if connection.answered.load(Ordering::SeqCst) {
                line.extend_from_slice(bytes);
                let Some(end) = line.iter().position(|byte| *byte == b'\r') else {
                    continue;
                };
                match self.note(&line[..end]) {
                    None => {}
                    Some(Cut::Unsent) => return,
                    Some(Cut::Unanswered) => connection.mute.store(true, Ordering::SeqCst),
                    Some(Cut::Gone) => return self.remove(),
                    Some(Cut::Killed) => return connection.end_with_pebble(),
                    Some(Cut::KilledUnanswered) => {
                        connection.fatal.store(true, Ordering::SeqCst);
                        connection.mute.store(true, Ordering::SeqCst);
                    }
                    Some(Cut::Replaced) => return self.hand_over(connection, &line),
                }
                connection.answered.store(false, Ordering::SeqCst);
                bytes = &line;
            }
            if (&connection.server).write_all(bytes).is_err() {
                return;
            }
            line.clear();
        }
    }

    /// Goes on with another Pebble, which gets these bytes first.
    fn hand_over(&self, connection: &Connection, bytes: &[u8]) {
        connection.handed_over.store(true, Ordering::SeqCst);
        self.daemon.restart();
        let server = UnixStream::connect(self.daemon.socket());
        if let (Ok(client), Ok(mut server)) = (connection.client.try_clone(), server)
            && server.write_all(bytes).is_ok()
        {
            self.serve(client, server, false);
        }
    }

    fn note(&self, line: &[u8]) -> Option<Cut> {
        let line = String::from_utf8_lossy(line);
        let request = line.rsplit_once(' ').map_or(&*line, |(request, _version)| request).to_owned();
        let mut book = self.book();
        book.requests.push(request);
        let number = book.requests.len();
        book.cut.take_if(|(wanted, _)| *wanted == number).map(|(_, cut)| cut)
    }
}

impl Connection {
    fn forward_answers(&self) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = (&self.server).read(&mut buffer) {
            if self.mute.load(Ordering::SeqCst) {
                return;
            }
            self.answered.store(true, Ordering::SeqCst);
            if (&self.client).write_all(&buffer[..length]).is_err() {
                return;
            }
        }
    }

    /// Has whoever forwards answers kill Pebble, and leaves the client to it.
    fn end_with_pebble(&self) {
        self.fatal.store(true, Ordering::SeqCst);
        let _ = self.server.shutdown(Shutdown::Both);
        let mut rest = vec![0; 64 * 1024];
        while let Ok(1..) = (&self.client).read(&mut rest) {}
    }

    fn close(&self) {
        if !self.handed_over.load(Ordering::SeqCst) {
            let _ = self.client.shutdown(Shutdown::Both);
        }
        let _ = self.server.shutdown(Shutdown::Both);
    }
}
