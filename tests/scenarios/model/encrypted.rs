//! Alerts that travel encrypted, in the two ways in which it is usually done: certificates that an authority in the model
//! signs, and a way in at the edge of the cluster whose certificate comes from elsewhere.

use charm_tests::authority::{Authority, Days, requests};
use charm_tests::ingress::{Ingress, Target};
use charm_tests::juju::Substrate;
use charm_tests::model::{Application, Model};
use charm_tests::ports::free_port;
use serde_json::{Value, json};

use crate::world::{FALCO, SIDEKICK, World};

/// Both charms, without leave to receive alerts in clear text.
fn deployed() -> World {
    let mut world = World::with(Model::new());
    world.model.deploy(Application::principal("ubuntu")).unwrap();
    world.model.deploy(Application::falco("falco").unwrap()).unwrap();
    let sidekick = Application::falcosidekick("falcosidekick-k8s").unwrap();
    world.model.deploy(sidekick.config("metrics-port", free_port())).unwrap();
    world.model.deploy(Application::loki("loki", &world.loki.url())).unwrap();
    world.relate();
    world
}

/// What Falco is told, decoded.
fn told(world: &World, key: &str) -> Option<Value> {
    let text = world.model.app_data("falcosidekick-k8s", "falco")?.get(key)?;
    Some(serde_json::from_str(text).unwrap())
}

/// The file of those whom Falco believes, and nobody else on its machine does.
fn believed(world: &World) -> String {
    let yaml: serde_yaml::Value = serde_yaml::from_str(&world.host().text("/etc/juju-falco/falco.yaml")).unwrap();
    assert_eq!(yaml["http_output"]["insecure"].as_bool(), Some(false));
    std::fs::read_to_string(yaml["http_output"]["ca_cert"].as_str().unwrap()).unwrap()
}

#[track_caller]
fn assert_waits(world: &World, unit: &str, words: &str) {
    let status = world.model.status(unit);
    assert!(status.name == "waiting" && status.message.contains(words), "{unit}: {status}");
}

/// `juju integrate falcosidekick-k8s:certificates self-signed-certificates`, and nothing else.
#[test]
fn with_an_authority_in_the_model_alerts_are_verified_without_another_step() {
    let (mut world, authority) = (deployed(), Authority::new("self-signed"));
    let signer = Application::played("self-signed-certificates", Substrate::Kubernetes);
    world.model.deploy(signer.provides("certificates", "tls-certificates")).unwrap();
    world.model.integrate("falcosidekick-k8s:certificates", "self-signed-certificates").unwrap();
    world.model.settle().unwrap();
    assert_waits(&world, SIDEKICK, "certificates: ");
    assert_waits(&world, FALCO, "http-endpoint");

    let asked = requests(&world.model.state(SIDEKICK).relation_of("certificates").local_unit_data);
    let answers: Vec<Value> = asked.iter().map(|request| authority.answer(request, Days(1, 90))).collect();
    let answers = json!(answers).to_string();
    world.model.publish_as_application("self-signed-certificates", "certificates", "certificates", &answers).unwrap();
    world.model.settle().unwrap();
    world.assert_active();
    assert!(told(&world, "url").unwrap().as_str().unwrap().starts_with("https://"));
    assert!(told(&world, "ca").unwrap().as_str().unwrap().contains(authority.root().trim()));
    assert!(believed(&world).contains(authority.root().trim()));
    assert!(world.alert().line.contains("Read sensitive file untrusted"));
}

/// Gateway API Integrator ends TLS with a certificate that Lego gets, and Falcosidekick listens in clear text behind it.
#[test]
fn with_a_way_in_at_the_edge_alerts_are_encrypted_up_to_there() {
    let (mut world, authority) = (deployed(), Authority::new("edge"));
    let gateway = Application::played("gateway-api-integrator", Substrate::Kubernetes);
    world.model.deploy(gateway.provides("gateway", "ingress")).unwrap();
    let lego = Application::played("lego", Substrate::Kubernetes);
    world.model.deploy(lego.provides("send-ca-cert", "certificate_transfer")).unwrap();
    world.model.integrate("falcosidekick-k8s:ingress", "gateway-api-integrator").unwrap();
    world.model.integrate("falcosidekick-k8s:receive-ca-cert", "lego").unwrap();
    world.model.settle().unwrap();
    assert_waits(&world, SIDEKICK, "ingress: ");
    let asked = world.model.app_data("falcosidekick-k8s", "gateway-api-integrator").unwrap().clone();
    let port: u16 = asked["port"].parse().unwrap();
    assert_eq!(asked["scheme"], "\"http\"", "TLS ends at the gateway");

    let proxy = Ingress::start(&authority, "/pods-falcosidekick-k8s", Target { port, tls: None });
    let url = json!({ "url": proxy.url() }).to_string();
    world.model.publish_as_application("gateway-api-integrator", "gateway", "ingress", &url).unwrap();
    world.model.settle().unwrap();
    assert_waits(&world, SIDEKICK, "waiting until Falcosidekick answers through it");
    assert_eq!(told(&world, "url"), None, "nobody is sent where it is not known who answers");

    let root = json!([authority.root()]).to_string();
    world.model.publish_as_application("lego", "send-ca-cert", "certificates", &root).unwrap();
    world.model.publish_as_application("lego", "send-ca-cert", "version", "1").unwrap();
    world.model.settle().unwrap();
    world.assert_active();
    assert_eq!(told(&world, "url").unwrap(), json!(proxy.url()));
    assert!(believed(&world).contains(authority.root().trim()));
    assert!(world.alert().line.contains("Read sensitive file untrusted"));
}
