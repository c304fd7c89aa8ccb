//! To the real Alertmanager.

use std::process::Command;

use charm_tests::falco_host::eventually;
use charm_tests::pebble::tools;
use charm_tests::ports::free_port;
use charm_tests::server::Server;
use serde_json::Value;

use crate::sidekick::Sidekick;

/// Alertmanager, with a receiver that tells nobody.
fn start(folder: &std::path::Path) -> Server {
    let program = tools::program("alertmanager").unwrap_or_else(|problem| panic!("{problem}"));
    let configuration = folder.join("alertmanager.yaml");
    std::fs::write(&configuration, "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n").unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(program);
    command
        .env_clear()
        .arg(format!("--config.file={}", configuration.display()))
        .arg(format!("--storage.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--cluster.listen-address=");
    let mut server = Server::start("alertmanager", &mut command, address, folder).unwrap();
    server.wait_for_page("/-/ready").unwrap();
    server
}

#[test]
#[ignore = "needs the real Alertmanager: make test-systems"]
fn an_alert_is_listed_with_its_labels() {
    let folder = tempfile::Builder::new().prefix("alertmanager-").tempdir().unwrap();
    let alertmanager = start(folder.path());
    let outputs =
        format!("alertmanager: {{hostport: ['http://{}'], extralabels: {{site: '007'}}}}", alertmanager.address());
    let sidekick = Sidekick::with_outputs(&outputs);
    let mark = sidekick.alert();
    sidekick.assert_counters("alertmanager", (1, 0));
    let alerts = eventually("the alert", || {
        let (status, body) = alertmanager.get("/api/v2/alerts", &[]).unwrap();
        assert_eq!(status, 200, "{body}");
        let alerts: Vec<Value> = serde_json::from_str(&body).unwrap();
        (!alerts.is_empty()).then_some(alerts)
    });
    assert_eq!(alerts.len(), 1);
    let labels = &alerts[0]["labels"];
    assert_eq!(labels["mark"], mark.as_str());
    assert_eq!(labels["alertname"], "Read sensitive file untrusted");
    assert_eq!(labels["severity"], "warning");
    assert_eq!(labels["juju_unit"], "falco/0");
    assert_eq!(labels["site"], "007");
    assert_eq!(alerts[0]["status"]["state"], "active");
}
