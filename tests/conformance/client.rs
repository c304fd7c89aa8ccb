//! One HTTP request over a connection of its own, and the answer as it came: status line, headers in order, body.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::program::PATIENCE;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The first line.
    pub status_line: String,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.status_line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default()
    }
}

/// A request.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// Method.
    pub method: &'a str,
    /// Host and port to connect to.
    pub address: (&'a str, u16),
    /// Path.
    pub path: &'a str,
    /// Headers beside `Host`, `Connection` and `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Option<&'a [u8]>,
}

impl<'a> Question<'a> {
    /// A plain GET.
    pub fn get(port: u16, path: &'a str) -> Self {
        Self { method: "GET", address: ("127.0.0.1", port), path, headers: Vec::new(), body: None }
    }
}

/// Asks. The error says why there was no answer.
pub fn ask(question: &Question<'_>, tls: Option<&Arc<ClientConfig>>) -> Result<Answer, String> {
    let bytes = exchange(question.address, &write(question), tls)?;
    read(&bytes, question.method == "HEAD").ok_or_else(|| format!("no HTTP: {:?}", String::from_utf8_lossy(&bytes)))
}

/// Sends bytes and takes everything that comes back.
pub fn exchange(address: (&str, u16), bytes: &[u8], tls: Option<&Arc<ClientConfig>>) -> Result<Vec<u8>, String> {
    let host = address.0.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, address.1)).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
    match tls {
        None => talk(stream, bytes),
        Some(config) => {
            let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
            let session = ClientConnection::new(Arc::clone(config), name).map_err(|error| error.to_string())?;
            talk(StreamOwned::new(session, stream), bytes)
        }
    }
}

fn talk(mut stream: impl Read + Write, bytes: &[u8]) -> Result<Vec<u8>, String> {
    stream.write_all(bytes).and_then(|()| stream.flush()).map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => Ok(answer),
        // A TLS server that hangs up without saying goodbye has still answered.
        Err(_) if !answer.is_empty() => Ok(answer),
        Err(error) => Err(error.to_string()),
    }
}

fn write(question: &Question<'_>) -> Vec<u8> {
    let (host, port) = question.address;
    let mut head =
        format!("{} {} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n", question.method, question.path);
    for (name, value) in &question.headers {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    }
    if let Some(body) = question.body {
        head.push_str("Content-Length: ");
        head.push_str(&body.len().to_string());
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend(question.body.unwrap_or_default());
    bytes
}

fn read(bytes: &[u8], no_body: bool) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status_line = lines.next()?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let body = &bytes[end + 4..];
    let chunked =
        headers.iter().any(|(name, value)| name.eq_ignore_ascii_case("transfer-encoding") && value == "chunked");
    let body = if no_body {
        Vec::new()
    } else if chunked {
        dechunk(body)?
    } else {
        body.to_vec()
    };
    Some(Answer { status_line, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

fn dechunk(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = bytes.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).ok()?, 16).ok()?;
        if size == 0 {
            return Some(whole);
        }
        whole.extend(bytes.get(end + 2..end + 2 + size)?);
        bytes = bytes.get(end + 2 + size + 2..)?;
    }
}
