//! The k8saudit plugin as far as a charm sees it: it listens over HTTP or HTTPS for audit events, and rules see their
//! fields.
//!
//! Answers and the end of Falco on a busy port are recorded; what comes of a certificate that cannot be used is as the
//! plugin's source has it.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::Value as Json;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::disk::on_disk;
use super::event::FieldValue;
use super::log::bare;
use super::settings::PluginConfig;
use crate::stand_in::tls::{self, Identity};

/// The source of its events.
pub const SOURCE: &str = "k8s_audit";

/// Where the plugin looks for its certificate when it is told no other place.
const CERTIFICATE: &str = "/etc/falco/falco.pem";

/// The largest body that it reads.
const LARGEST: usize = 12 * 1024 * 1024;

/// The fields of the plugin, without the `ka.` at their beginning.
const FIELDS: &str = "auditid stage auth.decision auth.reason auth.openshift.decision \
     validations.admission.policy.failure security.pod.violations auth.openshift.username user.name user.groups \
     impuser.name verb uri uri.param target.name target.namespace target.resource target.subresource target.pod.name \
     req.binding.subjects req.binding.subjects.user_names req.binding.subjects.serviceaccount_names \
     req.binding.subjects.serviceaccount_ns_names req.binding.subjects.group_names req.binding.role \
     req.binding.subject.has_name req.configmap.name req.configmap.obj req.pod.containers.args \
     req.pod.containers.command req.pod.containers.name req.pod.containers.image req.container.image \
     req.pod.containers.image.repository req.container.image.repository req.pod.host_ipc req.pod.host_network \
     req.container.host_network req.pod.host_pid req.pod.containers.host_port req.pod.containers.privileged \
     req.container.privileged req.pod.containers.allow_privilege_escalation req.pod.containers.read_only_fs \
     req.pod.run_as_user req.pod.containers.run_as_user req.pod.containers.eff_run_as_user req.pod.run_as_group \
     req.pod.containers.run_as_group req.pod.containers.eff_run_as_group req.pod.containers.proc_mount \
     req.role.rules req.role.rules.apiGroups req.role.rules.nonResourceURLs req.role.rules.verbs \
     req.role.rules.resources req.pod.fs_group req.pod.supplemental_groups req.pod.containers.add_capabilities \
     req.service.type req.service.ports req.pod.volumes.hostpath req.volume.hostpath \
     req.pod.volumes.flexvolume_driver req.pod.volumes.volume_type resp.name response.code response.reason useragent \
     sourceips cluster.name";

/// Whether the plugin has a field of this name, which is given without its argument.
pub fn knows(field: &str) -> bool {
    field.strip_prefix("ka.").is_some_and(|field| FIELDS.split_whitespace().any(|known| known == field))
}

/// Where a field stands in an event, if the stand-in can read it: keys from the outside in, `*` for each entry of a
/// list.
fn place(field: &str) -> Option<&'static [&'static str]> {
    Some(match field.strip_prefix("ka.")? {
        "auditid" => &["auditID"],
        "stage" => &["stage"],
        "auth.decision" => &["annotations", "authorization.k8s.io/decision"],
        "auth.reason" => &["annotations", "authorization.k8s.io/reason"],
        "user.name" => &["user", "username"],
        "user.groups" => &["user", "groups", "*"],
        "impuser.name" => &["impersonatedUser", "username"],
        "verb" => &["verb"],
        "uri" => &["requestURI"],
        "target.name" => &["objectRef", "name"],
        "target.namespace" => &["objectRef", "namespace"],
        "target.resource" => &["objectRef", "resource"],
        "target.subresource" => &["objectRef", "subresource"],
        "req.binding.subjects" => &["requestObject", "subjects", "*", "name"],
        "req.binding.role" => &["requestObject", "roleRef", "name"],
        "req.pod.host_ipc" => &["requestObject", "spec", "hostIPC"],
        "req.pod.host_network" => &["requestObject", "spec", "hostNetwork"],
        "req.pod.host_pid" => &["requestObject", "spec", "hostPID"],
        "req.pod.containers.image" => &["requestObject", "spec", "containers", "*", "image"],
        "req.pod.containers.privileged" => {
            &["requestObject", "spec", "containers", "*", "securityContext", "privileged"]
        }
        "req.pod.volumes.hostpath" => &["requestObject", "spec", "volumes", "*", "hostPath", "path"],
        "resp.name" => &["responseObject", "metadata", "name"],
        "response.code" => &["responseStatus", "code"],
        "response.reason" => &["responseStatus", "reason"],
        "useragent" => &["userAgent"],
        "sourceips" => &["sourceIPs", "*"],
        _ => return None,
    })
}

/// Whether the stand-in can read a field of an event.
pub fn can_read(field: &str) -> bool {
    place(field).is_some() || field.starts_with("evt.")
}

/// The value of a field, if the event has it.
pub fn field(event: &Json, field: &str) -> Option<FieldValue> {
    let place = place(field)?;
    let mut found = vec![event];
    for key in place {
        found = match *key {
            "*" => found.into_iter().filter_map(Json::as_array).flatten().collect(),
            key => found.into_iter().filter_map(|value| value.get(key)).collect(),
        };
    }
    let texts = found.into_iter().filter_map(|value| match value {
        Json::Null | Json::Array(_) | Json::Object(_) => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    });
    let texts: Vec<String> = texts.collect();
    if place.contains(&"*") {
        return if texts.is_empty() { None } else { Some(FieldValue::Many(texts)) };
    }
    texts.into_iter().next().map(FieldValue::Text)
}

/// An open source.
#[derive(Debug)]
pub struct Source {
    accepting: JoinHandle<()>,
    events: UnboundedReceiver<Json>,
}

impl Source {
    /// Begins to listen. The error is the one that ends Falco.
    pub fn open(config: &PluginConfig) -> Result<Self, String> {
        let (scheme, rest) = config.open.split_once("://").unwrap_or(("", &config.open));
        let (address, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let is_secure = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(format!("scheme \"{scheme}\" is not supported")),
        };
        // An address without a host means all of them to Go.
        let full = if address.starts_with(':') { format!("[::]{address}") } else { address.to_owned() };
        let full: SocketAddr =
            full.parse().map_err(|_| format!("listen tcp: address {address}: the stand-in wants an IP"))?;
        let listener = listen(full).map_err(|error| format!("listen tcp {full}: bind: {}", words(&error)))?;
        let acceptor = if is_secure { Some(acceptor(config)?) } else { None };
        let (sender, events) = unbounded_channel();
        let path: Arc<str> = path.into();
        Ok(Self { accepting: tokio::spawn(accept(listener, acceptor, path, sender)), events })
    }

    /// The next event.
    pub async fn next(&mut self) -> Json {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    /// Lets go of the port.
    pub async fn close(self) {
        self.accepting.abort();
        // It was told to end, so that its end is no news.
        let _ = self.accepting.await;
    }
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address already in use".into(),
        io::ErrorKind::AddrNotAvailable => "cannot assign requested address".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(128)
}

/// One PEM file with certificate and key.
fn acceptor(config: &PluginConfig) -> Result<TlsAcceptor, String> {
    let given = config.init.iter().find(|(key, _)| key == "sslCertificate").and_then(|(_, value)| value.text());
    let path = given.unwrap_or(CERTIFICATE);
    let pem = std::fs::read(on_disk(Path::new(path))).map_err(|_| format!("open {path}: no such file or directory"))?;
    let key = tls::key(&pem).ok_or_else(|| "tls: failed to find any PEM data in key input".to_owned())?;
    let chain = tls::certificates(&pem);
    if chain.is_empty() {
        return Err("tls: failed to find any PEM data in certificate input".into());
    }
    let server = tls::server(Identity { chain, key }, None);
    let server = server.map_err(|_| "tls: private key does not match public key".to_owned())?;
    Ok(TlsAcceptor::from(Arc::new(server)))
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, path: Arc<str>, sender: UnboundedSender<Json>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        connections.spawn(serve(stream, acceptor.clone(), Arc::clone(&path), sender.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, acceptor: Option<TlsAcceptor>, path: Arc<str>, sender: UnboundedSender<Json>) {
    let service = service_fn(move |request| {
        let (path, sender) = (Arc::clone(&path), sender.clone());
        async move { Ok::<_, std::convert::Infallible>(answer(request, &path, &sender).await) }
    });
    let mut builder = http1::Builder::new();
    builder.title_case_headers(true);
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

async fn answer(request: Request<Incoming>, path: &str, sender: &UnboundedSender<Json>) -> Response<Full<Bytes>> {
    if request.uri().path() != path {
        return refuse(StatusCode::NOT_FOUND, "404 page not found");
    }
    if request.method() != Method::POST {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, &format!("{} method not allowed", request.method()));
    }
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.contains("application/json") {
        return refuse(StatusCode::BAD_REQUEST, "wrong Content Type");
    }
    let Ok(body) = Limited::new(request.into_body(), LARGEST).collect().await else {
        return refuse(StatusCode::BAD_REQUEST, "bad request: http: request body too large");
    };
    let body = body.to_bytes();
    if let Ok(value) = serde_json::from_slice::<Json>(&body) {
        for event in events_in(value) {
            // Whoever waits for events ends before this does.
            let _ = sender.send(event);
        }
    } else {
        let text = String::from_utf8_lossy(&body);
        complain(&format!("cannot parse JSON: unexpected value found: {text:?}; unparsed tail: {text:?}"));
    }
    Response::new(Full::default())
}

/// One event, a list of them as Kubernetes writes it, or a JSON list of either.
fn events_in(value: Json) -> Vec<Json> {
    match value {
        Json::Array(values) => values.into_iter().flat_map(events_in).collect(),
        Json::Object(mut object) => match object.get("kind").and_then(Json::as_str) {
            Some("Event") => vec![Json::Object(object)],
            Some("EventList") => match object.remove("items") {
                Some(Json::Array(items)) => items,
                _ => Vec::new(),
            },
            _ => nothing(),
        },
        _ => nothing(),
    }
}

fn nothing() -> Vec<Json> {
    complain("data not recognized as a k8s audit event");
    Vec::new()
}

/// A line as Go's logger writes it.
fn complain(text: &str) {
    bare(&format!("{} [k8saudit] {text}", Timestamp::now().strftime("%Y/%m/%d %H:%M:%S")));
}

fn refuse(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{text}\n"))));
    *response.status_mut() = status;
    let headers: [(HeaderName, &str); 2] =
        [(CONTENT_TYPE, "text/plain; charset=utf-8"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_str(value).expect("a plain word"));
    }
    response
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_found_in_the_event_one_or_many() {
        let event = json!({
            "stage": "ResponseComplete", "responseStatus": {"code": 201}, "sourceIPs": ["192.0.2.1", "::1"],
            "requestObject": {"spec": {"containers": [{"name": "a"}, {"securityContext": {"privileged": true}}]}},
        });
        let text = |name: &str| field(&event, name).map(|value| value.text());
        assert_eq!(text("ka.response.code").as_deref(), Some("201"));
        assert_eq!(text("ka.sourceips").as_deref(), Some("(192.0.2.1,::1)"));
        assert_eq!(field(&event, "ka.req.pod.containers.privileged"), Some(FieldValue::Many(vec!["true".into()])));
        assert_eq!((text("ka.target.name"), text("fd.name")), (None, None));
        assert!(knows("ka.req.service.type") && !knows("ka.req.nonsense") && !knows("fd.name"));
    }

    #[test]
    fn every_field_that_can_be_read_is_one_of_the_plugin() {
        let read = FIELDS.split_whitespace().filter(|name| place(&format!("ka.{name}")).is_some()).count();
        assert_eq!(read, 26);
    }
}
