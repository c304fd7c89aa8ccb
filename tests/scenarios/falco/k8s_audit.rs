//! Kubernetes audit events as a second source of alerts.

mod rules;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use charm_tests::crash::interrupt_everywhere;
use charm_tests::falco_distribution::{Options, tarball};
use charm_tests::falco_host::{FalcoHost, UNIT, eventually, sidekick};
use charm_tests::juju::{Event, Relation, Secret, State};
use charm_tests::machine::Action;
use charm_tests::ports::free_port;
use charm_tests::sink::Sink;
use charm_tests::stand_in::http::{Request, send};
use charm_tests::stand_in::tls::{self, Trust};
use nix::sys::signal::Signal;
use rcgen::{CertificateParams, CertifiedKey, KeyPair, date_time_ymd, generate_simple_self_signed};
use serde_json::{Value, json};

use crate::world::{run, run_once, settled, settled_from};

const ID: &str = "9m4e2mr0ui3e8a215n4g";
const CONFIG: &str = "/etc/juju-falco/falco.yaml";
const FOLDER: &str = "/etc/juju-falco/k8s-audit";

/// A certificate for loopback, and its key.
fn pair() -> (String, String) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    (cert.pem(), signing_key.serialize_pem())
}

fn secret((certificate, key): &(String, String)) -> Secret {
    Secret::user(ID, "falco").revision([("certificate", certificate.as_str()), ("private-key", key)])
}

/// A distribution with these plugins beside the container plugin.
fn distribution(host: &FalcoHost, plugins: &[&'static str]) -> PathBuf {
    tarball(host.folder(), &Options { plugins: plugins.to_vec(), ..Options::default() })
}

/// A host on which Falco runs with both plugins at hand and does not listen yet.
fn ready() -> (FalcoHost, State) {
    settled_from(|host| host.fresh().resource("falco", distribution(host, &["json", "k8saudit"])))
}

fn on(state: State, address: &str) -> State {
    let state = state.config("k8s-audit", true).config("k8s-audit-address", address);
    state.config("k8s-audit-secret", format!("secret:{ID}"))
}

/// Sends audit events the way an API server does. `authority` is the certificate that it trusts.
fn post(port: u16, authority: &str, events: &[Value]) -> Result<u16, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let trust = Trust::Only(tls::certificates(authority.as_bytes()));
    let client = Arc::new(tls::client(trust, None).unwrap());
    let body = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": events}).to_string();
    let request = Request {
        method: "POST".into(),
        url: format!("https://127.0.0.1:{port}/k8s-audit").parse().unwrap(),
        headers: vec![("content-type".into(), "application/json".into())],
        body: body.into_bytes(),
    };
    runtime.block_on(send(request, Some(client))).map(|answer| answer.status).map_err(|error| format!("{error:?}"))
}

/// An audit event of a request that is done, with more in it or something else.
fn event(verb: &str, resource: &str, more: &Value) -> Value {
    let mut event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "stage": "ResponseComplete", "verb": verb,
        "requestURI": format!("/api/v1/namespaces/shop/{resource}"),
        "user": {"username": "mallory", "groups": ["system:authenticated"]}, "sourceIPs": ["192.0.2.7"],
        "objectRef": {"resource": resource, "namespace": "shop", "name": "db"}, "responseStatus": {"code": 200},
        "stageTimestamp": "2026-11-25T17:00:00.000000Z",
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        event[key] = value.clone();
    }
    event
}

/// How often a rule has matched.
fn matches(host: &FalcoHost, rule: &str) -> u64 {
    let label = format!("rule_name=\"{rule}\"");
    let metrics = host.metrics();
    let line = metrics.lines().find(|line| line.contains("rules_matches_total{") && line.contains(&label));
    line.and_then(|line| line.rsplit(' ').next()?.trim().parse().ok()).unwrap_or_default()
}

#[track_caller]
fn blocked(state: &State, beginning: &str, part: &str) {
    let status = &state.unit_status;
    assert!(status.name == "blocked" && status.message.starts_with(beginning), "{status}");
    assert!(status.message.contains(part), "{part:?} is not in {status}");
}

/// System calls are watched, whatever else there is.
#[track_caller]
fn watches(host: &FalcoHost) {
    let rule = "Read sensitive file untrusted";
    let before = matches(host, rule);
    host.read_sensitive_file();
    eventually("the alert about a system call", || (matches(host, rule) > before).then_some(()));
}

#[test]
fn without_the_option_nothing_listens_and_no_port_is_opened() {
    let (host, state) = ready();
    let state = run(&host, &Event::config_changed(), &state.config("k8s-audit-address", "0.0.0.0:9765"));
    assert!(!host.text(CONFIG).contains("k8saudit") && !host.machine.path(FOLDER).exists());
    assert!(state.port_list().is_empty());
}

#[test]
fn turned_on_falco_listens_over_tls_after_one_reload_and_turned_off_nothing_is_left_of_it() {
    let (host, state) = ready();
    let (port, pair) = (free_port(), pair());
    let before = host.actions().len();
    let state = state.secret(secret(&pair));
    let state = run(&host, &Event::config_changed(), &on(state, &format!("127.0.0.1:{port}")));
    assert_eq!(state.unit_status.name, "active", "{}", state.unit_status);
    assert_eq!(host.actions()[before..], [Action::Reload]);
    assert!(state.port_list().is_empty(), "loopback is nobody else's");
    assert_eq!(post(port, &pair.0, &[event("get", "secrets", &json!({}))]), Ok(200));
    eventually("the alert", || (matches(&host, "Kubernetes secret read") == 1).then_some(()));
    watches(&host);
    for entry in fs::read_dir(host.machine.path(FOLDER)).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::metadata(host.machine.path(FOLDER)).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(!host.text(CONFIG).contains("PRIVATE KEY"));

    run(&host, &Event::config_changed(), &state.config("k8s-audit", false));
    assert!(!host.machine.path(FOLDER).exists(), "the key is gone");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    watches(&host);
    assert_eq!(host.actions()[before..], [Action::Reload, Action::Reload]);
}

#[test]
fn a_distribution_without_a_plugin_is_blocked_and_says_which_is_missing() {
    let (host, state) = settled();
    let state = run(&host, &Event::config_changed(), &on(state.secret(secret(&pair())), "127.0.0.1:9765"));
    blocked(&state, "k8s-audit: Falco ", "comes without libk8saudit.so and libjson.so");
    watches(&host);
    let state = state.resource("falco", distribution(&host, &["k8saudit"]));
    let state = run(&host, &Event::upgrade_charm(), &state);
    blocked(&state, "k8s-audit: Falco ", "comes without libjson.so;");
    let port = free_port();
    let state = state.resource("falco", distribution(&host, &["json", "k8saudit"]));
    let state = run(&host, &Event::upgrade_charm(), &state.config("k8s-audit-address", format!("127.0.0.1:{port}")));
    assert_eq!(state.unit_status.name, "active", "{}", state.unit_status);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
}

#[test]
fn without_a_usable_secret_the_unit_is_blocked_and_detection_goes_on() {
    let (host, state) = ready();
    let address = format!("127.0.0.1:{}", free_port());
    let (one, other) = (pair(), pair());
    let nothing = state.clone().config("k8s-audit", true).config("k8s-audit-address", address.as_str());
    let fixed = |secret: Secret| on(state.clone().secret(secret), &address);
    let broken = Secret::user(ID, "falco").revision([("certificate", one.0.as_str()), ("private-key", "hunter2")]);
    let mixed = Secret::user(ID, "falco").revision([("certificate", one.0.as_str()), ("private-key", &other.1)]);
    let half = Secret::user(ID, "falco").revision([("certificate", one.0.as_str())]);
    for (state, part) in [
        (nothing, "set it to a secret"),
        (on(state.clone(), &address), "there is no secret"),
        (fixed(secret(&one).revoked()), "juju grant-secret"),
        (fixed(broken), "`private-key` has no private key"),
        (fixed(mixed), "is not the key of the first certificate"),
        (fixed(half), "has no key `private-key`"),
    ] {
        let state = run(&host, &Event::config_changed(), &state);
        blocked(&state, "k8s-audit-secret: ", part);
        assert!(state.unit_status.message.ends_with("Falco goes on without Kubernetes audit events"));
        assert!(!state.unit_status.message.contains("hunter2"), "{}", state.unit_status);
        assert!(!host.text(CONFIG).contains("k8saudit") && !host.machine.path(FOLDER).exists(), "{part}");
    }
    watches(&host);
}

#[test]
fn a_new_revision_is_served_at_once_and_one_that_cannot_be_used_leaves_the_one_before() {
    let (host, state) = ready();
    let (port, first, second) = (free_port(), pair(), pair());
    let address = format!("127.0.0.1:{port}");
    let state = run(&host, &Event::config_changed(), &on(state.secret(secret(&first)), &address));
    let process = host.machine.main_pid(UNIT);
    let with = |state: &State, secret: Secret| {
        let mut state = state.clone();
        state.secrets.retain(|other| other.id != ID);
        state.secret(secret)
    };
    let newer = secret(&first)
        .tracked("falco/0", 1, "")
        .revision([("certificate", second.0.as_str()), ("private-key", &second.1)]);
    let state = run(&host, &Event::secret_changed(ID), &with(&state, newer));
    assert_eq!(post(port, &second.0, &[]), Ok(200));
    assert!(post(port, &first.0, &[]).is_err(), "the old certificate is no longer shown");
    assert_eq!(host.machine.main_pid(UNIT), process, "a reload, and no restart");
    let files = fs::read_dir(host.machine.path(FOLDER)).unwrap().count();
    assert_eq!(files, 2, "one certificate and the rules: the old key is gone");

    let state =
        run(&host, &Event::secret_changed(ID), &with(&state, secret(&second).tracked("falco/0", 1, "").revoked()));
    blocked(&state, "k8s-audit-secret: this application may not read", "the certificate before stays in use");
    assert_eq!(post(port, &second.0, &[]), Ok(200));
}

#[test]
fn an_expired_certificate_is_told_while_falco_listens_with_it() {
    let (host, state) = ready();
    let (port, key) = (free_port(), KeyPair::generate().unwrap());
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.not_after = date_time_ymd(2021, 2, 3);
    let expired = (params.self_signed(&key).unwrap().pem(), key.serialize_pem());
    let state = on(state.secret(secret(&expired)), &format!("127.0.0.1:{port}"));
    let state = run(&host, &Event::config_changed(), &state);
    let text =
        "k8s-audit-secret: the certificate expired at 2021-02-03T00:00:00Z, so that no API server sends; renew it";
    let status = &state.unit_status;
    assert!(status.name == "active" && status.message.ends_with(text), "{status}");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    assert!(post(port, &expired.0, &[]).is_err(), "whoever looks at the time turns away");
}

#[test]
fn a_port_that_another_program_has_never_ends_falco() {
    let (host, state) = ready();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let process = host.machine.main_pid(UNIT);
    let state = on(state.secret(secret(&pair())), &address.to_string());
    let state = run(&host, &Event::config_changed(), &state);
    blocked(&state, &format!("k8s-audit-address: {address} is taken"), "Falco goes on without Kubernetes audit events");
    assert_eq!(host.machine.main_pid(UNIT), process);
    watches(&host);
    drop(taken);
    let state = run(&host, &Event::update_status(), &state);
    assert_eq!(state.unit_status.name, "active", "{}", state.unit_status);
    assert!(TcpStream::connect(address).is_ok());

    let state = run(&host, &Event::config_changed(), &state.config("k8s-audit-address", "192.0.2.1:9765"));
    blocked(&state, "k8s-audit-address: 192.0.2.1 is no address of this machine", "the address before stays in use");
    assert!(TcpStream::connect(address).is_ok());
    assert_eq!(host.machine.main_pid(UNIT), process);
}

#[test]
fn a_falco_that_ended_on_a_busy_port_watches_again_after_the_next_hook() {
    let (host, state) = ready();
    let address = format!("127.0.0.1:{}", free_port());
    let state = run(&host, &Event::config_changed(), &on(state.secret(secret(&pair())), &address));
    host.machine.kill(UNIT, Signal::SIGKILL);
    let taken = TcpListener::bind(&address).unwrap();
    let state = run_once(&host, &Event::update_status(), &state).state;
    blocked(&state, &format!("k8s-audit-address: {address} is taken"), "goes on without");
    watches(&host);
    drop(taken);
}

#[test]
fn the_port_is_opened_for_others_moved_and_closed_and_asked_for_once() {
    let (host, state) = ready();
    let (one, other) = (free_port(), free_port());
    let state = run(&host, &Event::config_changed(), &on(state.secret(secret(&pair())), &format!("0.0.0.0:{one}")));
    assert_eq!(state.port_list(), [format!("{one}/tcp")]);
    let steady = run_once(&host, &Event::update_status(), &state);
    let asks = |name: &str| steady.call_lines().iter().filter(|line| line.starts_with(name)).count();
    assert_eq!((asks("open-port"), asks("opened-ports")), (0, 0), "{}", steady.report());
    let state = run(&host, &Event::config_changed(), &state.config("k8s-audit-address", format!("0.0.0.0:{other}")));
    assert_eq!(state.port_list(), [format!("{other}/tcp")]);
    let state = run(&host, &Event::config_changed(), &state.config("k8s-audit", false));
    assert!(state.port_list().is_empty());
    host.run(&Event::remove(), &state);
    assert!(!host.machine.path("/var/lib/juju-falco").exists());
}

#[test]
fn with_everything_related_a_hook_with_nothing_to_do_stays_within_its_commands() {
    let sink = Sink::start();
    let (host, state) = ready();
    let falcosidekick = sidekick().remote_app("url", format!("\"{}\"", sink.url()));
    let agent = Relation::new(9, "cos-agent", "grafana-agent").remote_unit(0);
    let state = state.relation(falcosidekick).relation(agent);
    let state = on(state.secret(secret(&pair())), &format!("0.0.0.0:{}", free_port()));
    let state = run_once(&host, &Event::config_changed(), &state).state;
    let state = run_once(&host, &Event::update_status(), &state).state;
    let steady = run_once(&host, &Event::update_status(), &state);
    assert!(steady.hook_commands() <= 8 + 1, "one more for the secret:\n{}", steady.report());
}

#[test]
fn a_killed_hook_that_turns_it_on_is_made_good_with_its_port() {
    let (port, listened, pair, folder) = (free_port(), free_port(), pair(), tempfile::tempdir().unwrap());
    // One for all: where it came from is a part of the end.
    let options = Options { plugins: vec!["json", "k8saudit"], ..Options::default() };
    let tarball = tarball(folder.path(), &options);
    let points = interrupt_everywhere(&Event::config_changed(), || {
        let mut host = FalcoHost::new();
        host.port = port;
        let fresh = host.fresh().resource("falco", &tarball);
        let state = host.run(&Event::install(), &fresh).state;
        (host, on(state.secret(secret(&pair)), &format!("0.0.0.0:{listened}")))
    });
    assert!(points >= 12, "only {points} points were tried");
}

#[test]
fn the_key_is_in_no_text_that_anybody_else_can_read() {
    let (host, state) = ready();
    let pair = pair();
    let state = on(state.secret(secret(&pair)), &format!("127.0.0.1:{}", free_port()));
    let outcome = run_once(&host, &Event::config_changed(), &state);
    let body = pair.1.lines().nth(1).expect("a line of the key").to_owned();
    assert!(!outcome.report().contains(&body));
    for action in ["show-config", "support-bundle"] {
        let outcome = host.run(&Event::action(action), &outcome.state);
        assert!(!outcome.report().contains(&body), "{action}");
    }
    let mut tar = std::process::Command::new("tar");
    let unpacked = tar.arg("-xzOf").arg(host.machine.path("/var/lib/juju-falco/support.tar.gz")).output().unwrap();
    assert!(unpacked.status.success() && !String::from_utf8_lossy(&unpacked.stdout).contains(&body));
}
