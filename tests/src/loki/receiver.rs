//! A receiver of Loki's push API that remembers what came. Not Loki.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use serde::Deserialize;
use tokio::sync::{oneshot, watch};

const PUSH: &str = "/loki/api/v1/push";
/// How many label names Loki takes by default, `service_name`, which it adds itself, not counted.
const MOST_LABELS: usize = 15;
/// How old a line may be by default.
const WEEK: u64 = 7 * 24 * 3600 * 1_000_000_000;
/// How far ahead of the clock a line may be.
const TEN_MINUTES: u64 = 600 * 1_000_000_000;

/// What the receiver does with the next pushes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// Takes them, with status 204, unless Loki would not.
    #[default]
    Take,
    /// Refuses them with this status.
    Refuse(u16),
    /// Does not answer until it is told something else, which then holds for the waiting pushes as well.
    Hang,
}

/// One line that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Of its stream, without the empty ones, which Loki drops.
    pub labels: BTreeMap<String, String>,
    /// In nanoseconds since 1970, as the sender says.
    pub timestamp: u64,
    /// Its text.
    pub line: String,
    /// When it came.
    pub arrived: SystemTime,
}

/// One request, whatever became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// Its path; anything but `/loki/api/v1/push` is refused with 404.
    pub path: String,
    /// Its headers, with names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body, as it came.
    pub body: String,
    /// The answer. `None` as long as there is none.
    pub status: Option<u16>,
}

/// A receiver on a port of its own. It ends when this is dropped.
#[derive(Debug)]
pub struct LokiReceiver {
    address: String,
    shared: Arc<Shared>,
    _stop: oneshot::Sender<()>,
}

#[derive(Debug)]
struct Shared {
    answer: watch::Sender<Answer>,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    pushes: Vec<Push>,
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Streams {
    streams: Vec<Stream>,
}

#[derive(Deserialize)]
struct Stream {
    stream: BTreeMap<String, String>,
    values: Vec<(String, String)>,
}

impl LokiReceiver {
    /// Starts a receiver on a free port of the loopback address.
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("failed to bind a port");
        listener.set_nonblocking(true).expect("failed to prepare the port");
        let address = listener.local_addr().expect("a bound port has an address").to_string();
        let shared = Arc::new(Shared { answer: watch::Sender::default(), book: Mutex::default() });
        let (stop, stopped) = oneshot::channel();
        let state = Arc::clone(&shared);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("failed to start");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("failed to take over the port");
                let router = Router::new().fallback(take).with_state(state);
                tokio::select! {
                    result = axum::serve(listener, router) => result.expect("failed to serve"),
                    _ = stopped => {}
                }
            });
        });
        Self { address, shared, _stop: stop }
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where to push to.
    pub fn url(&self) -> String {
        format!("http://{}{PUSH}", self.address)
    }

    /// Decides about further pushes, and about those that wait.
    pub fn answer(&self, answer: Answer) {
        self.shared.answer.send_replace(answer);
    }

    /// All lines that were taken, in the order in which they came.
    pub fn entries(&self) -> Vec<Entry> {
        self.shared.book().entries.clone()
    }

    /// All requests, refused and waiting ones included.
    pub fn pushes(&self) -> Vec<Push> {
        self.shared.book().pushes.clone()
    }
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(&self, method: &Method, path: &str, answer: Answer, body: &str) -> (u16, String) {
        match answer {
            _ if path != PUSH => (404, "404 page not found\n".to_owned()),
            _ if method != Method::POST => (405, String::new()),
            Answer::Refuse(status) => (status, refusal(status).to_owned()),
            Answer::Hang => unreachable!("nothing is decided while the answer is to hang"),
            Answer::Take => match entries(body, SystemTime::now()) {
                Ok(entries) => {
                    self.book().entries.extend(entries);
                    (204, String::new())
                }
                Err(problem) => (400, problem),
            },
        }
    }
}

async fn take(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers = headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect();
    let push = Push { path: uri.path().to_owned(), headers, body: text(&body), status: None };
    let number = {
        let mut book = shared.book();
        book.pushes.push(push.clone());
        book.pushes.len() - 1
    };
    let mut answers = shared.answer.subscribe();
    let answer = answers.wait_for(|answer| *answer != Answer::Hang).await.map_or(Answer::Take, |answer| *answer);
    let (status, text) = shared.decide(&method, &push.path, answer, &push.body);
    shared.book().pushes[number].status = Some(status);
    (StatusCode::from_u16(status).expect("a status has three digits"), text)
}

/// What Loki, or a proxy before it, says with this status.
fn refusal(status: u16) -> &'static str {
    match status {
        401 => "no org id\n",
        429 => "Ingestion rate limit exceeded\n",
        500 => "internal error\n",
        _ => "refused\n",
    }
}

/// The lines of a push, or why Loki would refuse it.
fn entries(body: &str, now: SystemTime) -> Result<Vec<Entry>, String> {
    let clock = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let clock = u64::try_from(clock).unwrap_or(u64::MAX);
    let Streams { streams } = serde_json::from_str(body).map_err(|error| format!("{error}\n"))?;
    let mut entries = Vec::new();
    for Stream { stream, values } in streams {
        if let Some(name) = stream.keys().find(|name| !is_label_name(name)) {
            return Err(format!("couldn't parse labels: parse error: unexpected character in {name:?}\n"));
        }
        let labels: BTreeMap<String, String> = stream.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let count = labels.len();
        if count > MOST_LABELS {
            return Err(format!("entry for stream '{labels:?}' has {count} label names; limit {MOST_LABELS}\n"));
        }
        for (timestamp, line) in values {
            let timestamp: u64 = timestamp.parse().map_err(|_| format!("{timestamp:?} is not a timestamp\n"))?;
            if timestamp.saturating_add(WEEK) < clock {
                return Err(format!("entry for stream '{labels:?}' has timestamp too old: {timestamp}\n"));
            }
            if timestamp > clock.saturating_add(TEN_MINUTES) {
                return Err(format!("entry for stream '{labels:?}' has timestamp too new: {timestamp}\n"));
            }
            entries.push(Entry { labels: labels.clone(), timestamp, line, arrived: now });
        }
    }
    Ok(entries)
}

fn is_label_name(name: &str) -> bool {
    let mut characters = name.chars();
    let first = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_' || first == ':');
    first && characters.all(|other| other.is_ascii_alphanumeric() || other == '_' || other == ':')
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn push(labels: &str, timestamp: u64) -> Result<Vec<Entry>, String> {
        let now = UNIX_EPOCH + Duration::from_nanos(2 * WEEK);
        entries(&format!(r#"{{"streams":[{{"stream":{labels},"values":[["{timestamp}","line"]]}}]}}"#), now)
    }

    #[test]
    fn what_loki_takes_is_taken_without_its_empty_labels() {
        let taken = push(r#"{"a":"1","empty":""}"#, 2 * WEEK).unwrap();
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].labels, BTreeMap::from([("a".to_owned(), "1".to_owned())]));
        assert_eq!((taken[0].timestamp, taken[0].line.as_str()), (2 * WEEK, "line"));
    }

    #[test]
    fn what_loki_refuses_is_refused() {
        let many: BTreeMap<String, &str> = (0..16).map(|number| (format!("l{number}"), "v")).collect();
        let many = serde_json::to_string(&many).unwrap();
        for (labels, timestamp, expected) in [
            (many.as_str(), 2 * WEEK, "has 16 label names; limit 15"),
            (r#"{"my-field":"x"}"#, 2 * WEEK, "couldn't parse labels"),
            (r#"{"9a":"x"}"#, 2 * WEEK, "couldn't parse labels"),
            (r#"{"a":"x"}"#, WEEK - 1, "timestamp too old"),
            (r#"{"a":"x"}"#, 2 * WEEK + TEN_MINUTES + 1, "timestamp too new"),
            (r#"{"a":1}"#, 2 * WEEK, "expected a string"),
        ] {
            let problem = push(labels, timestamp).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
