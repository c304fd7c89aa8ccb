//! The whole way, from a file that is read on a machine to the real Loki.

use charm_tests::falco_host::eventually;
use charm_tests::loki::Loki;
use charm_tests::model::{Application, Model, Place};

#[test]
#[ignore = "needs the real Loki: make test-systems"]
fn an_alert_of_falco_is_found_in_loki_by_the_labels_of_its_unit() {
    let folder = tempfile::Builder::new().prefix("loki-").tempdir().unwrap();
    let loki = Loki::start(folder.path()).unwrap();
    let mut model = Model::new();
    for app in [
        Application::principal("ubuntu"),
        Application::falco("falco").unwrap(),
        Application::falcosidekick("falcosidekick-k8s").unwrap().config("allow-plain-http", true),
        Application::loki("loki", &loki.url()),
    ] {
        model.deploy(app).unwrap();
    }
    model.integrate("falco", "ubuntu").unwrap();
    model.integrate("falcosidekick-k8s:send-loki-logs", "loki").unwrap();
    model.integrate("falco:http-endpoint", "falcosidekick-k8s").unwrap();
    model.settle().unwrap();
    for unit in model.list() {
        assert_eq!(unit.status.to_string(), "active: ", "{}", unit.unit);
    }
    let Place::Machine(host) = model.place("falco/0") else { panic!("Falco runs on a machine") };
    host.read_sensitive_file();
    let query = r#"{juju_unit="falco/0", juju_application="falco", juju_model="machines", priority="Warning"}"#;
    let stream = eventually("the alert in Loki", || {
        let streams = loki.query(query).unwrap();
        streams.as_array().and_then(|streams| streams.first().cloned())
    });
    assert_eq!(stream["stream"]["rule"], "Read sensitive file untrusted");
}
