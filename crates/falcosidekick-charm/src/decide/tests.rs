mod outputs;

use charm_core::config::RawConfig;
use charm_core::topology::Topology;

use super::*;
use crate::names::PROGRAMS;

/// The leader, related to Falco and Loki, allowed to use plain HTTP, in a container to which nothing was done yet.
fn fresh() -> Facts {
    let topology = Topology {
        model: "prod".into(),
        model_uuid: "12345678-1234-4234-8234-123456789abc".into(),
        application: "sidekick".into(),
        unit: "sidekick/0".into(),
        charm_name: "falcosidekick-k8s".into(),
    };
    Facts {
        topology,
        config: options(&[("allow-plain-http", "true")]),
        loki: Some(loki(r#"{"url": "http://loki:3100/loki/api/v1/push"}"#)),
        told_loki: told("2", &[]),
        told_falcos: told("7", &[]),
        addresses: vec!["10.1.2.3".into()],
        container: Some(Container {
            program: Some(PROGRAMS[0].into()),
            config_path: CONFIG_FILE.into(),
            ..Container::default()
        }),
        ..Facts::default()
    }
}

/// The same after its plan was carried out.
fn settled(mut facts: Facts) -> Facts {
    let plan = decide(&facts).unwrap();
    let container = facts.container.as_mut().unwrap();
    for file in plan.write {
        if file.path == CONFIG_FILE {
            container.config_file = Some(file.content);
        } else {
            container.files.insert(file.path, file.content);
        }
    }
    if let Some(layer) = plan.layer {
        container.plan = layer;
    }
    for Publish { endpoint, relation, changes } in plan.publish {
        let databags = if endpoint == HTTP_ENDPOINT { &mut facts.told_falcos } else { &mut facts.told_loki };
        databags.insert(relation, changes);
    }
    facts.opened_ports.retain(|port| !plan.close_ports.contains(port));
    facts.opened_ports.extend(plan.open_port.map(|port| format!("{port}/tcp")));
    facts
}

fn options(options: &[(&str, &str)]) -> RawConfig {
    options.iter().copied().collect()
}

fn loki(endpoint: &str) -> Result<Option<loki_push_api::Provider>, Unusable> {
    let databag = [("endpoint", endpoint)].into_iter().collect();
    loki_push_api::Provider::read(&databag).map_err(|error| Unusable("loki/0".parse().unwrap(), error))
}

fn told(relation: &str, databag: &[(&str, &str)]) -> BTreeMap<RelationId, Databag> {
    BTreeMap::from([(relation.parse().unwrap(), databag.iter().copied().collect())])
}

/// What `http-endpoint` is told in this plan, if anything.
fn url(plan: &Plan) -> Option<&str> {
    let publish = plan.publish.iter().find(|publish| publish.endpoint == HTTP_ENDPOINT)?;
    publish.changes.iter().find_map(|(key, value)| (key == "url").then_some(value))
}

/// Falcosidekick has dropped everything that this plan wants.
fn without(plan: &Plan, words: &str) -> Seen {
    let dropped = plan.outputs.iter().map(|output| Dropped { output: output.clone(), words: words.into() });
    Seen::Without { dropped: dropped.collect(), nothing_left: true }
}

fn blocked(status: Status) -> String {
    let Status::Blocked(text) = status else { panic!("{status:?}") };
    text
}

/// The plan stops the service, takes back the URL and the port, and blocks with this text.
#[track_caller]
fn stops(facts: &Facts) -> String {
    let plan = decide(facts).unwrap();
    assert_eq!(plan.service, ServiceAction::Stop);
    assert_eq!((&plan.write, &plan.layer, plan.open_port), (&vec![], &None, None));
    let nothing_left = plan.publish.iter().all(|publish| publish.changes.iter().all(|(_, value)| value.is_empty()));
    assert!(nothing_left && plan.close_ports == facts.opened_ports);
    assert_eq!(plan.publish.is_empty(), facts.told_falcos.values().all(|databag| databag.iter().next().is_none()));
    blocked(plan.status(&Seen::Stopped))
}

#[test]
fn a_fresh_container_gets_its_file_its_layer_and_a_replan_before_anybody_is_told() {
    let plan = decide(&fresh()).unwrap();
    assert_eq!(
        plan.write.iter().map(|file| (file.path.as_str(), file.mode)).collect::<Vec<_>>(),
        [(CONFIG_FILE, 0o600)]
    );
    assert!(plan.layer.is_some() && plan.tell_version);
    assert!(matches!(plan.service, ServiceAction::Run(listener) if listener.port == 2801));
    assert_eq!(url(&plan), Some("\"http://10.1.2.3:2801/\""));
    assert!(plan.publish.iter().any(|publish| publish.endpoint == SEND_LOKI_LOGS));
    assert_eq!((plan.open_port, plan.close_ports.len()), (Some(2801), 0));
    assert_eq!(plan.status(&Seen::Serving), Status::active());
}

#[test]
fn a_unit_that_is_as_it_should_be_is_left_alone() {
    let plan = decide(&settled(fresh())).unwrap();
    assert_eq!((plan.write, plan.layer, plan.publish), (vec![], None, vec![]));
    assert_eq!((plan.open_port, plan.close_ports, plan.tell_version), (None, vec![], false));
    assert!(matches!(plan.service, ServiceAction::Run(_)), "a replan makes good what an interrupted hook left undone");
}

#[test]
fn one_port_reaches_the_file_the_check_the_published_url_and_the_open_port() {
    let mut facts = settled(fresh());
    facts.config = options(&[("allow-plain-http", "true"), ("port", "4000")]);
    let plan = decide(&facts).unwrap();
    assert!(String::from_utf8(plan.write[0].content.clone()).unwrap().contains("\"listenport\": 4000"));
    let check = plan.layer.as_ref().unwrap().checks["health"].http.clone().unwrap();
    assert_eq!(check.url, "http://127.0.0.1:4000/healthz");
    assert!(matches!(plan.service, ServiceAction::Run(listener) if listener.port == 4000));
    assert_eq!(url(&plan), Some("\"http://10.1.2.3:4000/\""));
    assert_eq!((plan.open_port, plan.close_ports), (Some(4000), vec!["2801/tcp".to_owned()]));
}

#[test]
fn a_file_that_is_right_does_not_hide_a_layer_that_is_not_there() {
    let mut facts = settled(fresh());
    facts.container.as_mut().unwrap().plan = Layer::default();
    let plan = decide(&facts).unwrap();
    assert!(plan.write.is_empty() && plan.layer.is_some() && plan.tell_version, "Pebble was restarted");
}

#[test]
fn bad_options_block_and_touch_nothing() {
    let mut facts = settled(fresh());
    facts.config = options(&[("port", "0"), ("allow-plain-http", "perhaps")]);
    let text = blocked(decide(&facts).unwrap_err());
    assert!(text.starts_with("port: ") && text.contains("; allow-plain-http: "), "{text}");
}

#[test]
fn without_pebble_everything_waits() {
    let facts = Facts { container: None, ..settled(fresh()) };
    assert_eq!(decide(&facts).unwrap_err(), waiting_for_pebble());
}

#[test]
fn without_loki_the_service_stops_and_the_url_is_taken_back() {
    let facts = Facts { loki: None, ..settled(fresh()) };
    assert_eq!(
        stops(&facts),
        "send-loki-logs: add a relation to Loki, for example: juju integrate sidekick:send-loki-logs loki; or set outputs"
    );
    assert_eq!(url(&decide(&facts).unwrap()), Some(""));
}

#[test]
fn plain_http_that_is_not_allowed_stops_the_service_also_while_loki_is_awaited() {
    let facts = Facts { config: RawConfig::default(), loki: Some(loki("")), ..settled(fresh()) };
    let text = stops(&facts);
    assert!(text.starts_with("allow-plain-http: it is false") && text.contains("certificates or ingress"), "{text}");
    assert!(text.ends_with("juju config sidekick allow-plain-http=true"), "{text}");
}

#[test]
fn the_relations_that_this_revision_does_not_serve_are_named() {
    let facts = Facts { config: RawConfig::default(), unserved: vec![CERTIFICATES], ..settled(fresh()) };
    assert!(stops(&facts).contains("cannot serve certificates yet"));

    let plan = decide(&Facts { unserved: vec![CERTIFICATES, INGRESS], ..fresh() }).unwrap();
    let Status::Active(remark) = plan.status(&Seen::Serving) else { panic!() };
    assert!(remark.contains("plain HTTP") && remark.contains("certificates and ingress"), "{remark}");
}

#[test]
fn all_that_is_missing_is_told_at_once() {
    let text = stops(&Facts { config: RawConfig::default(), loki: None, ..fresh() });
    assert!(text.contains("allow-plain-http: ") && text.contains("; send-loki-logs: "), "{text}");
}

#[test]
fn a_loki_that_has_not_published_is_waited_for_and_nothing_is_touched() {
    let status = decide(&Facts { loki: Some(loki("")), ..settled(fresh()) }).unwrap_err();
    assert_eq!(status, Status::Waiting("send-loki-logs: waiting for Loki to publish its address".into()));
}

#[test]
fn garbage_from_loki_blocks_naming_unit_and_value_and_nothing_is_touched() {
    let text = blocked(decide(&Facts { loki: Some(loki("garbage")), ..settled(fresh()) }).unwrap_err());
    assert!(text.starts_with("send-loki-logs: loki/0 published endpoint \"garbage\": "), "{text}");
}

#[test]
fn an_image_without_falcosidekick_blocks_and_tells_where_it_was_looked_for() {
    let mut facts = fresh();
    facts.container.as_mut().unwrap().program = None;
    let text = blocked(decide(&facts).unwrap_err());
    assert!(
        text.starts_with("falcosidekick-image: no Falcosidekick found in the image (looked at /app/falcosidekick, ")
    );
}

#[test]
fn without_an_address_the_published_url_stays_and_everything_else_goes_on() {
    let mut facts = settled(fresh());
    facts.addresses = vec!["no address".into()];
    facts.config = options(&[("allow-plain-http", "true"), ("port", "4000")]);
    let plan = decide(&facts).unwrap();
    assert_eq!((url(&plan), plan.open_port), (None, Some(4000)));
    assert_eq!(
        plan.status(&Seen::Serving),
        Status::Waiting("http-endpoint: waiting for an address of this application".into())
    );
}

#[test]
fn the_first_address_that_is_one_is_published() {
    let facts = Facts { addresses: vec![String::new(), "fd00::1".into(), "10.1.2.3".into()], ..fresh() };
    assert_eq!(url(&decide(&facts).unwrap()), Some("\"http://[fd00::1]:2801/\""));
}

#[test]
fn every_falco_is_told_and_only_those_that_do_not_know_yet() {
    let mut facts = settled(fresh());
    facts.told_falcos.extend(told("9", &[]));
    let plan = decide(&facts).unwrap();
    assert_eq!(plan.publish.iter().map(|publish| publish.relation).collect::<Vec<_>>(), ["9".parse().unwrap()]);
}

#[test]
fn a_unit_that_is_not_the_leader_opens_its_port_and_publishes_nothing() {
    let nothing = BTreeMap::new;
    let facts = Facts { told_loki: nothing(), told_falcos: nothing(), addresses: Vec::new(), ..fresh() };
    let plan = decide(&facts).unwrap();
    assert_eq!((plan.publish.len(), plan.open_port), (0, Some(2801)));
    assert_eq!(plan.status(&Seen::Serving), Status::active());
}

#[test]
fn a_service_that_fails_is_worse_than_any_remark() {
    let plan = decide(&Facts { unserved: vec![INGRESS], addresses: Vec::new(), ..fresh() }).unwrap();
    for (seen, text) in [
        (Seen::Down("bind".into()), "falcosidekick does not stay up: bind"),
        (Seen::NotServing("refused".into()), "falcosidekick runs, but does not answer: refused"),
        (
            without(&plan, "Loki - Bad Endpoint"),
            "send-loki-logs: Falcosidekick dropped the Loki output: Loki - Bad Endpoint",
        ),
    ] {
        assert_eq!(blocked(plan.status(&seen)), text);
    }
}

#[test]
fn a_plan_is_shown_without_the_content_of_the_file() {
    let facts = Facts { loki: Some(loki(r#"{"url": "http://user:hunter2@loki/"}"#)), ..fresh() };
    let shown = serde_yaml::to_string(&decide(&facts).unwrap()).unwrap();
    assert!(shown.contains(CONFIG_FILE) && shown.contains("mode: '600'"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}
