//! Sending over HTTP, with the words of Falcosidekick and of Go for what goes wrong. Nothing is tried twice.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ClientConfig;
use tokio::sync::Semaphore;
use url::Url;

use crate::stand_in::falcosidekick::event::Event;
use crate::stand_in::falcosidekick::log::{self, Level};
use crate::stand_in::falcosidekick::settings::Settings;
use crate::stand_in::falcosidekick::source::open_error;
use crate::stand_in::http::{self, Failure, Request, Response};
use crate::stand_in::tls::{self, Identity, Trust};

/// The way to one output.
#[derive(Debug)]
pub struct Client {
    name: &'static str,
    block: &'static str,
    address: String,
    permits: Semaphore,
    limit: String,
    announced: AtomicBool,
    tls: OnceLock<Arc<ClientConfig>>,
}

/// A request to be made.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// `POST` or `PUT`.
    pub method: String,
    /// Headers beside those that every request has.
    pub headers: Vec<(String, String)>,
    /// The body; `None` when the stand-in does not know it.
    pub body: Option<String>,
    /// Where to, if that depends on the event or the time.
    pub address: Option<String>,
}

impl Delivery {
    /// What a webhook gets.
    pub fn webhook(event: &Event, settings: &Settings) -> Self {
        let mut headers = vec![("Content-Type".to_owned(), "application/json; charset=utf-8".to_owned())];
        headers.extend(settings.map("webhook.customheaders"));
        let method = if settings.text("webhook.method").eq_ignore_ascii_case("put") { "PUT" } else { "POST" };
        Self { method: method.into(), headers, body: Some(format!("{}\n", event.json())), address: None }
    }

    /// What the stand-in does not make.
    pub fn refused() -> Self {
        Self { method: "POST".into(), headers: Vec::new(), body: None, address: None }
    }
}

/// A header for a user and a password.
pub fn basic_auth(user: &str, password: &str) -> (String, String) {
    ("Authorization".to_owned(), format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

impl Client {
    /// `None` without an address. Only the first of several is served; the stand-in says so.
    pub fn new(settings: &Settings, name: &'static str, block: &'static str, addresses: &[String]) -> Option<Self> {
        let address = addresses.first()?.clone();
        if addresses.len() > 1 {
            log::stand_in(&format!("{name} - the stand-in does not send to several addresses"));
        }
        let known = super::PLAYED.contains(&block);
        let limit = if known { settings.number(&format!("{block}.maxconcurrentrequests")) } else { 1 };
        let permits = usize::try_from(limit).ok().filter(|limit| *limit > 0);
        Some(Self {
            name,
            block,
            address,
            permits: Semaphore::new(permits.unwrap_or(Semaphore::MAX_PERMITS)),
            limit: permits.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string()),
            announced: AtomicBool::new(false),
            tls: OnceLock::new(),
        })
    }

    /// Sends, logs the result and tells whether it was good.
    pub async fn deliver(&self, delivery: Delivery, settings: &Settings) -> bool {
        let name = self.name;
        if !self.announced.swap(true, Ordering::Relaxed) {
            log::info(&format!("{name} - Max concurrent requests: {}", self.limit));
        }
        let Ok(_permit) = self.permits.acquire().await else { return false };
        let method = delivery.method.clone();
        match self.request(delivery, settings).await {
            Ok(response) => self.judge(&method, &response),
            Err(words) => {
                let line = format!("{name} - {words}");
                log::error(&line);
                if self.repeats_errors() {
                    log::error(&line);
                }
                false
            }
        }
    }

    fn judge(&self, method: &str, response: &Response) -> bool {
        let name = self.name;
        let status = response.status;
        let body = String::from_utf8_lossy(&response.body).trim_end().to_owned();
        let (first, second) = match status {
            200 | 201 | 202 | 204 => {
                log::info(&format!("{name} - {method} OK ({status})"));
                return true;
            }
            400 => (format!("header missing (400): {body}"), body),
            401 => (format!("authentication error (401): {body}"), "authentication error".to_owned()),
            403 => (format!("access denied (403): {body}"), "access denied".to_owned()),
            404 => (format!("resource not found (404): {body}"), "resource not found".to_owned()),
            422 => (format!("bad request (422): {body}"), "bad request".to_owned()),
            429 => (format!("exceeding post rate limit (429): {body}"), "exceeding post rate limit".to_owned()),
            500 => ("exceeding post rate limit (500)".to_owned(), "internal server error".to_owned()),
            502 => {
                // A leftover of Falcosidekick's makers: this one body goes to standard output.
                println!("{body}");
                ("exceeding post rate limit (502)".to_owned(), "bad gateway".to_owned())
            }
            _ => (format!("unexpected Response ({status})"), format!("{status} {}", response.reason)),
        };
        log::error(&format!("{name} - {first}"));
        if self.repeats_errors() {
            log::error(&format!("{name} - {second}"));
        }
        false
    }

    /// Most outputs log what their client has logged already.
    fn repeats_errors(&self) -> bool {
        self.block != "elasticsearch"
    }

    /// Follows redirects as Go does: after a 301, 302 or 303 with a GET that carries nothing.
    async fn request(&self, delivery: Delivery, settings: &Settings) -> Result<Response, String> {
        let address = delivery.address.as_ref().unwrap_or(&self.address);
        let shown = show(address);
        let method = capital(&delivery.method);
        let failed = |words: &str| format!("{method} \"{shown}\": {words}");
        if !(address.starts_with("http://") || address.starts_with("https://")) {
            let scheme = address.split(':').next().unwrap_or_default();
            return Err(failed(&format!("unsupported protocol scheme {scheme:?}")));
        }
        let Ok(mut url) = address.parse::<Url>() else {
            let scheme = address.split(':').next().unwrap_or_default();
            return Err(format!("{method} \"{scheme}:\": http: no Host in request URL"));
        };
        let Some(body) = delivery.body else {
            log::stand_in(&format!("{} - {}", self.name, super::NOT_PLAYED));
            return Err("(stand-in) nothing was sent".into());
        };
        if settings.switch("debug") {
            log::write(Level::Debug, &format!("{} - payload : {}", self.name, body.trim_end()));
        }
        let tls = Some(self.tls(settings)?);
        let mut headers = vec![("User-Agent".to_owned(), "Falcosidekick".to_owned())];
        if let (false, Some(password)) = (url.username().is_empty(), url.password()) {
            headers.push(basic_auth(url.username(), password));
        }
        headers.extend(delivery.headers);
        headers.push(("Accept-Encoding".to_owned(), "gzip".to_owned()));
        let mut request = Request { method: delivery.method, url: url.clone(), headers, body: body.into_bytes() };
        for _ in 0..10 {
            let address =
                format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(0));
            let tls = tls.clone().filter(|_| url.scheme() == "https");
            let response =
                http::send(request.clone(), tls).await.map_err(|failure| failed(&words(&failure, &address)))?;
            let target = response.header("location").and_then(|location| url.join(location).ok());
            match (response.status, target) {
                (301..=303, Some(target)) => {
                    request.headers.retain(|(name, _)| name == "User-Agent" || name == "Accept-Encoding");
                    request.headers.push(("Referer".to_owned(), url.to_string()));
                    request.method = "GET".into();
                    request.body.clear();
                    url = target;
                }
                (307 | 308, Some(target)) => {
                    request.headers.retain(|(name, _)| name != "Referer");
                    request.headers.push(("Referer".to_owned(), url.to_string()));
                    url = target;
                }
                _ => return Ok(response),
            }
            request.url = url.clone();
        }
        Err(failed("stopped after 10 redirects"))
    }

    /// TLS as configured. What cannot be read is logged for every event, and then left out; once all could be read, the
    /// files are never looked at again.
    fn tls(&self, settings: &Settings) -> Result<Arc<ClientConfig>, String> {
        if let Some(made) = self.tls.get() {
            return Ok(Arc::clone(made));
        }
        let key = |name: &str| format!("{}.{name}", self.block);
        let mut authorities = Vec::new();
        let mut complete = true;
        let file = settings.text("tlsclient.cacertfile");
        if !file.is_empty() {
            let content = self.read(Path::new(file));
            complete &= content.is_some();
            authorities.extend(tls::certificates(&content.unwrap_or_default()));
        }
        let mut identity = None;
        if settings.switch(&key("mutualtls")) {
            identity = self.identity(settings);
            complete &= identity.is_some();
            // Falcosidekick gives up on the authority, too, when it has no certificate of its own.
            if identity.is_some() {
                let path = client_file(settings, "cacertfile", "ca.crt");
                authorities.extend(tls::certificates(&self.read(&path).unwrap_or_default()));
            }
        }
        let checked = settings.switch(&key("checkcert"));
        let trust = if checked { Trust::SystemAnd(authorities) } else { Trust::Everybody };
        let made = tls::client(trust, identity).map(Arc::new).map_err(|error| error.to_string())?;
        Ok(if complete { Arc::clone(self.tls.get_or_init(|| made)) } else { made })
    }

    fn identity(&self, settings: &Settings) -> Option<Identity> {
        let chain = tls::certificates(&self.read(&client_file(settings, "certfile", "client.crt"))?);
        let key = tls::key(&self.read(&client_file(settings, "keyfile", "client.key"))?)?;
        Some(Identity { chain, key })
    }

    fn read(&self, path: &Path) -> Option<Vec<u8>> {
        std::fs::read(path).map_err(|error| log::error(&format!("{} - {}", self.name, open_error(path, &error)))).ok()
    }
}

fn client_file(settings: &Settings, key: &str, name: &str) -> PathBuf {
    let own = settings.text(&format!("mutualtlsclient.{key}"));
    if own.is_empty() { Path::new(settings.text("mutualtlsfilespath")).join(name) } else { own.into() }
}

/// The reason in Go's words.
pub fn words(failure: &Failure, address: &str) -> String {
    match failure {
        Failure::Connect(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            format!("dial tcp {address}: connect: connection refused")
        }
        Failure::Connect(error) => format!("dial tcp {address}: {error}"),
        Failure::Tls(rustls::Error::InvalidCertificate(reason)) => {
            let reason = match reason {
                rustls::CertificateError::UnknownIssuer => "certificate signed by unknown authority".to_owned(),
                rustls::CertificateError::Expired => "certificate has expired or is not yet valid".to_owned(),
                other => format!("{other:?}"),
            };
            format!("tls: failed to verify certificate: x509: {reason}")
        }
        Failure::Tls(rustls::Error::InvalidMessage(_)) => "tls: first record does not look like a TLS handshake".into(),
        Failure::Tls(rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired)) => {
            "remote error: tls: certificate required".into()
        }
        Failure::Tls(other) => format!("remote error: tls: {other}"),
        Failure::Closed => "EOF".into(),
        Failure::Unsendable(words) => words.clone(),
    }
}

/// An address as Go prints it: with the password of a user hidden.
fn show(address: &str) -> String {
    let mut url = match address.parse::<Url>() {
        Ok(url) if url.password().is_some() => url,
        _ => return address.to_owned(),
    };
    // An address with a user has a place for a password.
    let _ = url.set_password(Some("***"));
    url.to_string()
}

fn capital(method: &str) -> String {
    let lower = method.to_lowercase();
    let mut letters = lower.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
