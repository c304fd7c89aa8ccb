//! HTTP/1.1 requests with full control over what goes over the wire, because both programs are known by their exact
//! requests.
//!
//! No redirects, no proxies, no time limit, no header that was not asked for except `Host` and `Content-Length`.

use std::io;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::ext::ReasonPhrase;
use hyper::header::{HeaderName, HeaderValue};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use super::tls::tls_error;

/// A request to send.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method, as written.
    pub method: String,
    /// Where to.
    pub url: Url,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// The words behind it.
    pub reason: String,
    /// Headers in order, lower-case names.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of that lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// No connection.
    Connect(io::Error),
    /// The handshake failed, or the peer sent an alert.
    Tls(rustls::Error),
    /// The peer hung up without an answer.
    Closed,
    /// The request cannot be sent as it is.
    Unsendable(String),
}

/// A connection that can carry one request after the other.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects to the host of `url`, with TLS when its scheme says so.
    pub async fn open(url: &Url, tls: Option<Arc<ClientConfig>>) -> Result<Self, Failure> {
        let host = url.host_str().ok_or_else(|| Failure::Unsendable("no host".into()))?.to_owned();
        let port = url.port_or_known_default().unwrap_or(80);
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let stream = TcpStream::connect((bare.as_str(), port)).await.map_err(Failure::Connect)?;
        if url.scheme() != "https" {
            return Self::start(TokioIo::new(stream)).await;
        }
        let tls = tls.ok_or_else(|| Failure::Unsendable("no TLS configuration".into()))?;
        let name = ServerName::try_from(bare).map_err(|error| Failure::Unsendable(error.to_string()))?;
        let stream = TlsConnector::from(tls).connect(name, stream).await.map_err(from_io)?;
        Self::start(TokioIo::new(stream)).await
    }

    async fn start<S>(stream: S) -> Result<Self, Failure>
    where
        S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::Builder::new()
            .title_case_headers(true)
            .handshake(stream)
            .await
            .map_err(|error| from_hyper(&error))?;
        // The task ends with the connection; its error reaches the sender as well.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender })
    }

    /// Whether the peer has hung up.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&mut self, request: Request) -> Result<Response, Failure> {
        let request = build(request)?;
        let answer = self.sender.send_request(request).await.map_err(|error| from_hyper(&error))?;
        let status = answer.status().as_u16();
        let own =
            answer.extensions().get::<ReasonPhrase>().map(|own| String::from_utf8_lossy(own.as_bytes()).into_owned());
        let reason = own.or_else(|| answer.status().canonical_reason().map(str::to_owned)).unwrap_or_default();
        let headers = answer
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let body = answer.into_body().collect().await.map_err(|error| from_hyper(&error))?;
        Ok(Response { status, reason, headers, body: body.to_bytes().to_vec() })
    }
}

/// Sends one request over a connection of its own.
pub async fn send(request: Request, tls: Option<Arc<ClientConfig>>) -> Result<Response, Failure> {
    Connection::open(&request.url, tls).await?.send(request).await
}

fn build(request: Request) -> Result<hyper::Request<Full<Bytes>>, Failure> {
    let Request { method, url, headers, body } = request;
    let unsendable = |what: &str| Failure::Unsendable(format!("{what} cannot be sent"));
    let target = url[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
    let authority = url[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
    let mut built = hyper::Request::builder()
        .method(method.as_str())
        .uri(target)
        .header("host", authority)
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| Failure::Unsendable(error.to_string()))?;
    for (name, value) in headers {
        let value = HeaderValue::from_str(&value).map_err(|_| unsendable(&name))?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unsendable(&name))?;
        built.headers_mut().append(name, value);
    }
    Ok(built)
}

fn from_io(error: io::Error) -> Failure {
    match tls_error(&error) {
        Some(tls) => Failure::Tls(tls.clone()),
        None if error.kind() == io::ErrorKind::UnexpectedEof => Failure::Closed,
        None => Failure::Connect(error),
    }
}

fn from_hyper(error: &hyper::Error) -> Failure {
    match tls_error(error) {
        Some(tls) => Failure::Tls(tls.clone()),
        None if error.is_user() => Failure::Unsendable(error.to_string()),
        None => Failure::Closed,
    }
}
