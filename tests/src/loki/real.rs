//! The real Loki as one process that keeps everything in a folder.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::pebble::tools;

/// Longer than Loki ever takes to be ready, even on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running Loki. It ends when this is dropped.
#[derive(Debug)]
pub struct Loki {
    address: String,
    log: PathBuf,
    process: Child,
}

impl Loki {
    /// Starts Loki with its data in `folder`. An error is the sentence that tells how to build it, or its own last
    /// words.
    pub fn start(folder: &Path) -> Result<Self, String> {
        let program = tools::program("loki")?;
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let configuration = folder.join("loki.yaml");
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        fs::write(&configuration, configuration_text(folder, port)).map_err(|error| error.to_string())?;
        let log = folder.join("loki.log");
        let output = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let process = Command::new(program)
            .arg(format!("-config.file={}", configuration.display()))
            .env_clear()
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(|error| error.to_string())?)
            .stderr(output)
            .spawn()
            .map_err(|error| format!("failed to start Loki: {error}"))?;
        let mut loki = Self { address, log, process };
        loki.wait_until_ready()?;
        Ok(loki)
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where to push to.
    pub fn url(&self) -> String {
        format!("http://{}/loki/api/v1/push", self.address)
    }

    /// The result of a LogQL query over the last hour, as Loki gives it: streams of lines, or samples.
    pub fn query(&self, logql: &str) -> Result<Value, String> {
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("query", logql)
            .append_pair("since", "1h")
            .append_pair("limit", "5000")
            .finish();
        let (status, body) = self.get(&format!("/loki/api/v1/query_range?{query}"))?;
        if status != 200 {
            return Err(format!("query {logql}: {status} {body}"));
        }
        let mut answer: Value = serde_json::from_str(&body).map_err(|error| format!("query {logql}: {error}"))?;
        Ok(answer["data"]["result"].take())
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let started = Instant::now();
        loop {
            let ready = self.get("/ready").is_ok_and(|(status, _)| status == 200);
            let ended = self.process.try_wait().map_err(|error| error.to_string())?;
            if ready && ended.is_none() {
                return Ok(());
            }
            if ended.is_some() || started.elapsed() > PATIENCE {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                return Err(format!("Loki does not become ready (ended: {ended:?}):\n{log}"));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn get(&self, target: &str) -> Result<(u16, String), String> {
        let exchange = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(&self.address)?;
            // An answer in HTTP/1.0 is never chunked, and ends where the connection ends.
            write!(stream, "GET {target} HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = exchange().map_err(|error| format!("GET {target}: {error}"))?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer of HTTP")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
        Ok((status, body.to_owned()))
    }
}

impl Drop for Loki {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

// Loki takes no port 0, so somebody else may be faster. It then fails to start and says so.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("failed to bind a port");
    listener.local_addr().expect("a bound port has an address").port()
}

fn configuration_text(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        "\
auth_enabled: false
analytics: {{reporting_enabled: false}}
server: {{http_listen_address: 127.0.0.1, http_listen_port: {port}, grpc_listen_address: 127.0.0.1, grpc_listen_port: 0}}
common:
  path_prefix: {folder}
  replication_factor: 1
  instance_addr: 127.0.0.1
  ring: {{kvstore: {{store: inmemory}}}}
  storage: {{filesystem: {{chunks_directory: {folder}/chunks, rules_directory: {folder}/rules}}}}
schema_config:
  configs:
    - {{from: 2024-01-01, store: tsdb, object_store: filesystem, schema: v13, index: {{prefix: index_, period: 24h}}}}
# Ready as soon as everything runs: there is no other instance whose arrival could be waited for.
ingester: {{lifecycler: {{min_ready_duration: 0s, final_sleep: 0s}}}}
"
    )
}
