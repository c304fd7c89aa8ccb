//! By the real Prometheus: what both charms ask to be scraped.

use charm_tests::falco_host::eventually;
use charm_tests::juju::Substrate;
use charm_tests::loki::LokiReceiver;
use charm_tests::model::{Application, Model};
use charm_tests::prometheus::{Prometheus, jobs_by_cos_agent, jobs_by_metrics_endpoint};

const FALCO: &str = "falco/0";
const SIDEKICK: &str = "falcosidekick-k8s/0";

#[test]
#[ignore = "needs the real Prometheus: make test-systems"]
fn the_targets_of_both_charms_are_up_and_carry_their_juju_labels() {
    let loki = LokiReceiver::start();
    let mut model = Model::new();
    let agent = Application::played("agent", Substrate::Machine).requires("cos-agent", "cos_agent");
    let prometheus = Application::played("prometheus", Substrate::Kubernetes).requires("metrics", "prometheus_scrape");
    for app in [
        Application::principal("ubuntu"),
        Application::falco("falco").unwrap(),
        Application::falcosidekick("falcosidekick-k8s").unwrap().config("allow-plain-http", true),
        Application::loki("loki", &loki.url()),
        agent,
        prometheus,
    ] {
        model.deploy(app).unwrap();
    }
    for (one, other) in [
        ("falco", "ubuntu"),
        ("falcosidekick-k8s:send-loki-logs", "loki"),
        ("falco:http-endpoint", "falcosidekick-k8s"),
        ("falco:cos-agent", "agent"),
        ("falcosidekick-k8s:metrics-endpoint", "prometheus"),
    ] {
        model.integrate(one, other).unwrap();
    }
    model.settle().unwrap();

    let falco = jobs_by_cos_agent(model.state(FALCO), FALCO);
    let sidekick = jobs_by_metrics_endpoint(model.state(SIDEKICK), SIDEKICK);
    assert_eq!((falco.len(), sidekick.len()), (1, 1), "{falco:?} {sidekick:?}");
    let folder = tempfile::Builder::new().prefix("prometheus-").tempdir().unwrap();
    let prometheus =
        Prometheus::start(&Prometheus::program().unwrap(), folder.path(), &[falco, sidekick].concat()).unwrap();
    for unit in [FALCO, SIDEKICK] {
        let target = eventually(&format!("{unit} that is up: {:?}", prometheus.targets()), || {
            let targets = prometheus.targets().unwrap();
            targets.into_iter().find(|target| target.labels["juju_unit"] == unit && target.health == "up")
        });
        let state = model.state(unit);
        assert_eq!(target.labels["juju_model"], state.model.name);
        assert_eq!(target.labels["juju_model_uuid"], state.model.uuid);
        assert_eq!(target.labels["juju_application"], unit.split('/').next().unwrap());
        let up = eventually(&format!("up of {unit}"), || {
            let result = prometheus.query(&format!("up{{juju_unit=\"{unit}\"}}")).unwrap();
            result.as_array().filter(|samples| !samples.is_empty()).cloned()
        });
        assert_eq!((up.len(), &up[0]["value"][1]), (1, &"1".into()));
    }
}
