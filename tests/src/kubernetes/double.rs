//! A double of the API server of Kubernetes: it plays answers that were recorded from the real one, in the order a test
//! gives, and keeps nothing but what a test says that a request brings about. The suite `systems` holds the recordings
//! to the real one.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use super::{ADDRESS, certificate};
use crate::stand_in::tls::{self, Identity};

/// A request, as method and path with what stands behind it.
type Request = (String, String);

/// What to say.
#[derive(Clone, Debug)]
pub enum Answer {
    /// This status code and this body.
    Says(u16, String),
    /// Nothing, for longer than anybody waits.
    Nothing,
}

impl Answer {
    /// A JSON object.
    pub fn object(status: u16, object: &Value) -> Self {
        Self::Says(status, object.to_string())
    }
}

/// A running double. Its threads end with the program: they hold nothing that anybody could miss.
#[derive(Debug)]
pub struct ApiDouble {
    port: u16,
    authority: String,
    script: Arc<Mutex<Script>>,
}

#[derive(Debug, Default)]
struct Script {
    /// By method and path without what stands behind it. The last answer is given again and again.
    answers: BTreeMap<Request, VecDeque<Answer>>,
    /// What is answered to another request from a request on.
    consequences: BTreeMap<Request, (Request, Answer)>,
    requests: Vec<(String, String, Value)>,
}

impl ApiDouble {
    /// Listens on a free port of loopback. To whatever it has no answer for, it says that it is not there.
    pub fn start() -> Self {
        let listener = TcpListener::bind((ADDRESS, 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (authority, key) = certificate();
        let identity =
            Identity { chain: tls::certificates(authority.as_bytes()), key: tls::key(key.as_bytes()).expect("a key") };
        let config = Arc::new(tls::server(identity, None).expect("a server of TLS"));
        let script = Arc::new(Mutex::new(Script::default()));
        let shared = Arc::clone(&script);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, script) = (Arc::clone(&config), Arc::clone(&shared));
                thread::spawn(move || serve(stream, config, &script));
            }
        });
        Self { port, authority, script }
    }

    /// Where it answers.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whom its callers have to believe.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Gives these answers, one after the other, in place of those from before.
    pub fn answer(&self, method: &str, path: &str, answers: impl IntoIterator<Item = Answer>) {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        script.answers.insert((method.to_owned(), path.to_owned()), answers.into_iter().collect());
    }

    /// From the next such request on, another one is answered so: what a change brings about.
    pub fn brings_about(&self, change: (&str, &str), other: (&str, &str), answer: Answer) {
        let request = |(method, path): (&str, &str)| (method.to_owned(), path.to_owned());
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        script.consequences.insert(request(change), (request(other), answer));
    }

    /// What it would say now.
    pub fn says(&self, method: &str, path: &str) -> Option<Answer> {
        let script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        script.answers.get(&(method.to_owned(), path.to_owned()))?.front().cloned()
    }

    /// What was asked since the last time, as method and path with what stands behind it, and the body.
    pub fn requests(&self) -> Vec<(String, String, Value)> {
        std::mem::take(&mut self.script.lock().unwrap_or_else(PoisonError::into_inner).requests)
    }
}

/// Answers one connection until the client has no more to say.
fn serve(stream: TcpStream, config: Arc<ServerConfig>, script: &Mutex<Script>) -> Option<()> {
    let connection = ServerConnection::new(config).ok()?;
    let mut reader = BufReader::new(StreamOwned::new(connection, stream));
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_owned());
        }
        let header = |name: &str| {
            lines.iter().filter_map(|line| line.split_once(':')).find(|(key, _)| key.eq_ignore_ascii_case(name))
        };
        let length = header("content-length").map_or(Ok(0), |(_, value)| value.trim().parse()).ok()?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let mut words = lines.first()?.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let path = target.split('?').next()?.to_owned();
        let answer = {
            let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
            script.requests.push((method.clone(), target, body));
            let request = (method, path);
            if let Some((other, answer)) = script.consequences.get(&request).cloned() {
                script.answers.insert(other, [answer].into());
            }
            match script.answers.get_mut(&request) {
                Some(answers) if answers.len() > 1 => answers.pop_front(),
                Some(answers) => answers.front().cloned(),
                None => None,
            }
        };
        let (status, body) = match answer {
            None => (404, not_found()),
            Some(Answer::Says(status, body)) => (status, body),
            Some(Answer::Nothing) => {
                thread::sleep(Duration::from_secs(3600));
                return None;
            }
        };
        let length = body.len();
        let head = format!("HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
        reader.get_mut().write_all(format!("{head}{body}").as_bytes()).ok()?;
        reader.get_mut().flush().ok()?;
    }
}

fn not_found() -> String {
    include_str!("../../recordings/kubernetes/not-found.json").to_owned()
}
