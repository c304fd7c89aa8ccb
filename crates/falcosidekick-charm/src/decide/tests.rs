mod outputs;
mod turns;

use charm_core::config::RawConfig;
use charm_core::interfaces::certificate_transfer;
use charm_core::pebble::Layer;
use charm_core::topology::Topology;
use charm_core::x509::Certificate;

use super::*;
use crate::facts::Received;
use crate::names::{INGRESS, PROGRAMS};
use crate::plan::{Dropped, Question, Seen};

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
        container: Some(Container { program: Some(PROGRAMS[0].into()), ..Container::default() }),
        ..Facts::default()
    }
}

/// The same after its plan was carried out.
fn settled(mut facts: Facts) -> Facts {
    let plan = decide(&facts);
    let container = facts.container.as_mut().unwrap();
    for file in plan.write {
        container.files.insert(file.path, Digest::of(file.content));
    }
    container.files.retain(|path, _| !plan.remove.contains(&path.as_str()));
    if let Some(layer) = plan.layer {
        container.plan = layer;
    }
    for Publish { endpoint, relation, side, changes } in plan.publish.into_iter().chain(plan.send) {
        let changes = Told::of(&changes);
        match (endpoint, side, facts.ingress.as_mut()) {
            (HTTP_ENDPOINT, ..) => drop(facts.told_falcos.insert(relation, changes)),
            (INGRESS, Side::App, Some(ingress)) => ingress.told_app = Some(changes),
            (INGRESS, Side::Unit, Some(ingress)) => ingress.told_unit = changes,
            _ => drop(facts.told_loki.insert(relation, changes)),
        }
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

fn told(relation: &str, databag: &[(&str, &str)]) -> BTreeMap<RelationId, Told> {
    BTreeMap::from([(relation.parse().unwrap(), Told::of(&databag.iter().copied().collect()))])
}

/// What `http-endpoint` is told in this plan, if anything.
fn url(plan: &Plan) -> Option<&str> {
    let publish = plan.publish.iter().chain(&plan.send).find(|publish| publish.endpoint == HTTP_ENDPOINT)?;
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

/// The plan leaves everything as it is, with this status.
#[track_caller]
fn leaves(facts: &Facts) -> Status {
    let plan = decide(facts);
    assert_eq!(Plan { notes: Vec::new(), certificate: tls::Steps::default(), ..plan.clone() }, Plan::default());
    plan.status(&Seen::Nothing)
}

/// The plan stops the service, takes back the URL and the port, and blocks with this text.
#[track_caller]
fn stops(facts: &Facts) -> String {
    let plan = decide(facts);
    assert_eq!(plan.service, ServiceAction::Stop);
    assert_eq!((&plan.write, &plan.layer, plan.open_port), (&vec![], &None, None));
    let nothing_left = plan.publish.iter().all(|publish| publish.changes.iter().all(|(_, value)| value.is_empty()));
    assert!(nothing_left && plan.close_ports == facts.opened_ports);
    assert_eq!(plan.publish.is_empty(), facts.told_falcos.values().all(Told::is_empty));
    blocked(plan.status(&Seen::Stopped))
}

#[test]
fn a_fresh_container_gets_its_file_its_layer_and_a_replan_before_anybody_is_told() {
    let plan = decide(&fresh());
    assert_eq!(
        plan.write.iter().map(|file| (file.path.as_str(), file.mode)).collect::<Vec<_>>(),
        [(CONFIG_FILE, 0o600)]
    );
    assert!(plan.layer.is_some() && plan.tell_version);
    assert!(matches!(plan.service, ServiceAction::Run(listener, _) if listener.port == 2801));
    assert_eq!(url(&plan), Some("\"http://10.1.2.3:2801/\""));
    assert!(plan.publish.iter().any(|publish| publish.endpoint == SEND_LOKI_LOGS));
    assert_eq!((plan.open_port, plan.close_ports.len()), (Some(2801), 0));
    assert_eq!(plan.status(&Seen::Serving), Status::active());
}

#[test]
fn a_unit_that_is_as_it_should_be_is_left_alone() {
    let plan = decide(&settled(fresh()));
    assert_eq!((plan.write, plan.layer, plan.publish, plan.send), (vec![], None, vec![], vec![]));
    assert_eq!((plan.open_port, plan.close_ports, plan.tell_version), (None, vec![], false));
    assert!(matches!(plan.service, ServiceAction::Run(..)), "a replan makes good what an interrupted hook left undone");
}

#[test]
fn one_port_reaches_the_file_the_check_the_published_url_and_the_open_port() {
    let mut facts = settled(fresh());
    facts.config = options(&[("allow-plain-http", "true"), ("port", "4000")]);
    let plan = decide(&facts);
    assert!(String::from_utf8(plan.write[0].content.clone()).unwrap().contains("\"listenport\": 4000"));
    let check = plan.layer.as_ref().unwrap().checks["health"].http.clone().unwrap();
    assert_eq!(check.url, "http://127.0.0.1:4000/healthz");
    assert!(matches!(plan.service, ServiceAction::Run(listener, _) if listener.port == 4000));
    assert_eq!(url(&plan), Some("\"http://10.1.2.3:4000/\""));
    assert_eq!((plan.open_port, plan.close_ports), (Some(4000), vec!["2801/tcp".to_owned()]));
}

#[test]
fn a_file_that_is_right_does_not_hide_a_layer_that_is_not_there() {
    let mut facts = settled(fresh());
    facts.container.as_mut().unwrap().plan = Layer::default();
    let plan = decide(&facts);
    assert!(plan.write.is_empty() && plan.layer.is_some() && plan.tell_version, "Pebble was restarted");
}

#[test]
fn bad_options_block_and_touch_nothing() {
    let mut facts = settled(fresh());
    facts.config = options(&[("port", "0"), ("allow-plain-http", "perhaps")]);
    let text = blocked(leaves(&facts));
    assert!(text.starts_with("port: ") && text.contains("; allow-plain-http: "), "{text}");
}

#[test]
fn bad_options_keep_nothing_from_the_certificate() {
    let bad = options(&[("port", "0")]);
    let ended = Facts { config: bad.clone(), last_asked: Some(Databag::default()), ..fresh() };
    assert_eq!(decide(&ended).certificate.forget, [tls::certificate_label(0), tls::key_label(0)]);

    let mut authority = certified().authority.unwrap();
    authority.key = None;
    let new = Facts { config: bad, authority: Some(authority), ..fresh() };
    assert!(decide(&new).certificate.ask.is_some());
    assert!(blocked(leaves(&new)).starts_with("port: "));
}

#[test]
fn options_that_are_not_in_force_are_told_first_and_with_whatever_else_is_missing() {
    let refused = Some(Status::Blocked("port: 0 is not a port".into()));
    let goes_on = Facts { refused: refused.clone(), ..settled(fresh()) };
    let plan = decide(&goes_on);
    assert!(matches!(plan.service, ServiceAction::Run(..)) && plan.keep_options.expose().is_none());
    assert_eq!(blocked(plan.status(&Seen::Serving)), "port: 0 is not a port");
    let text = stops(&Facts { refused, loki: None, ..settled(fresh()) });
    assert!(text.starts_with("port: 0 is not a port; send-loki-logs: add a relation"), "{text}");
}

#[test]
fn options_are_kept_once_and_not_those_that_juju_would_not_take() {
    let mut facts = settled(fresh());
    let text = decide(&facts).keep_options.expose().clone().unwrap();
    facts.kept_options = Redacted::new(Some(text));
    assert_eq!(decide(&facts).keep_options, Redacted::default());
    let tags = "a,".repeat(40_000) + "a";
    facts.config = options(&[("allow-plain-http", "true"), ("custom-tags", &tags)]);
    assert_eq!(decide(&facts).keep_options, Redacted::default());
}

#[test]
fn without_pebble_everything_waits() {
    let facts = Facts { container: None, ..settled(fresh()) };
    assert_eq!(leaves(&facts), waiting_for_pebble());
}

#[test]
fn without_loki_the_service_stops_and_the_url_is_taken_back() {
    let facts = Facts { loki: None, ..settled(fresh()) };
    assert_eq!(
        stops(&facts),
        "send-loki-logs: add a relation to Loki, for example: juju integrate sidekick:send-loki-logs loki; or set outputs"
    );
    assert_eq!(url(&decide(&facts)), Some(""));
}

#[test]
fn plain_http_that_is_not_allowed_stops_the_service_also_while_loki_is_awaited() {
    let facts = Facts { config: RawConfig::default(), loki: Some(loki("")), ..settled(fresh()) };
    let text = stops(&facts);
    assert!(
        text.starts_with("allow-plain-http: it is false") && text.contains("juju integrate sidekick:certificates"),
        "{text}"
    );
    assert!(text.ends_with("juju config sidekick allow-plain-http=true"), "{text}");
}

#[test]
fn all_that_is_missing_is_told_at_once() {
    let text = stops(&Facts { config: RawConfig::default(), loki: None, ..fresh() });
    assert!(text.contains("allow-plain-http: ") && text.contains("; send-loki-logs: "), "{text}");
}

#[test]
fn a_loki_that_has_not_published_is_waited_for_and_nothing_is_touched() {
    let status = leaves(&Facts { loki: Some(loki("")), ..settled(fresh()) });
    assert_eq!(status, Status::Waiting("send-loki-logs: waiting for Loki to publish its address".into()));
}

#[test]
fn beside_another_output_a_loki_that_has_not_published_is_a_remark() {
    let outputs = "webhook: {address: 'http://h/'}\nloki: {tenant: staff}";
    let config = options(&[("allow-plain-http", "true"), ("outputs", outputs)]);
    let plan = decide(&Facts { config, loki: Some(loki("")), ..fresh() });
    let status = plan.status(&Seen::Serving);
    assert_eq!(status, Status::Active("send-loki-logs: waiting for Loki to publish its address".into()));
    assert_eq!(plan.outputs.iter().map(|output| output.path).collect::<Vec<_>>(), ["webhook"]);
    assert!(url(&plan).is_some());
}

#[test]
fn garbage_from_loki_blocks_naming_unit_and_value_and_nothing_is_touched() {
    let text = blocked(leaves(&Facts { loki: Some(loki("garbage")), ..settled(fresh()) }));
    assert!(text.starts_with("send-loki-logs: loki/0 published endpoint \"garbage\": "), "{text}");
}

#[test]
fn an_image_without_falcosidekick_blocks_and_tells_where_it_was_looked_for() {
    let mut facts = fresh();
    facts.container.as_mut().unwrap().program = None;
    let text = blocked(leaves(&facts));
    assert!(
        text.starts_with("falcosidekick-image: no Falcosidekick found in the image (looked at /app/falcosidekick, ")
    );
}

#[test]
fn without_an_address_the_published_url_stays_and_everything_else_goes_on() {
    let mut facts = settled(fresh());
    facts.addresses = vec!["no address".into()];
    facts.config = options(&[("allow-plain-http", "true"), ("port", "4000")]);
    let plan = decide(&facts);
    assert_eq!((url(&plan), plan.open_port), (None, Some(4000)));
    assert_eq!(
        plan.status(&Seen::Serving),
        Status::Waiting("http-endpoint: waiting for an address of this application".into())
    );
}

#[test]
fn the_first_address_that_is_one_is_published() {
    let facts = Facts { addresses: vec![String::new(), "fd00::1".into(), "10.1.2.3".into()], ..fresh() };
    assert_eq!(url(&decide(&facts)), Some("\"http://[fd00::1]:2801/\""));
}

#[test]
fn every_falco_is_told_and_only_those_that_do_not_know_yet() {
    let mut facts = settled(fresh());
    facts.told_falcos.extend(told("9", &[]));
    let plan = decide(&facts);
    assert_eq!(plan.send.iter().map(|publish| publish.relation).collect::<Vec<_>>(), ["9".parse().unwrap()]);
}

#[test]
fn a_unit_that_is_not_the_leader_opens_its_port_and_publishes_nothing() {
    let nothing = BTreeMap::new;
    let facts = Facts { told_loki: nothing(), told_falcos: nothing(), addresses: Vec::new(), ..fresh() };
    let plan = decide(&facts);
    assert_eq!((plan.publish.len() + plan.send.len(), plan.open_port), (0, Some(2801)));
    assert_eq!(plan.status(&Seen::Serving), Status::active());
}

#[test]
fn a_service_that_fails_is_worse_than_any_remark() {
    let plan = decide(&Facts { addresses: Vec::new(), ..fresh() });
    for (seen, text) in [
        (Seen::Down("bind".into()), "falcosidekick does not stay up: bind"),
        (Seen::NotServing("refused".into()), "falcosidekick runs, but does not answer: refused"),
        (
            without(&plan, "Loki - Bad Endpoint"),
            "send-loki-logs: Falcosidekick dropped the Loki output: Loki - Bad Endpoint",
        ),
        (Seen::NotTrusted("x".into()), "certificates: falcosidekick answers, but would not be believed: x"),
    ] {
        assert_eq!(blocked(plan.status(&seen)), text);
    }
}

#[test]
fn a_plan_is_shown_without_the_content_of_the_file() {
    let facts = Facts { loki: Some(loki(r#"{"url": "http://user:hunter2@loki/"}"#)), ..fresh() };
    let shown = serde_yaml::to_string(&decide(&facts)).unwrap();
    assert!(shown.contains(CONFIG_FILE) && shown.contains("mode: '600'"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

/// A unit that has its certificate, for this address.
fn certified() -> Facts {
    let (authority, ..) = tls::tests::settled((0, 100));
    let addresses = vec!["10.152.183.7".into()];
    let config = options(&[]);
    settled(Facts { authority: Some(authority), addresses, config, now: tls::tests::NOW, ..fresh() })
}

#[test]
fn with_a_certificate_alerts_come_in_over_tls_without_leave_for_plain_http() {
    let facts = Facts { container: fresh().container, told_falcos: told("7", &[]), ..certified() };
    let plan = decide(&facts);
    let paths: Vec<(&str, u32)> = plan.write.iter().map(|file| (file.path.as_str(), file.mode)).collect();
    assert_eq!(paths, [(CONFIG_FILE, 0o600), (CERTIFICATE_FILE, 0o600), (KEY_FILE, 0o600)]);
    assert_eq!(url(&plan), Some("\"https://10.152.183.7:2801/\""));
    let ServiceAction::Run(listener, Question::Tls { urls, authorities }) = &plan.service else { panic!() };
    assert_eq!((listener.beside_tls, urls.len(), authorities.len()), (Some(2810), 1, 1));
    assert_eq!(plan.status(&Seen::Serving), Status::active());
}

#[test]
fn a_unit_with_a_certificate_that_is_as_it_should_be_is_left_alone() {
    let plan = decide(&certified());
    assert_eq!((plan.write, plan.layer, plan.publish, plan.send), (vec![], None, vec![], vec![]));
    assert_eq!(plan.remove, Vec::<&str>::new());
    assert_eq!(plan.certificate, tls::Steps::default());
}

#[test]
fn another_certificate_is_another_process() {
    let facts = certified();
    let (authority, ..) = tls::tests::settled((0, 90));
    let plan = decide(&Facts { authority: Some(authority), ..facts });
    assert_eq!(plan.write.len(), 2, "certificate and key");
    assert!(plan.layer.is_some());
}

#[test]
fn until_there_is_a_certificate_it_is_asked_for_and_what_is_ours_goes_on() {
    let facts = Facts { authority: Some(tls::tests::new()), config: options(&[]), ..settled(fresh()) };
    assert_eq!(leaves(&facts), Status::Waiting("certificates: waiting for ca to issue the certificate".into()));
    assert!(decide(&facts).certificate.ask.is_some());
    for facts in [
        Facts { container: None, ..facts.clone() },
        Facts { loki: Some(loki("")), ..facts.clone() },
        Facts { loki: None, ..facts.clone() },
    ] {
        assert!(decide(&facts).certificate.ask.is_some(), "it takes time, and needs nothing of these");
    }
    let fresh = Facts { container: fresh().container, ..facts };
    let plan = decide(&fresh);
    assert_eq!(
        (plan.service, plan.publish, plan.write),
        (ServiceAction::Stop, vec![], vec![]),
        "not what an image has"
    );
}

#[test]
fn a_certificate_that_was_revoked_is_shown_no_more_whatever_the_options_are() {
    let mut facts = certified();
    let authority = facts.authority.as_mut().unwrap();
    authority.published.as_mut().unwrap().as_mut().unwrap().answers[0].revoked = Some(true);
    let revoked = "certificates: ca revoked the certificate; waiting for another one";
    let stopped = |config: &[(&str, &str)]| {
        let plan = decide(&Facts { config: options(config), ingress: Some(ingress(WAY_IN)), ..facts.clone() });
        assert_eq!((&plan.service, &plan.remove), (&ServiceAction::Stop, &vec![CERTIFICATE_FILE, KEY_FILE]));
        assert_eq!((plan.write.len(), plan.publish.len() + plan.send.len(), plan.close_ports.len()), (0, 0, 0));
        assert!(plan.certificate.ask.is_some());
        plan.status(&Seen::Stopped)
    };
    assert_eq!(stopped(&[]), Status::Waiting(revoked.into()));
    for (value, problem) in [("0", "port: "), ("65535", "port: 65535 is none that ingress can lead to")] {
        let text = blocked(stopped(&[("port", value)]));
        assert!(text.starts_with(problem) && text.ends_with(&format!("; {revoked}")), "{text}");
    }
}

#[test]
fn without_certificates_their_files_go_after_the_service_has_changed() {
    let facts = Facts { authority: None, config: options(&[("allow-plain-http", "true")]), ..certified() };
    let plan = decide(&facts);
    assert_eq!(plan.remove, [CERTIFICATE_FILE, KEY_FILE]);
    assert!(matches!(plan.service, ServiceAction::Run(_, Question::Plain)));
    let stopped = decide(&Facts { config: options(&[]), ..facts });
    assert_eq!((stopped.service, stopped.remove), (ServiceAction::Stop, vec![CERTIFICATE_FILE, KEY_FILE]));
}

#[test]
fn the_last_hook_of_certificates_forgets_their_secrets() {
    let facts = Facts { last_asked: Some(Databag::default()), ..settled(fresh()) };
    assert_eq!(decide(&facts).certificate.forget, [tls::certificate_label(0), tls::key_label(0)]);
}

#[test]
fn an_address_that_the_certificate_is_not_for_is_told_to_nobody() {
    let facts = Facts { addresses: vec!["10.152.183.9".into()], ..certified() };
    let plan = decide(&facts);
    assert!(plan.certificate.ask.is_some() && url(&plan).is_none());
    assert_eq!(
        plan.status(&Seen::Serving),
        Status::Waiting("certificates: waiting for a certificate that is for 10.152.183.9".into())
    );
}

#[test]
fn a_plan_is_shown_without_the_key() {
    let facts = Facts { container: fresh().container, ..certified() };
    let shown = serde_yaml::to_string(&decide(&facts)).unwrap();
    assert!(shown.contains(KEY_FILE) && !shown.contains("BEGIN"), "{shown}");
}

/// What `http-endpoint` is told of whom to believe, if anything.
fn ca(plan: &Plan) -> Option<&str> {
    plan.send.iter().find_map(|publish| publish.changes.iter().find(|(key, _)| *key == "ca").map(|(_, value)| value))
}

fn ingress(published: &str) -> Ingress {
    let databag = [("ingress", published)].into_iter().collect();
    Ingress {
        relation: "4".parse().unwrap(),
        app: "traefik".parse().unwrap(),
        published: ingress::Provider::read(&databag),
        told_app: Some(Told::default()),
        told_unit: Told::default(),
    }
}

const WAY_IN: &str = r#"{"url": "https://falco.example/prod-sidekick"}"#;

/// A unit behind an ingress that has a way in.
fn behind_ingress() -> Facts {
    let own_address = "10.1.0.7".parse().ok();
    Facts { ingress: Some(ingress(WAY_IN)), config: options(&[]), own_address, ..fresh() }
}

#[test]
fn with_a_certificate_falcos_are_told_whom_to_believe_and_without_no_more() {
    let facts = Facts { told_falcos: told("7", &[]), ..certified() };
    let plan = decide(&facts);
    assert!(ca(&plan).unwrap().starts_with("\"-----BEGIN CERTIFICATE-----\\n"));
    let without = Facts { authority: None, config: options(&[("allow-plain-http", "true")]), ..certified() };
    assert_eq!(ca(&decide(&without)), Some(""));
}

#[test]
fn callers_in_the_same_model_are_told_the_name_of_the_service_and_others_its_address() {
    let mut facts = Facts { addresses: vec!["10.152.183.7".into()], ..certified() };
    facts.told_falcos.extend(told("9", &[]));
    facts.near.insert("9".parse().unwrap());
    // The certificate is for the address and the short name only: it stays until it is renewed.
    let urls = |facts: &Facts| {
        let send = decide(facts).send;
        send.iter().flat_map(|publish| publish.changes.iter().map(|(_, value)| value.to_owned())).collect::<String>()
    };
    assert!(urls(&facts).contains("https://10.152.183.7:2801/"));
    facts = Facts { authority: None, config: options(&[("allow-plain-http", "true")]), ..facts };
    assert!(urls(&facts).contains("http://sidekick.prod.svc.cluster.local:2801/"));
    assert!(urls(&facts).contains("http://10.152.183.7:2801/"));
}

#[test]
fn an_ingress_makes_up_for_certificates_and_is_told_what_is_really_served() {
    let plan = decide(&behind_ingress());
    assert!(matches!(plan.service, ServiceAction::Run(_, Question::Plain)));
    assert_eq!(plan.open_port, Some(2801), "the proxy comes in through the Service");
    let told: BTreeMap<&str, &str> = plan
        .publish
        .iter()
        .filter(|publish| publish.endpoint == INGRESS)
        .flat_map(|publish| publish.changes.iter())
        .collect();
    assert_eq!(told["scheme"], "\"http\"");
    assert_eq!(told["host"], "\"sidekick.prod.svc.cluster.local\"");
    assert_eq!((told["ip"], told["port"], told["model"]), ("\"10.1.0.7\"", "2801", "\"prod\""));
    assert_eq!(told["healthcheck_params"], r#"{"path":"/ping"}"#);

    let both = Facts { ingress: Some(ingress(WAY_IN)), ..certified() };
    let plan = decide(&both);
    let scheme = plan.publish.iter().flat_map(|publish| publish.changes.iter()).find(|(key, _)| *key == "scheme");
    assert_eq!(scheme, Some(("scheme", "\"https\"")));
    assert!(plan.certificate.ask.is_some(), "a proxy that passes TLS on needs its own name in the certificate");
}

#[test]
fn falcos_are_sent_through_the_ingress_once_it_answers() {
    let plan = decide(&behind_ingress());
    assert_eq!(url(&plan), Some("\"https://falco.example/prod-sidekick\""));
    assert_eq!(plan.way_in.as_ref().unwrap().ping.as_str(), "https://falco.example/prod-sidekick/ping");
    assert!(plan.publish.iter().all(|publish| publish.endpoint != HTTP_ENDPOINT), "not before");
    let waiting = Status::Waiting("ingress: waiting until Falcosidekick answers through it: x".into());
    assert_eq!(plan.status(&Seen::NoWayIn("x".into())), waiting);
}

#[test]
fn until_there_is_a_way_in_the_last_url_stays_and_garbage_blocks() {
    for (published, text) in [
        ("", "waiting: ingress: waiting for traefik to publish the URL of its way in"),
        ("garbage", "blocked: ingress: traefik published ingress \"garbage\": it is not a JSON object with a url"),
    ] {
        let plan = decide(&Facts { ingress: Some(ingress(published)), ..settled(behind_ingress()) });
        assert!(plan.send.is_empty() && plan.way_in.is_none());
        assert_eq!(plan.status(&Seen::Serving).to_string(), text);
    }
}

#[test]
fn a_way_in_without_tls_is_for_laboratories() {
    let facts = Facts { ingress: Some(ingress(r#"{"url": "http://falco.example/"}"#)), ..behind_ingress() };
    let plan = decide(&facts);
    let text = plan.status(&Seen::Serving).to_string();
    assert!(text.starts_with("blocked: ingress: traefik published http://falco.example, where"), "{text}");
    assert!(plan.send.is_empty());
    let lab = Facts { config: options(&[("allow-plain-http", "true")]), ..facts };
    assert_eq!(url(&decide(&lab)), Some("\"http://falco.example/\""));
}

#[test]
fn a_port_that_no_ingress_takes_blocks_and_nothing_is_touched() {
    let facts = Facts { config: options(&[("port", "65535")]), ..settled(behind_ingress()) };
    assert_eq!(blocked(leaves(&facts)), "port: 65535 is none that ingress can lead to (1-65534)");
}

#[test]
fn a_unit_behind_an_ingress_that_is_as_it_should_be_is_left_alone() {
    let plan = decide(&settled(behind_ingress()));
    assert_eq!((plan.write, plan.layer, plan.publish, plan.send), (vec![], None, vec![], vec![]));
    assert!(plan.way_in.is_some(), "it is asked in each hook");
}

/// Somebody who tells whom to believe.
fn received(value: &str) -> Received {
    let databag = [("certificates", value)].into_iter().collect();
    Received {
        relation: "11".parse().unwrap(),
        app: "ca".parse().unwrap(),
        published: certificate_transfer::Provider::read(&databag),
        told: None,
    }
}

#[test]
fn whom_others_tell_us_to_believe_is_one_file_that_the_process_is_started_with() {
    let identity =
        tls::decide(certified().authority.as_ref().unwrap(), &tls::Names::default(), 0, None, 0).identity.unwrap();
    let texts: Vec<String> = identity.authorities.iter().map(Certificate::pem).collect();
    let told = serde_json::to_string(&texts).unwrap();
    let facts = Facts { received: vec![received(&told), received(&told)], ..settled(fresh()) };
    let plan = decide(&facts);
    let file = plan.write.iter().find(|file| file.path == AUTHORITIES_FILE).unwrap();
    assert_eq!(file.content, texts.concat().into_bytes(), "each once");
    assert!(plan.layer.is_some());

    let gone = Facts { received: Vec::new(), ..settled(facts) };
    assert_eq!(decide(&gone).remove, [AUTHORITIES_FILE]);
}

#[test]
fn garbage_in_whom_to_believe_blocks_and_the_rest_goes_on() {
    let facts = Facts { received: vec![received("garbage")], ..settled(fresh()) };
    let plan = decide(&facts);
    let text = plan.status(&Seen::Serving).to_string();
    assert!(text.starts_with("blocked: receive-ca-cert: ca published certificates \"garbage\": "), "{text}");
    assert!(plan.write.is_empty() && matches!(plan.service, ServiceAction::Run(..)));
}

#[test]
fn who_asks_is_told_whom_to_believe_only_while_there_is_a_certificate() {
    let asked = told("12", &[]);
    let plan = decide(&Facts { told_authorities: asked.clone(), ..certified() });
    assert!(plan.publish.iter().any(|publish| publish.endpoint == "send-ca-cert"));
    let stale = told("12", &[("certificates", "[]"), ("version", "1")]);
    let plan = decide(&Facts { told_authorities: stale, ..fresh() });
    let publish = plan.publish.iter().find(|publish| publish.endpoint == "send-ca-cert").unwrap();
    assert!(publish.changes.iter().all(|(_, value)| value.is_empty()));
}
