//! A double of a proxy in front of Loki: it speaks TLS, asks for a user and a password, and hands on what is right.
//! Loki itself knows no passwords.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A running proxy. Its threads end with the test program.
#[derive(Debug)]
pub struct Door {
    port: u16,
    passed: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

impl Door {
    /// Opens a door to this address for one user.
    pub fn open(tls: Arc<ServerConfig>, to: &str, user: &str, password: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a listener has an address").port();
        let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let (passed, refused) = (Arc::default(), Arc::default());
        let door = Self { port, passed: Arc::clone(&passed), refused: Arc::clone(&refused) };
        let to = to.to_owned();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tls, to, expected) = (Arc::clone(&tls), to.clone(), expected.clone());
                let (passed, refused) = (Arc::clone(&passed), Arc::clone(&refused));
                thread::spawn(move || {
                    let Ok(session) = ServerConnection::new(tls) else { return };
                    let mut stream = StreamOwned::new(session, stream);
                    match serve(&mut stream, &to, &expected) {
                        Some(true) => passed.fetch_add(1, Ordering::Relaxed),
                        Some(false) => refused.fetch_add(1, Ordering::Relaxed),
                        None => 0,
                    };
                });
            }
        });
        door
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many requests it has handed on, and how many it has refused.
    pub fn count(&self) -> (usize, usize) {
        (self.passed.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }
}

/// One request a connection. Whether it was handed on; `None` was no request.
fn serve(stream: &mut StreamOwned<ServerConnection, TcpStream>, to: &str, expected: &str) -> Option<bool> {
    let mut reader = BufReader::new(&mut *stream);
    let (mut head, mut length, mut right) = (String::new(), 0, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(": ") {
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().ok()?,
                "authorization" => right = value.trim() == expected,
                _ => {}
            }
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let answer = if right {
        let mut loki = TcpStream::connect(to).ok()?;
        loki.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).ok()?;
        loki.write_all(&body).ok()?;
        let mut answer = Vec::new();
        loki.read_to_end(&mut answer).ok()?;
        answer
    } else {
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 13\r\nConnection: close\r\n\r\nwho are you?\n".to_vec()
    };
    stream.write_all(&answer).ok()?;
    stream.conn.send_close_notify();
    stream.flush().ok()?;
    Some(right)
}
