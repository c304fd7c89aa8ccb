//! A Unix socket that gives prepared answers: not Pebble, but something that can behave worse.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use charm_core::pebble::Client;
use tempfile::TempDir;

/// What happens to one request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// An answer, of which only so many bytes are sent before the connection is closed.
    Answer(Vec<u8>, Option<usize>),
    /// The connection is closed.
    Close,
}

impl Reply {
    pub fn new(status: u64, content_type: &str, body: &[u8]) -> Self {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} x\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n");
        Self::Answer([head.as_bytes(), body].concat(), None)
    }

    pub fn json(status: u64, body: &str) -> Self {
        Self::new(status, "application/json", body.as_bytes())
    }

    /// The body in two chunks, which is how Go sends what is long.
    pub fn chunked(status: u64, content_type: &str, body: &[u8]) -> Self {
        let head = format!("HTTP/1.1 {status} x\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut answer = head.into_bytes();
        let (first, second) = body.split_at(body.len() / 2);
        for chunk in [first, second].into_iter().filter(|chunk| !chunk.is_empty()) {
            answer.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
            answer.extend_from_slice(chunk);
            answer.extend_from_slice(b"\r\n");
        }
        answer.extend_from_slice(b"0\r\n\r\n");
        Self::Answer(answer, None)
    }

    /// The same, broken off in its middle.
    pub fn cut(self) -> Self {
        match self {
            Self::Answer(answer, _) => {
                let half = answer.len() / 2;
                Self::Answer(answer, Some(half))
            }
            Self::Close => Self::Close,
        }
    }
}

/// A server with a list of replies, one for each request. When they are used up it closes connections.
pub struct Canned {
    pub client: Client,
    requests: Arc<Mutex<Vec<String>>>,
    _folder: TempDir,
}

impl Canned {
    pub fn new(replies: Vec<Reply>) -> Self {
        let folder = tempfile::Builder::new().prefix("p").tempdir().unwrap();
        let socket = folder.path().join("pebble.socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let requests = Arc::default();
        let seen = Arc::clone(&requests);
        // The thread ends when the process does: it holds nothing but its socket.
        thread::spawn(move || {
            let mut replies = replies.into_iter();
            for stream in listener.incoming() {
                serve(&stream.unwrap(), &mut replies, &seen);
            }
        });
        Self { client: Client::new("canned", &socket, Path::new("/")).unwrap(), requests, _folder: folder }
    }

    /// The first lines of the requests that came.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(stream: &UnixStream, replies: &mut impl Iterator<Item = Reply>, seen: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader) {
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        let Some(Reply::Answer(answer, limit)) = replies.next() else {
            return;
        };
        let sent = &answer[..limit.unwrap_or(answer.len())];
        let mut stream = stream;
        if stream.write_all(sent).is_err() || limit.is_some() {
            return;
        }
    }
}

/// Reads one request to its end, and gives its first line.
fn read_request(reader: &mut impl BufRead) -> Option<String> {
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|length| *length > 0)?;
    let mut body_length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            body_length = value.trim().parse().ok()?;
        }
    }
    let mut body = Vec::new();
    reader.take(body_length).read_to_end(&mut body).ok()?;
    Some(first.trim_end().to_owned())
}
