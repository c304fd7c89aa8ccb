//! The real Loki as one process that keeps everything in a folder.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::pebble::tools;
use crate::ports::free_port;
use crate::server::Server;

/// A running Loki. It ends when this is dropped.
#[derive(Debug)]
pub struct Loki(Server);

impl Loki {
    /// Starts Loki with its data in `folder`. An error is the sentence that tells how to build it, or its own last
    /// words.
    pub fn start(folder: &Path) -> Result<Self, String> {
        Self::start_with(folder, false)
    }

    /// The same, with each tenant by itself: whoever names none is refused.
    pub fn start_for_tenants(folder: &Path) -> Result<Self, String> {
        Self::start_with(folder, true)
    }

    fn start_with(folder: &Path, tenants: bool) -> Result<Self, String> {
        let program = tools::program("loki")?;
        // Loki takes no port 0, so somebody else may be faster. It then fails to start and says so.
        let port = free_port();
        let configuration = folder.join("loki.yaml");
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        fs::write(&configuration, configuration_text(folder, port, tenants)).map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.arg(format!("-config.file={}", configuration.display())).env_clear();
        let mut server = Server::start("loki", &mut command, format!("127.0.0.1:{port}"), folder)?;
        server.wait_for_page("/ready")?;
        Ok(Self(server))
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        self.0.address()
    }

    /// Where to push to.
    pub fn url(&self) -> String {
        format!("http://{}/loki/api/v1/push", self.address())
    }

    /// The result of a LogQL query over the last hour, as Loki gives it: streams of lines, or samples.
    pub fn query(&self, logql: &str) -> Result<Value, String> {
        self.ask(logql, &[])
    }

    /// The same, of what a tenant has.
    pub fn query_as(&self, tenant: &str, logql: &str) -> Result<Value, String> {
        self.ask(logql, &[("X-Scope-OrgID", tenant)])
    }

    fn ask(&self, logql: &str, headers: &[(&str, &str)]) -> Result<Value, String> {
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("query", logql)
            .append_pair("since", "1h")
            .append_pair("limit", "5000")
            .finish();
        let (status, body) = self.0.get(&format!("/loki/api/v1/query_range?{query}"), headers)?;
        if status != 200 {
            return Err(format!("query {logql}: {status} {body}"));
        }
        let mut answer: Value = serde_json::from_str(&body).map_err(|error| format!("query {logql}: {error}"))?;
        Ok(answer["data"]["result"].take())
    }
}

fn configuration_text(folder: &Path, port: u16, tenants: bool) -> String {
    let folder = folder.display();
    format!(
        "\
auth_enabled: {tenants}
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
