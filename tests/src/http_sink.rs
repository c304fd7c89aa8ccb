//! A server that takes requests and remembers them, and answers, hangs or hangs up as it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What the sink does with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Answers with a status and a body: the first request with the first, and all others with the last when there
    /// are no more.
    Answer(Vec<(u16, String)>),
    /// Sends requests for one path elsewhere and answers the rest.
    Redirect {
        /// Status of the redirect.
        status: u16,
        /// Path that is sent elsewhere; `None`: every path.
        from: Option<String>,
        /// Where to.
        to: String,
        /// Status of the rest.
        rest: u16,
    },
    /// Takes the request and never answers.
    Hang,
    /// Takes bytes without understanding them, and never answers.
    Deaf,
    /// Takes bytes without understanding them, and says so in plain text.
    Plain,
}

impl Manner {
    /// Answers with a status and nothing else.
    pub fn status(status: u16) -> Self {
        Self::Answer(vec![(status, String::new())])
    }
}

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Number of the connection, from 1.
    pub connection: usize,
    /// Method.
    pub method: String,
    /// Path.
    pub path: String,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
    /// Name in the certificate of the client, if it showed one.
    pub has_client_certificate: bool,
}

/// A running sink. Its threads end with the test program.
#[derive(Debug)]
pub struct Sink {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    manner: Manner,
    tls: Option<Arc<ServerConfig>>,
    received: Mutex<Vec<Received>>,
    connections: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
    closed: AtomicBool,
}

impl Sink {
    /// Listens on a port of its own.
    pub fn start(manner: Manner, tls: Option<Arc<ServerConfig>>) -> Self {
        Self::start_on(0, manner, tls)
    }

    /// Listens on a port.
    pub fn start_on(port: u16, manner: Manner, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap_or_else(|error| panic!("port {port}: {error}"));
        let port = listener.local_addr().expect("a listener has an address").port();
        let shared = Arc::new(Shared {
            manner,
            tls,
            received: Mutex::default(),
            connections: AtomicUsize::new(0),
            open: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        let sink = Self { port, shared: Arc::clone(&shared) };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        sink
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What came so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Hangs up on everybody.
    pub fn hang_up(&self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        for stream in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // Whoever hung up first is no matter.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        let number = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        if let Ok(copy) = stream.try_clone() {
            self.open.lock().unwrap_or_else(PoisonError::into_inner).push(copy);
        }
        match &self.tls {
            None => _ = self.converse(number, stream, |_| false),
            Some(config) => {
                let Ok(session) = ServerConnection::new(Arc::clone(config)) else { return };
                let stream = StreamOwned::new(session, stream);
                let _ = self.converse(number, stream, |stream| stream.conn.peer_certificates().is_some());
            }
        }
    }

    /// Requests of one connection, until it ends.
    fn converse<S: Read + Write>(&self, number: usize, stream: S, certificate: impl Fn(&S) -> bool) -> Option<()> {
        let mut reader = BufReader::new(stream);
        if self.manner == Manner::Deaf {
            // The end of the connection is all that there is to wait for.
            let _ = std::io::copy(&mut reader, &mut std::io::sink());
            return None;
        }
        if self.manner == Manner::Plain {
            reader.fill_buf().ok()?;
            return reader.get_mut().write_all(b"What was that?\n").ok();
        }
        loop {
            let mut received = read(&mut reader)?;
            received.connection = number;
            received.has_client_certificate = certificate(reader.get_ref());
            let path = received.path.clone();
            let earlier = {
                let mut all = self.received.lock().unwrap_or_else(PoisonError::into_inner);
                all.push(received);
                all.len() - 1
            };
            let (status, headers, body) = match &self.manner {
                Manner::Answer(answers) => {
                    let (status, body) = answers.get(earlier).or_else(|| answers.last()).cloned()?;
                    (status, Vec::new(), body)
                }
                Manner::Redirect { status, from, to, rest } => {
                    if from.as_ref().is_none_or(|from| *from == path) {
                        (*status, vec![("Location".to_owned(), to.clone())], String::new())
                    } else {
                        (*rest, Vec::new(), String::new())
                    }
                }
                Manner::Hang | Manner::Deaf | Manner::Plain => {
                    while !self.closed.load(Ordering::Relaxed) {
                        std::thread::sleep(std::time::Duration::from_millis(20));
                    }
                    return None;
                }
            };
            let reason = match status {
                // The recorder's words; they come back in the log.
                413 => "Request Entity Too Large",
                422 => "Unprocessable Entity",
                _ => hyper::StatusCode::from_u16(status)
                    .ok()
                    .and_then(|status| status.canonical_reason())
                    .unwrap_or("Unknown"),
            };
            let mut answer = format!("HTTP/1.1 {status} {reason}\r\n");
            for (name, value) in headers {
                answer.extend([name.as_str(), ": ", value.as_str(), "\r\n"]);
            }
            if status != 204 {
                answer.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
            }
            answer.extend(["\r\n", body.as_str()]);
            let stream = reader.get_mut();
            stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()).ok()?;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Received> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or_default();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8_lossy(&body).into_owned();
    Some(Received { connection: 0, method, path, headers, body, has_client_certificate: false })
}
