//! A double of a proxy at the edge of a cluster: takes requests over TLS under a path of its own, takes that path off,
//! and passes them on to a port of this machine, one thread a request.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};

use crate::authority::{Authority, Days};
use crate::stand_in::tls::{self, Trust};

/// As long as anybody waits for anybody here.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where requests are passed on to.
#[derive(Clone, Debug)]
pub struct Target {
    /// The port on this machine.
    pub port: u16,
    /// Whom to believe there, as PEM, and as whom to ask; `None` speaks plain HTTP.
    pub tls: Option<(String, String)>,
}

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub struct Ingress {
    port: u16,
    path: String,
    ends: Arc<AtomicBool>,
}

impl Ingress {
    /// Starts one, with a certificate of this authority for 127.0.0.1.
    pub fn start(authority: &Authority, path: &str, target: Target) -> Self {
        let identity = authority.identity(&["127.0.0.1"], Days(1, 1));
        let config = Arc::new(tls::server(identity, None).expect("our own certificate"));
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let ends = Arc::new(AtomicBool::new(false));
        let (stop, prefix) = (Arc::clone(&ends), path.to_owned());
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (config, prefix, target) = (Arc::clone(&config), prefix.clone(), target.clone());
                thread::spawn(move || stream.and_then(|stream| pass_on(stream, config, &prefix, &target)));
            }
        });
        Self { port, path: path.to_owned(), ends }
    }

    /// Where it is reached.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}{}", self.port, self.path)
    }
}

impl Drop for Ingress {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        // So that it looks up from waiting for the next one.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn pass_on(stream: TcpStream, config: Arc<ServerConfig>, prefix: &str, target: &Target) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut caller = BufReader::new(StreamOwned::new(connection, stream));
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        caller.read_line(&mut line)?;
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    caller.read_exact(&mut body)?;
    let mut answer = Vec::new();
    if let Some(rest) = head.split_once(' ').filter(|(_, rest)| rest.starts_with(prefix)) {
        let (method, rest) = rest;
        let rest = &rest[prefix.len()..];
        let rest = rest.strip_prefix(' ').map_or_else(|| rest.to_owned(), |it| format!("/ {it}"));
        let head = format!("{method} {rest}").replacen("\r\n", "\r\nConnection: close\r\n", 1);
        let request = [head.as_bytes(), body.as_slice()].concat();
        let inner = TcpStream::connect(("127.0.0.1", target.port));
        match inner.and_then(|stream| ask(stream, target, &request, &mut answer)) {
            Ok(()) => {}
            Err(_) => answer = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
        }
    } else {
        answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
    }
    let mut stream = caller.into_inner();
    stream.write_all(&answer)?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn ask(stream: TcpStream, target: &Target, request: &[u8], answer: &mut Vec<u8>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let Some((authority, name)) = &target.tls else { return exchange(stream, request, answer) };
    let trust = Trust::Only(tls::certificates(authority.as_bytes()));
    let config: Arc<ClientConfig> = Arc::new(tls::client(trust, None).map_err(std::io::Error::other)?);
    let name = ServerName::try_from(name.clone()).map_err(std::io::Error::other)?;
    let connection = ClientConnection::new(config, name).map_err(std::io::Error::other)?;
    exchange(StreamOwned::new(connection, stream), request, answer)
}

fn exchange(mut stream: impl Read + Write, request: &[u8], answer: &mut Vec<u8>) -> std::io::Result<()> {
    stream.write_all(request)?;
    // A server that closes without a word of TLS has said everything all the same.
    match stream.read_to_end(answer) {
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(()),
    }
}
