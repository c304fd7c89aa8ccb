//! The listeners: one, or with TLS a second one for the paths that are moved to it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Collected, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::event::Event;
use super::log::{self, Level};
use super::metrics::Panic;
use super::settings::Settings;
use super::source::open_error;
use super::{Shared, accept_event};
use crate::stand_in::tls::{self, Identity};

/// The paths with a meaning.
const PATHS: [&str; 5] = ["/", "/ping", "/healthz", "/test", "/metrics"];

type Body = BoxBody<Bytes, Infallible>;

/// Listens until a listener fails, and returns the reason.
pub async fn run(shared: Arc<Shared>) -> String {
    let settings = &shared.settings;
    let address = settings.text("listenaddress").to_owned();
    let port = settings.number("listenport");
    let deploy = settings.switch("tlsserver.deploy");
    let authorities = if deploy { client_authorities(settings) } else { None };
    if settings.switch("debug") {
        log::write(Level::Debug, if deploy { "running HTTPS server" } else { "running HTTP server" });
    }
    if !deploy && settings.switch("tlsserver.mutualtls") {
        log::write(
            Level::Warn,
            "tlsserver.deploy is false but tlsserver.mutualtls is true, change tlsserver.deploy to true to use mTLS",
        );
    }
    let moved = if deploy { moved_paths(settings) } else { Vec::new() };
    let plain_port = settings.number("tlsserver.notlsport");
    let two = deploy && !settings.list("tlsserver.notlspaths").is_empty();
    if deploy && !two {
        log::write(
            Level::Warn,
            "tlsserver.deploy is true but tlsserver.notlspaths is empty, change tlsserver.deploy to true to deploy two \
             servers, at least for /ping endpoint",
        );
    }
    let more = if two { format!(" for TLS and {address}:{plain_port} for non-TLS") } else { String::new() };
    log::info(&format!("Falcosidekick is up and listening on {address}:{port}{more}"));
    let security = if deploy { Security::Tls { client_authorities: authorities } } else { Security::Plain };
    let main_paths: Vec<&'static str> = PATHS.into_iter().filter(|path| !moved.contains(path)).collect();
    let main = serve(Arc::clone(&shared), &address, port, main_paths, security);
    if !two {
        return main.await;
    }
    // Whoever sees that the first port answers takes it that the second one does.
    tokio::select! {
        biased;
        reason = serve(Arc::clone(&shared), &address, plain_port, moved, Security::Plain) => reason,
        reason = main => reason,
    }
}

/// For mutual TLS the certificates that clients must descend from.
fn client_authorities(settings: &Settings) -> Option<Vec<CertificateDer<'static>>> {
    if !settings.switch("tlsserver.mutualtls") {
        return None;
    }
    let path = Path::new(settings.text("tlsserver.cacertfile"));
    let pem = std::fs::read(path).map_err(|error| log::error(&open_error(path, &error)));
    Some(tls::certificates(&pem.unwrap_or_default()))
}

fn moved_paths(settings: &Settings) -> Vec<&'static str> {
    let mut moved = Vec::new();
    for wanted in settings.list("tlsserver.notlspaths") {
        match PATHS.into_iter().find(|path| path == wanted).filter(|path| !moved.contains(path)) {
            Some(path) => moved.push(path),
            None => log::write(Level::Warn, &format!("tlsserver.notlspaths has unknown path '{wanted}'")),
        }
    }
    moved
}

/// Whether and how a listener speaks TLS.
enum Security {
    Plain,
    Tls { client_authorities: Option<Vec<CertificateDer<'static>>> },
}

async fn serve(shared: Arc<Shared>, address: &str, port: i64, paths: Vec<&'static str>, security: Security) -> String {
    let listener = match listen(address, port).await {
        Ok(listener) => listener,
        Err(words) => return words,
    };
    let acceptor = match security {
        Security::Plain => None,
        Security::Tls { client_authorities } => match acceptor(&shared.settings, client_authorities) {
            Ok(acceptor) => Some(acceptor),
            Err(words) => return words,
        },
    };
    let paths = Arc::new(paths);
    loop {
        let Ok((stream, peer)) = listener.accept().await else { continue };
        tokio::spawn(connection(stream, peer, acceptor.clone(), Arc::clone(&shared), Arc::clone(&paths)));
    }
}

/// Binds, or says in Go's words why not.
async fn listen(address: &str, port: i64) -> Result<TcpListener, String> {
    if address.contains(':') && !address.starts_with('[') {
        return Err(format!("listen tcp: address {address}:{port}: too many colons in address"));
    }
    let Ok(number) = u16::try_from(port) else { return Err(format!("listen tcp: address {port}: invalid port")) };
    let host = address.trim_start_matches('[').trim_end_matches(']');
    let host = if host.is_empty() { "::" } else { host };
    match TcpListener::bind((host, number)).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Err(format!("listen tcp {address}:{port}: bind: address already in use"))
        }
        Err(error) if error.raw_os_error().is_none() => Err(format!("listen tcp: lookup {host}: no such host")),
        Err(error) => {
            let words = error.to_string().to_lowercase();
            let words = words.split(" (os error").next().unwrap_or_default().to_owned();
            Err(format!("listen tcp {address}:{port}: bind: {words}"))
        }
    }
}

fn acceptor(settings: &Settings, authorities: Option<Vec<CertificateDer<'static>>>) -> Result<TlsAcceptor, String> {
    let read = |key: &str| {
        let path = Path::new(settings.text(key));
        std::fs::read(path).map_err(|error| open_error(path, &error))
    };
    let chain = tls::certificates(&read("tlsserver.certfile")?);
    let key = read("tlsserver.keyfile")?;
    if chain.is_empty() {
        return Err("tls: failed to find any PEM data in certificate input".into());
    }
    let key = tls::key(&key).ok_or("tls: failed to find any PEM data in key input")?;
    tls::server(Identity { chain, key }, authorities).map(|config| TlsAcceptor::from(Arc::new(config))).map_err(
        |error| match error {
            rustls::Error::InconsistentKeys(_) => "tls: private key does not match public key".into(),
            other => format!("tls: {other}"),
        },
    )
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    paths: Arc<Vec<&'static str>>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (shared, paths) = (Arc::clone(&shared), Arc::clone(&paths));
        async move {
            answer(request, &shared, &paths).await.map_err(|Panic(words)| {
                log::http(&format!("panic serving {peer}: {words}\ngoroutine 1 [running]:\n(stand-in: no stack)"));
                std::io::Error::other(words)
            })
        }
    });
    let mut builder = http1::Builder::new();
    builder.title_case_headers(true);
    // A client that goes away, and a request that was ended by a panic, are no concern of others.
    match acceptor {
        None => drop(builder.serve_connection(TokioIo::new(stream), service).await),
        Some(acceptor) => match handshake(stream, &acceptor).await {
            Ok(stream) => drop(builder.serve_connection(TokioIo::new(stream), service).await),
            Err(words) => log::http(&format!("TLS handshake error from {peer}: {words}")),
        },
    }
}

async fn handshake(
    mut stream: TcpStream,
    acceptor: &TlsAcceptor,
) -> Result<tokio_rustls::server::TlsStream<TcpStream>, String> {
    let mut start = [0; 11];
    let length = stream.peek(&mut start).await.unwrap_or_default();
    if length >= 5 && start[..5].iter().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b' ' | b'/')) {
        let text = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
        let _ = stream.write_all(text.as_bytes()).await;
        let _ = stream.shutdown().await;
        return Err("client sent an HTTP request to an HTTPS server".into());
    }
    acceptor.accept(stream).await.map_err(|error| match tls::tls_error(&error) {
        Some(error) => handshake_words(error, &start),
        None => "EOF".to_owned(),
    })
}

fn handshake_words(error: &rustls::Error, start: &[u8; 11]) -> String {
    match error {
        rustls::Error::NoCertificatesPresented => "tls: client didn't provide a certificate".into(),
        rustls::Error::InvalidCertificate(reason) => {
            let reason = match reason {
                rustls::CertificateError::InvalidPurpose | rustls::CertificateError::InvalidPurposeContext { .. } => {
                    "certificate specifies an incompatible key usage".to_owned()
                }
                rustls::CertificateError::UnknownIssuer => "certificate signed by unknown authority".to_owned(),
                other => format!("{other:?}"),
            };
            format!("tls: failed to verify certificate: x509: {reason}")
        }
        // Version 1.1 is 302 on the wire, 1.0 is 301.
        rustls::Error::PeerIncompatible(_) if start[9..11] == [3, 2] => {
            "tls: client offered only unsupported versions: [302 301]".into()
        }
        rustls::Error::AlertReceived(alert) => format!("remote error: tls: {alert:?}"),
        other => format!("tls: {other}"),
    }
}

async fn answer(request: Request<Incoming>, shared: &Arc<Shared>, paths: &[&str]) -> Result<Response<Body>, Panic> {
    let path = request.uri().path().to_owned();
    if path.contains("//") {
        let mut response = text(StatusCode::TEMPORARY_REDIRECT, None, "");
        let clean = path.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        if let Ok(target) = HeaderValue::from_str(&format!("/{clean}")) {
            response.headers_mut().insert(LOCATION, target);
        }
        return Ok(response);
    }
    let known = paths.iter().copied().find(|known| *known == path && path != "/");
    match known {
        Some("/ping") => Ok(text(StatusCode::OK, Some("text/plain; charset=utf-8"), "pong\n")),
        Some("/healthz") => Ok(text(StatusCode::OK, Some("application/json"), "{\"status\": \"ok\"}")),
        Some("/metrics") => Ok(metrics(shared)),
        _ if known.is_none() && !paths.contains(&"/") => Ok(go_error(StatusCode::NOT_FOUND, "404 page not found\n")),
        _ if request.method() != Method::POST => {
            shared.metrics.input(false);
            Ok(go_error(StatusCode::BAD_REQUEST, "Please send with post http method\n"))
        }
        other => {
            let event = if other.is_some() {
                Some(Event::test())
            } else {
                let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
                Event::decode(&body)
            };
            if accept_event(shared, event)? {
                return Ok(text(StatusCode::OK, None, ""));
            }
            Ok(go_error(StatusCode::BAD_REQUEST, "Please send a valid request body\n"))
        }
    }
}

fn text(status: StatusCode, content_type: Option<&'static str>, text: &str) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(text.to_owned())).boxed());
    *response.status_mut() = status;
    if let Some(content_type) = content_type {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response
}

fn go_error(status: StatusCode, words: &str) -> Response<Body> {
    let mut response = text(status, Some("text/plain; charset=utf-8"), words);
    let name = HeaderName::from_static("x-content-type-options");
    response.headers_mut().insert(name, HeaderValue::from_static("nosniff"));
    response
}

/// Sent in pieces, as the length is not known before.
fn metrics(shared: &Shared) -> Response<Body> {
    let frame = Ok::<_, Infallible>(Frame::data(Bytes::from(shared.metrics.text())));
    let mut response = Response::new(StreamBody::new(tokio_stream::once(frame)).boxed());
    let content_type = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
