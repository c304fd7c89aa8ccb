//! An HTTP server, with TLS or without, that takes every POST and remembers it as JSON: where Falco sends its alerts in
//! scenarios without Falcosidekick.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::stand_in::tls::{self, Identity};

/// A running server. Its thread ends with the program: it holds nothing that anybody could miss.
#[derive(Debug)]
pub struct Sink {
    url: String,
    received: Arc<Mutex<Vec<Value>>>,
}

impl Sink {
    /// Listens on a free port of loopback.
    pub fn start() -> Self {
        Self::listen(None)
    }

    /// The same, with TLS.
    pub fn start_tls(identity: Identity) -> Self {
        Self::listen(Some(Arc::new(tls::server(identity, None).expect("a certificate and its key"))))
    }

    fn listen(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/", listener.local_addr().expect("an address"));
        let received = Arc::new(Mutex::new(Vec::new()));
        let store = Arc::clone(&received);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let store = Arc::clone(&store);
                let tls = tls.clone();
                thread::spawn(move || match tls {
                    None => serve(stream, &store),
                    Some(config) => serve(StreamOwned::new(ServerConnection::new(config).ok()?, stream), &store),
                });
            }
        });
        Self { url, received }
    }

    /// Where to POST to.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Everything received so far, in order.
    pub fn received(&self) -> Vec<Value> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers one connection until the client has no more to say.
fn serve(stream: impl Read + Write, store: &Mutex<Vec<Value>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        let mut line = String::new();
        while reader.read_line(&mut line).ok()? > 0 && !line.trim().is_empty() {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok()?;
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let alert = serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
        if length > 0 {
            store.lock().unwrap_or_else(PoisonError::into_inner).push(alert);
        }
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok()?;
        if length == 0 {
            return None;
        }
    }
}
