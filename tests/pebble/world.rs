//! A container with one service that notes its starts, and what tests ask about it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use charm_core::pebble::layer::{Service, Startup};
use charm_core::pebble::{Client, Current, Layer};
use charm_tests::pebble::Pebble;
use serde_json::Value;
use tempfile::TempDir;

pub const CONTAINER: &str = "workload";

/// The order matters: Pebble ends before its folder goes.
pub struct World {
    pub client: Client,
    pub pebble: Pebble,
    pub root: TempDir,
}

impl World {
    pub fn new() -> Self {
        Self::with_layers(&[])
    }

    pub fn with_layers(layers: &[(&str, &str)]) -> Self {
        let root = tempfile::Builder::new().prefix("p").tempdir().unwrap();
        let pebble = Pebble::start(root.path(), CONTAINER, layers);
        Self { client: client(root.path()), pebble, root }
    }

    /// A service that writes its digest into a file whenever it starts, then does what the shell script says.
    pub fn service(&self, digest: &str, script: &str) -> Service {
        let starts = self.root.path().join("starts");
        Service {
            startup: Some(Startup::Enabled),
            command: format!("/bin/sh -c 'echo $CHARM_CONFIG_DIGEST >> {}; {script}'", starts.display()),
            environment: [("CHARM_CONFIG_DIGEST".to_owned(), digest.to_owned())].into(),
            ..Service::default()
        }
    }

    /// The digests of all starts so far.
    pub fn starts(&self) -> Vec<String> {
        let starts = fs::read_to_string(self.root.path().join("starts")).unwrap_or_default();
        starts.lines().map(str::to_owned).collect()
    }

    /// Sends what our client has no words for, past the proxy, and gives the answer.
    pub fn post(&self, target: &str, body: &Value) -> Value {
        let socket = self.root.path().join("var/lib/pebble").join(CONTAINER).join(".pebble.socket");
        let mut stream = UnixStream::connect(socket).unwrap();
        let body = body.to_string();
        // An answer in HTTP/1.0 is never chunked, and ends where the connection ends.
        write!(stream, "POST {target} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }

    /// Adds a layer with this service as `web`.
    pub async fn want(&self, service: Service) {
        self.client.add_layer("charm", &layer(service)).await.unwrap();
    }

    pub async fn current(&self) -> Option<Current> {
        let services = self.client.services(&["web"]).await.unwrap();
        services.first().map(|service| service.current)
    }
}

/// What a service does that works.
pub const RUN: &str = "exec sleep 1000";

pub fn client(root: &Path) -> Client {
    let socket = root.join("charm/containers").join(CONTAINER).join("pebble.socket");
    Client::new(CONTAINER, &socket, root).unwrap()
}

pub fn layer(service: Service) -> Layer {
    Layer { services: [("web".to_owned(), service)].into(), ..Layer::default() }
}

/// Asks until the answer is yes. Only for what has to come; that something does not happen cannot be waited for.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < Duration::from_secs(60), "it never came: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
