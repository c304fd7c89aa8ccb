//! The real kube-apiserver with the real etcd, one of each for a test program. Nothing else of Kubernetes is there: no
//! controller removes or adds anything, and no load balancer gives an address, unless a test does it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rcgen::KeyPair;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{ADDRESS, certificate};
use crate::pebble::tools;
use crate::ports::free_port;
use crate::server::Server;
use crate::stand_in::tls::{self, Trust};

/// The token of somebody who may do everything.
const ADMINISTRATOR: &str = "administrator";

/// The two processes. They end when this is dropped.
#[derive(Debug)]
pub struct Cluster {
    server: Server,
    _etcd: Server,
    api: Api,
    authority: String,
    _folder: TempDir,
}

/// How it is asked.
#[derive(Debug)]
struct Api {
    port: u16,
    client: Arc<ClientConfig>,
}

impl Cluster {
    /// Starts both, with tokens for the service accounts of these, as namespace and name. An error is the sentence that
    /// tells how to build them, or their own last words.
    pub fn start(accounts: &[(&str, &str)]) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("kubernetes-").tempdir().map_err(|error| error.to_string())?;
        let (etcd_port, port) = (free_port(), free_port());
        let (authority, key) = certificate();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let write = |name: &str, text: &str| fs::write(path(name), text).map_err(|error| format!("{name}: {error}"));
        write("server.crt", &authority)?;
        write("server.key", &key)?;
        let accounts_key = KeyPair::generate().map_err(|error| error.to_string())?;
        write("accounts.key", &accounts_key.serialize_pem())?;
        write("accounts.pub", &accounts_key.public_key_pem())?;
        write("tokens.csv", &tokens(accounts))?;
        let mut etcd = start(
            "etcd",
            folder.path(),
            etcd_port,
            &[
                format!("--data-dir={}", path("etcd")),
                format!("--listen-client-urls=http://{ADDRESS}:{etcd_port}"),
                format!("--advertise-client-urls=http://{ADDRESS}:{etcd_port}"),
                format!("--listen-peer-urls=http://{ADDRESS}:{}", free_port()),
                // Nothing here has to outlive a power cut.
                "--unsafe-no-fsync".to_owned(),
            ],
        )?;
        etcd.wait_for_page("/health")?;
        let mut server = start(
            "kube-apiserver",
            folder.path(),
            port,
            &[
                format!("--etcd-servers=http://{ADDRESS}:{etcd_port}"),
                format!("--bind-address={ADDRESS}"),
                format!("--advertise-address={ADDRESS}"),
                format!("--secure-port={port}"),
                format!("--tls-cert-file={}", path("server.crt")),
                format!("--tls-private-key-file={}", path("server.key")),
                format!("--cert-dir={}", path("certificates")),
                "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
                format!("--service-account-key-file={}", path("accounts.pub")),
                format!("--service-account-signing-key-file={}", path("accounts.key")),
                format!("--token-auth-file={}", path("tokens.csv")),
                "--authorization-mode=RBAC".to_owned(),
                "--service-cluster-ip-range=10.152.183.0/24".to_owned(),
                "--disable-admission-plugins=ServiceAccount".to_owned(),
                "--endpoint-reconciler-type=none".to_owned(),
            ],
        )?;
        let client = tls::client(Trust::Only(tls::certificates(authority.as_bytes())), None);
        let client = Arc::new(client.map_err(|error| error.to_string())?);
        let api = Api { port, client };
        server.wait_until(|_| {
            let answer = api.exchange(ADMINISTRATOR, "GET", "/readyz", "application/json", &Value::Null);
            answer.is_ok_and(|(status, _)| status == 200)
        })?;
        Ok(Self { server, _etcd: etcd, api, authority, _folder: folder })
    }

    /// Where it answers.
    pub fn port(&self) -> u16 {
        self.api.port
    }

    /// Whom its callers have to believe.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The token of a service account.
    pub fn token(namespace: &str, name: &str) -> String {
        format!("token-of-{namespace}-{name}")
    }

    /// What the API says to the administrator: the status code and the body.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.ask_as(ADMINISTRATOR, method, path, body)
    }

    /// The same to somebody with a token.
    pub fn ask_as(&self, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.api.exchange(token, method, path, "application/json", body).expect("an answer of the API server")
    }

    /// Ends the API server.
    pub fn stop(&mut self) {
        self.server.end();
    }

    /// The object at a path, if there is one.
    pub fn get(&self, path: &str) -> Option<Value> {
        let (status, object) = self.ask("GET", path, &Value::Null);
        assert!(status == 200 || status == 404, "{status}: {object}");
        (status == 200).then_some(object)
    }

    /// Makes an object in the collection at a path.
    pub fn create(&self, path: &str, object: &Value) -> Value {
        let (status, object) = self.ask("POST", path, object);
        assert_eq!(status, 201, "{object}");
        object
    }

    /// Changes some fields of an object, as the field manager of this name.
    pub fn merge(&self, path: &str, manager: &str, fields: &Value) -> Value {
        self.patch(path, manager, "application/merge-patch+json", fields)
    }

    /// The same, where Kubernetes merges lists as it knows them.
    pub fn strategic_merge(&self, path: &str, manager: &str, fields: &Value) -> Value {
        self.patch(path, manager, "application/strategic-merge-patch+json", fields)
    }

    fn patch(&self, path: &str, manager: &str, kind: &str, fields: &Value) -> Value {
        let path = format!("{path}?fieldManager={manager}");
        let answer = self.api.exchange(ADMINISTRATOR, "PATCH", &path, kind, fields);
        let (status, object) = answer.expect("an answer of the API server");
        assert_eq!(status, 200, "{object}");
        object
    }

    /// Removes an object, which need not be there.
    pub fn delete(&self, path: &str) {
        let (status, answer) = self.ask("DELETE", path, &Value::Null);
        assert!(matches!(status, 200 | 202 | 404), "{status}: {answer}");
    }
}

impl Api {
    fn exchange(
        &self,
        token: &str,
        method: &str,
        path: &str,
        kind: &str,
        body: &Value,
    ) -> Result<(u16, Value), String> {
        let failed = |error: std::io::Error| format!("{method} {path}: {error}");
        let name = ServerName::try_from(ADDRESS).expect("an address is a name");
        let connection = ClientConnection::new(Arc::clone(&self.client), name).map_err(|error| error.to_string())?;
        let mut stream = StreamOwned::new(connection, TcpStream::connect((ADDRESS, self.port)).map_err(failed)?);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let length = body.len();
        // An answer in HTTP/1.0 is never chunked, and ends where the connection ends.
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\n\
             Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .map_err(failed)?;
        let mut answer = Vec::new();
        // A connection that ends without a word of TLS has said everything all the same.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer of HTTP")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
        Ok((status, serde_json::from_str(body).unwrap_or_else(|_| json!(body))))
    }
}

/// Lines of token, user, its id and its groups.
fn tokens(accounts: &[(&str, &str)]) -> String {
    let administrator = format!("{ADMINISTRATOR},{ADMINISTRATOR},0,system:masters\n");
    let line = |(namespace, name): &(&str, &str)| {
        let token = Cluster::token(namespace, name);
        let user = format!("system:serviceaccount:{namespace}:{name}");
        let groups = format!("system:serviceaccounts,system:serviceaccounts:{namespace}");
        format!("{token},{user},{user},\"{groups}\"\n")
    };
    [administrator].into_iter().chain(accounts.iter().map(line)).collect()
}

fn start(tool: &'static str, folder: &Path, port: u16, arguments: &[String]) -> Result<Server, String> {
    let mut command = Command::new(tools::program(tool)?);
    command.args(arguments).env_clear();
    Server::start(tool, &mut command, format!("{ADDRESS}:{port}"), folder)
}
