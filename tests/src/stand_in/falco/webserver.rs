//! `/healthz` at once, `/versions`, and `/metrics` as soon as the engine is open.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT_RANGES, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::disk::on_disk;
use super::metrics::Board;
use super::settings::Webserver;
use crate::stand_in::tls::{self, Identity};

/// A running webserver; ends when dropped.
#[derive(Debug)]
pub struct Server {
    accepting: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What requests are answered from.
#[derive(Debug)]
pub struct Pages {
    /// Path of the health page.
    pub health_path: String,
    /// The metrics, if they are on.
    pub metrics: Option<Board>,
    /// The engine is open.
    pub open: Arc<AtomicBool>,
}

impl Server {
    /// Starts to listen. The error is the text of Falco's runtime error.
    pub fn start(config: &Webserver, pages: Pages) -> Result<Self, String> {
        let acceptor = config.certificate.as_deref().map(acceptor).transpose()?;
        let listener = listen(SocketAddr::new(config.address, config.port))
            .map_err(|_| "an error occurred while starting webserver".to_owned())?;
        let pages = Arc::new(pages);
        Ok(Self { accepting: tokio::spawn(accept(listener, acceptor, pages)) })
    }
}

/// Two Falcos can listen on one port: each asks the kernel to share it.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(128)
}

/// One PEM file with certificate and key.
fn acceptor(path: &std::path::Path) -> Result<TlsAcceptor, String> {
    let bad = || "invalid webserver configuration".to_owned();
    let pem = std::fs::read(on_disk(path)).map_err(|_| bad())?;
    let identity = Identity { chain: tls::certificates(&pem), key: tls::key(&pem).ok_or_else(bad)? };
    tls::server(identity, None).map(|config| TlsAcceptor::from(Arc::new(config))).map_err(|_| bad())
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, pages: Arc<Pages>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        connections.spawn(serve(stream, acceptor.clone(), Arc::clone(&pages)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, acceptor: Option<TlsAcceptor>, pages: Arc<Pages>) {
    let service = service_fn(move |request| {
        let pages = Arc::clone(&pages);
        async move { Ok::<_, std::convert::Infallible>(answer(&request, &pages)) }
    });
    let mut builder = http1::Builder::new();
    builder.auto_date_header(false).title_case_headers(true);
    // A client that goes away or speaks nonsense is its own affair.
    match acceptor {
        None => drop(builder.serve_connection(TokioIo::new(stream), service).await),
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                drop(builder.serve_connection(TokioIo::new(stream), service).await);
            }
        }
    }
}

fn answer(request: &Request<Incoming>, pages: &Pages) -> Response<Full<Bytes>> {
    let head = request.method() == Method::HEAD;
    let path = request.uri().path();
    let page = match &pages.metrics {
        _ if !head && request.method() != Method::GET => None,
        _ if path == pages.health_path => Some(("application/json", "{\"status\": \"ok\"}".to_owned())),
        _ if path == "/versions" => Some(("application/json", super::version_json().to_string())),
        Some(board) if path == "/metrics" && pages.open.load(Ordering::Relaxed) => {
            Some(("text/plain; version=0.0.4", board.text()))
        }
        _ => None,
    };
    let Some((content_type, text)) = page else {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if head {
        response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
    response
}
