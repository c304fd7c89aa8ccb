//! The HTTP output, with the words of libcurl for what goes wrong.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use url::Url;

use crate::stand_in::falco::disk::on_disk;
use crate::stand_in::falco::settings::HttpOutput;
use crate::stand_in::http::{Connection, Failure, Request};
use crate::stand_in::tls::{self, Identity, Trust};

/// The sink and the connection to it, which is kept.
pub struct HttpSink {
    config: HttpOutput,
    content_type: &'static str,
    connection: Option<Connection>,
}

const BAD_AUTHORITY: &str = "Problem with the SSL CA cert (path? access rights?)";
const BAD_IDENTITY: &str = "Problem with the local SSL certificate";

impl HttpSink {
    pub fn new(config: HttpOutput, json: bool) -> Self {
        let content_type = if json { "application/json" } else { "text/plain" };
        Self { config, content_type, connection: None }
    }

    /// Sends one alert; any answer is a good answer, and a redirect is not followed. The body of the answer is handed
    /// back if it is to be shown.
    pub async fn send(&mut self, body: &str) -> Result<Option<Vec<u8>>, &'static str> {
        let url: Url = self.config.url.parse().map_err(|_| "URL using bad/illegal format or missing URL")?;
        let mut connection = match self.connection.take().filter(|connection| !connection.is_closed()) {
            Some(connection) => connection,
            None => self.connect(&url).await?,
        };
        let request =
            Request { method: "POST".into(), headers: self.headers(&url), url, body: body.as_bytes().to_vec() };
        let answer = connection.send(request).await.map_err(|failure| words(&failure))?;
        self.connection = Some(connection);
        Ok(self.config.echo.then_some(answer.body))
    }

    fn headers(&self, url: &Url) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        if !url.username().is_empty() || url.password().is_some() {
            let [user, password] = [url.username(), url.password().unwrap_or_default()]
                .map(|part| percent_decode_str(part).collect::<Vec<u8>>());
            let both = STANDARD.encode([user, password].join(&b':'));
            headers.push(("authorization", format!("Basic {both}")));
        }
        headers.extend([("user-agent", self.config.user_agent.clone()), ("accept", "*/*".to_owned())]);
        if self.config.compress {
            // Falco only asks for a compressed answer: what it sends stays as it is.
            headers.extend([("connection", "TE".to_owned()), ("te", "gzip".to_owned())]);
        }
        headers.push(("content-type", self.content_type.to_owned()));
        headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    async fn connect(&self, url: &Url) -> Result<Connection, &'static str> {
        let tls = if url.scheme() == "https" { Some(Arc::new(self.tls()?)) } else { None };
        Connection::open(url, tls).await.map_err(|failure| words(&failure))
    }

    /// Files are read for every connection, so that a renewed authority counts at once.
    fn tls(&self) -> Result<ClientConfig, &'static str> {
        let trust = match &self.config.authority {
            _ if self.config.insecure => Trust::Everybody,
            None => Trust::SystemAnd(hashed_authorities(&self.config.authorities)),
            Some(path) => {
                let pem = std::fs::read(on_disk(path)).map_err(|_| BAD_AUTHORITY)?;
                Trust::Only(Some(tls::certificates(&pem)).filter(|all| !all.is_empty()).ok_or(BAD_AUTHORITY)?)
            }
        };
        let identity = self.config.client.as_ref().map(|files| identity(files).ok_or(BAD_IDENTITY)).transpose()?;
        tls::client(trust, identity).map_err(|_| BAD_IDENTITY)
    }
}

/// The authorities of a folder. OpenSSL only looks for names such as `5ed36f99.0`; other files do not exist for it.
fn hashed_authorities(folder: &Path) -> Vec<CertificateDer<'static>> {
    let is_hashed = |name: &str| {
        name.split_once('.').is_some_and(|(hash, number)| {
            let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            is_number && hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    };
    let entries = std::fs::read_dir(on_disk(folder)).into_iter().flatten().flatten();
    let hashed = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_hashed));
    hashed.flat_map(|entry| tls::certificates(&std::fs::read(entry.path()).unwrap_or_default())).collect()
}

fn identity((certificate, key): &(PathBuf, PathBuf)) -> Option<Identity> {
    let chain = tls::certificates(&std::fs::read(on_disk(certificate)).ok()?);
    let key = tls::key(&std::fs::read(on_disk(key)).ok()?)?;
    Some(Identity { chain, key })
}

fn words(failure: &Failure) -> &'static str {
    match failure {
        Failure::Connect(_) => "Couldn't connect to server",
        Failure::Tls(rustls::Error::InvalidCertificate(_)) => "SSL peer certificate or SSH remote key was not OK",
        Failure::Tls(rustls::Error::AlertReceived(_)) => "Failure when receiving data from the peer",
        Failure::Tls(_) => "SSL connect error",
        Failure::Closed => "Server returned nothing (no headers, no data)",
        Failure::Unsendable(_) => "Unsupported protocol",
    }
}
