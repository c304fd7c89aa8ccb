//! The HTTP output, with the words of libcurl for what goes wrong.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
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

    /// Sends one alert; any answer is a good answer, and a redirect is not followed.
    pub async fn send(&mut self, body: &str) -> Result<(), &'static str> {
        let url: Url = self.config.url.parse().map_err(|_| "URL using bad/illegal format or missing URL")?;
        let mut connection = match self.connection.take().filter(|connection| !connection.is_closed()) {
            Some(connection) => connection,
            None => self.connect(&url).await?,
        };
        let headers =
            [("user-agent", self.config.user_agent.as_str()), ("accept", "*/*"), ("content-type", self.content_type)];
        let request = Request {
            method: "POST".into(),
            url,
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: body.as_bytes().to_vec(),
        };
        connection.send(request).await.map_err(|failure| words(&failure))?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn connect(&self, url: &Url) -> Result<Connection, &'static str> {
        let tls = if url.scheme() == "https" { Some(Arc::new(self.tls()?)) } else { None };
        Connection::open(url, tls).await.map_err(|failure| words(&failure))
    }

    /// Files are read for every connection, so that a renewed authority counts at once.
    fn tls(&self) -> Result<ClientConfig, &'static str> {
        let trust = match &self.config.authority {
            _ if self.config.insecure => Trust::Everybody,
            None => Trust::SystemAnd(Vec::new()),
            Some(path) => {
                let pem = std::fs::read(on_disk(path)).map_err(|_| BAD_AUTHORITY)?;
                Trust::Only(Some(tls::certificates(&pem)).filter(|all| !all.is_empty()).ok_or(BAD_AUTHORITY)?)
            }
        };
        let identity = self.config.client.as_ref().map(|files| identity(files).ok_or(BAD_IDENTITY)).transpose()?;
        tls::client(trust, identity).map_err(|_| BAD_IDENTITY)
    }
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
