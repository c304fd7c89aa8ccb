//! One question to a TLS server, believed only if somebody of our choice vouches for it under the name we call it by.
//!
//! Where it is reached and how it is called are two things: a server in the same pod is asked at a loopback address as
//! the name that others will call it by, which proves that they will believe it. No proxies, no redirects, short
//! limits, bounded answers, as in [`crate::http`].

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::http::{Answer, elsewhere};
use crate::x509::{Certificate, Name};

/// As for plain HTTP, with a second for the handshake.
const LIMIT: Duration = Duration::from_secs(3);

/// More than any answer the charms look at.
const LARGEST: usize = 64 * 1024;

/// Why there is no answer.
#[derive(Debug)]
pub enum Error {
    /// Nobody is there, or nobody who speaks TLS and HTTP; why.
    NoAnswer(String),
    /// Somebody is there, and nobody whom we trust vouches for it; why.
    NotTrusted(String),
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::NoAnswer(words) | Self::NotTrusted(words)) = self;
        out.write_str(words)
    }
}

impl std::error::Error for Error {}

/// Whom to believe.
#[derive(Clone, Debug)]
pub struct Trust(RootCertStore);

impl Trust {
    /// These and nobody else. One that cannot vouch for anybody is left out.
    pub fn only(authorities: &[Certificate]) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(authorities.iter().map(|it| CertificateDer::from(it.der().to_vec())));
        Self(roots)
    }
}

/// Asks an https URL once. `at`: where the server is, if it is not to be looked up.
pub async fn get(url: &Url, at: Option<SocketAddr>, trust: &Trust) -> Result<Answer, Error> {
    Ok(send(Method::GET, url, at, trust, String::new()).await?.0)
}

/// Sends a JSON text to an https URL once, as [`get`] asks.
pub async fn post_json(url: &Url, at: Option<SocketAddr>, trust: &Trust, json: String) -> Result<Answer, Error> {
    Ok(send(Method::POST, url, at, trust, json).await?.0)
}

/// Where a server sends whoever comes with something to leave, as [`crate::http::redirect_of`] asks.
pub async fn redirect_of(url: &Url, trust: &Trust) -> Result<Option<String>, Error> {
    Ok(send(Method::OPTIONS, url, None, trust, String::new()).await?.1)
}

/// The answer, and where it sends the caller.
type Sent = (Answer, Option<String>);

async fn send(method: Method, url: &Url, at: Option<SocketAddr>, trust: &Trust, json: String) -> Result<Sent, Error> {
    match tokio::time::timeout(LIMIT, ask(method, url, at, trust, json)).await {
        Ok(result) => result,
        Err(_) => Err(Error::NoAnswer(format!("no answer within {} s", LIMIT.as_secs()))),
    }
}

async fn ask(
    method: Method,
    url: &Url,
    at: Option<SocketAddr>,
    Trust(roots): &Trust,
    json: String,
) -> Result<Sent, Error> {
    let host = url.host_str().and_then(Name::of_host).ok_or_else(|| no_answer("it has no host"))?;
    let name = match &host {
        Name::Dns(name) => ServerName::try_from(name.clone()).map_err(no_answer)?,
        Name::Ip(address) => ServerName::from(*address),
    };
    let stream = match at {
        Some(address) => TcpStream::connect(address).await,
        None => TcpStream::connect((host.to_string(), url.port_or_known_default().unwrap_or(443))).await,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(no_answer)?.with_root_certificates(roots.clone()).with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream.map_err(no_answer)?).await.map_err(|error| refused(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(no_answer)?;
    let target = url[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
    let mut request = hyper::Request::builder().method(method).uri(target);
    if !json.is_empty() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let request = request
        .header(HOST, &url[url::Position::BeforeHost..url::Position::AfterPort])
        .header(CONNECTION, "close")
        .body(Full::new(Bytes::from(json)))
        .map_err(no_answer)?;
    // The connection has to be driven while the answer is awaited, and ends with it.
    let _driver = Driver(tokio::spawn(connection));
    let response = sender.send_request(request).await.map_err(no_answer)?;
    let status = response.status().as_u16();
    let elsewhere = elsewhere(status, response.headers());
    let body = Limited::new(response.into_body(), LARGEST).collect().await.map_err(no_answer)?.to_bytes();
    Ok((Answer { status, body: String::from_utf8_lossy(&body).into_owned() }, elsewhere))
}

struct Driver<T>(JoinHandle<T>);

impl<T> Drop for Driver<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn no_answer(error: impl fmt::Display) -> Error {
    Error::NoAnswer(error.to_string())
}

/// A handshake fails for want of trust, or because the other side does not speak TLS.
fn refused(error: &std::io::Error) -> Error {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Error::NotTrusted(error.to_string())
        }
        _ => Error::NoAnswer(error.to_string()),
    }
}
