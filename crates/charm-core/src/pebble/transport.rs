//! One HTTP request over Pebble's socket, and the envelope its answers come in.
//!
//! Each request has a connection of its own. A kept one would save a quarter of a millisecond, but Pebble may have
//! restarted since, which shows only when the request is already on its way: then nobody can say whether a repetition
//! would be the second time. So there is no retry here either, and whatever breaks means that Pebble ended just now.

use std::error;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use reqwest::{Method, header, redirect::Policy};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use url::form_urlencoded;

use super::error::{Error, Result};

/// Pebble answers in milliseconds. More than this means that it hangs, and a hook must not hang with it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer is a file that the charm wrote itself, or the logs, of which Pebble keeps 100 KiB a service.
const LARGEST_ANSWER: usize = 32 * 1024 * 1024;
/// As much of an error text that is not Pebble's own as helps.
const QUOTED_CHARACTERS: usize = 200;

#[derive(Clone, Debug)]
pub struct Transport {
    container: String,
    http: reqwest::Client,
}

/// A request, begun with [`Request::get`] or [`Request::post`].
pub struct Request {
    /// For error texts: "failed to …".
    pub doing: String,
    method: Method,
    /// Path and query.
    target: String,
    accept: &'static str,
    timeout: Duration,
    body: Option<(String, Vec<u8>)>,
}

/// An answer that is no error.
pub struct Answer {
    pub content_type: String,
    pub body: Vec<u8>,
}

/// What every JSON answer of Pebble is wrapped in.
#[derive(Deserialize)]
struct Envelope<T> {
    /// What tells an envelope from other JSON.
    #[serde(rename = "type")]
    _type: String,
    result: Option<T>,
    change: Option<String>,
}

#[derive(Deserialize)]
pub struct ErrorResult {
    pub message: String,
    pub kind: Option<String>,
}

impl Request {
    pub fn get(doing: impl Into<String>, path: &str) -> Self {
        Self::new(Method::GET, doing.into(), path)
    }

    pub fn post(doing: impl Into<String>, path: &str, content_type: &str, body: Vec<u8>) -> Self {
        Self { body: Some((content_type.to_owned(), body)), ..Self::new(Method::POST, doing.into(), path) }
    }

    pub fn post_json(doing: impl Into<String>, path: &str, body: &serde_json::Value) -> Self {
        Self::post(doing, path, "application/json", body.to_string().into_bytes())
    }

    fn new(method: Method, doing: String, path: &str) -> Self {
        Self { doing, method, target: path.to_owned(), accept: "application/json", timeout: ANSWER_TIMEOUT, body: None }
    }

    pub fn query(mut self, key: &str, value: &str) -> Self {
        let separator = if self.target.contains('?') { "&" } else { "?" };
        self.target.extend([separator, key, "="]);
        self.target.extend(form_urlencoded::byte_serialize(value.as_bytes()));
        self
    }

    pub fn accept(self, accept: &'static str) -> Self {
        Self { accept, ..self }
    }

    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The result in a JSON answer to this request.
    pub fn result<T: DeserializeOwned>(&self, answer: &[u8]) -> Result<T> {
        self.envelope(answer)?.result.ok_or_else(|| self.unusable("no result"))
    }

    fn envelope<T: DeserializeOwned>(&self, answer: &[u8]) -> Result<Envelope<T>> {
        serde_json::from_slice(answer).map_err(|error| self.unusable(error))
    }

    pub fn unusable(&self, problem: impl fmt::Display) -> Error {
        Error::Answer { doing: self.doing.clone(), problem: problem.to_string() }
    }
}

impl fmt::Debug for Request {
    // A body may hold a secret file.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { doing, method, target, accept: _, timeout: _, body: _ } = self;
        write!(formatter, "Request({doing}: {method} {target})")
    }
}

impl Transport {
    pub fn new(container: &str, socket: &Path) -> Result<Self> {
        let http = reqwest::Client::builder()
            .unix_socket(socket)
            .no_proxy()
            .redirect(Policy::none())
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| Error::Request {
                doing: format!("prepare for pebble of container {container}"),
                problem: innermost(&error),
            })?;
        Ok(Self { container: container.to_owned(), http })
    }

    /// The result in a JSON answer.
    pub async fn result<T: DeserializeOwned>(&self, request: Request) -> Result<T> {
        let answer = self.send(&request).await?;
        request.result(&answer.body)
    }

    /// The number of the change in a JSON answer.
    pub async fn change(&self, request: Request) -> Result<String> {
        let answer = self.send(&request).await?;
        let envelope: Envelope<IgnoredAny> = request.envelope(&answer.body)?;
        envelope.change.ok_or_else(|| request.unusable("no change to wait for"))
    }

    /// The answer as it came, unless it is an error.
    pub async fn send(&self, request: &Request) -> Result<Answer> {
        // The host is a formality of HTTP: the socket leads to one Pebble whatever it says.
        let mut outgoing = self
            .http
            .request(request.method.clone(), format!("http://pebble{}", request.target))
            .header(header::ACCEPT, request.accept)
            .timeout(request.timeout);
        if let Some((content_type, body)) = &request.body {
            outgoing = outgoing.header(header::CONTENT_TYPE, content_type).body(body.clone());
        }
        let failed = |error| self.failure(request, &error);
        let mut response = outgoing.send().await.map_err(failed)?;
        let status = response.status();
        let content_type = response.headers().get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(request.unusable(format!("more than {LARGEST_ANSWER} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            Ok(Answer { content_type, body })
        } else {
            Err(refusal(request, status.as_u16(), &body))
        }
    }

    fn failure(&self, request: &Request, error: &reqwest::Error) -> Error {
        if error.is_timeout() {
            Error::Timeout { doing: request.doing.clone(), after: request.timeout }
        } else {
            Error::Unreachable { container: self.container.clone(), cause: innermost(error) }
        }
    }
}

fn refusal(request: &Request, status: u16, body: &[u8]) -> Error {
    let explained = request.result(body).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(body);
        ErrorResult { message: text.trim().chars().take(QUOTED_CHARACTERS).collect(), kind: None }
    });
    Error::Refused { doing: request.doing.clone(), status, kind: explained.kind, message: explained.message }
}

/// The cause of all causes, in the words of the operating system; those above it only say that a request failed.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;
