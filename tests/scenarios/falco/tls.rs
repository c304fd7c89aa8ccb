//! Alerts over verified TLS: whom Falco trusts, and what the status says before an alert is lost.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener};

use charm_tests::authority::{Authority, Days};
use charm_tests::falco_host::{FalcoHost, HTTP_ENDPOINT, eventually, sidekick};
use charm_tests::juju::{Event, Relation, State, Status};
use charm_tests::machine::Action;
use charm_tests::sink::Sink;
use serde_json::json;

use crate::world::{run, run_once, settled_from};

/// The id of the relation that brings authorities.
pub const RECEIVE_CA_CERT: u32 = 5;

/// The days of a certificate that is good.
const GOOD: Days = Days(1, 30);

const HOST_STORE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A relation over which an application brings authorities.
pub fn brings(id: u32, app: &str, authorities: &[&str]) -> Relation {
    let relation = Relation::new(id, "receive-ca-cert", app).remote_unit(0);
    relation.remote_app("certificates", json!(authorities).to_string()).remote_app("version", "1")
}

/// An authority, and a server of it on loopback.
fn served(names: &[&str], days: Days) -> (Authority, Sink) {
    let authority = Authority::new("site");
    let sink = Sink::start_tls(authority.identity(names, days));
    (authority, sink)
}

/// The port of a server that answers whatever it gets in plain HTTP. Its thread ends with the program.
fn plain_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // The client may hang up at any time.
            let _ = stream.read(&mut [0; 16]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
            // What is left unread would reset the connection, and take the answer along.
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    port
}

/// A host on which Falco runs before anybody is related, since a hook that looks for a resource needs a command more.
fn related(state: impl FnOnce(&FalcoHost, State) -> State) -> (FalcoHost, State) {
    let host = FalcoHost::new();
    let fresh = run(&host, &Event::install(), &host.fresh());
    let state = state(&host, fresh);
    let state = run(&host, &Event::config_changed(), &state);
    (host, state)
}

/// A Falcosidekick with this URL.
fn at(url: &str) -> Relation {
    sidekick().remote_app("url", json!(url).to_string())
}

fn with_ca(state: State, pem: &str) -> State {
    let mut state = state;
    let data = &mut state.relation_by_id_mut(HTTP_ENDPOINT).remote_app_data;
    data.insert("ca".into(), json!(pem).to_string());
    state
}

fn without_ca(mut state: State) -> State {
    state.relation_by_id_mut(HTTP_ENDPOINT).remote_app_data.remove("ca");
    state
}

fn ca_cert(host: &FalcoHost) -> String {
    let yaml: serde_yaml::Value = serde_yaml::from_str(&host.text("/etc/juju-falco/falco.yaml")).unwrap();
    yaml["http_output"]["ca_cert"].as_str().unwrap().to_owned()
}

/// Files of authorities on the machine.
fn files(host: &FalcoHost) -> usize {
    std::fs::read_dir(host.machine.path("/etc/juju-falco/authorities")).map_or(0, Iterator::count)
}

#[track_caller]
fn alerts_arrive(host: &FalcoHost, sink: &Sink) {
    let before = sink.received().len();
    host.read_sensitive_file();
    eventually("the alert", || sink.received().into_iter().nth(before));
}

#[test]
fn an_authority_beside_the_url_is_enough_and_its_file_goes_with_it() {
    let (authority, sink) = served(&["127.0.0.1"], GOOD);
    let (host, state) = settled_from(|host| with_ca(host.related(&sink.url()), &authority.root()));
    assert_eq!(state.unit_status, Status::active(""));
    alerts_arrive(&host, &sink);
    assert_eq!(files(&host), 1);
    let state = run(&host, &Event::relation_changed_by_app(HTTP_ENDPOINT), &without_ca(state));
    assert_eq!((ca_cert(&host).as_str(), files(&host)), ("", 0));
    assert_eq!(state.unit_status.name, "blocked", "{}", state.unit_status);
}

#[test]
fn another_authority_is_taken_in_by_one_reload() {
    let (first, _) = served(&["127.0.0.1"], GOOD);
    let (second, sink) = served(&["127.0.0.1"], GOOD);
    let (host, state) =
        settled_from(|host| host.related(&sink.url()).relation(brings(RECEIVE_CA_CERT, "site", &[&first.root()])));
    assert_eq!(state.unit_status.name, "blocked", "{}", state.unit_status);
    assert!(state.unit_status.message.contains("authority that is not trusted here"), "{}", state.unit_status);
    let before = host.actions().len();
    let mut state = state;
    state
        .relation_by_id_mut(RECEIVE_CA_CERT)
        .remote_app_data
        .insert("certificates".into(), json!([second.root()]).to_string());
    let state = run(&host, &Event::relation_changed_by_app(RECEIVE_CA_CERT), &state);
    assert_eq!(host.actions()[before..], [Action::Reload]);
    assert_eq!(state.unit_status, Status::active(""));
    assert_eq!(files(&host), 1, "the file before is gone");
    alerts_arrive(&host, &sink);
}

#[test]
fn the_authorities_of_all_relations_and_of_the_host_count_and_the_host_keeps_its_own() {
    let (first, sink) = served(&["127.0.0.1"], GOOD);
    let (second, of_host) = (Authority::new("second"), Authority::new("host"));
    let (host, _) = related(|host, state| {
        host.machine.write(HOST_STORE, of_host.root(), 0o644).unwrap();
        let state = with_ca(state.relation(at(&sink.url())), &second.root());
        state.relation(brings(5, "one", &[&first.root()])).relation(brings(6, "two", &[&second.root(), &first.root()]))
    });
    let file = std::fs::read_to_string(ca_cert(&host)).unwrap();
    assert_eq!(file.matches("BEGIN CERTIFICATE").count(), 3, "each once");
    assert_eq!(host.text(HOST_STORE), of_host.root());
    alerts_arrive(&host, &sink);
}

#[test]
fn without_an_authority_from_a_relation_that_of_the_host_is_asked() {
    let (of_host, sink) = served(&["127.0.0.1"], GOOD);
    let (host, state) = settled_from(|host| {
        host.machine.write(HOST_STORE, of_host.root(), 0o644).unwrap();
        host.related(&sink.url())
    });
    assert_eq!((state.unit_status, ca_cert(&host).as_str()), (Status::active(""), ""));
}

#[test]
fn each_way_in_which_alerts_would_be_lost_has_its_own_text() {
    let refused = || "https://127.0.0.1:1/".to_owned();
    let (authority, wrong_name) = served(&["falcosidekick.example"], GOOD);
    let with = |days| Sink::start_tls(authority.identity(&["127.0.0.1"], days));
    let plain = plain_server();
    let (_, foreign) = served(&["127.0.0.1"], GOOD);
    let cases = [
        (wrong_name.url(), "blocked", "has a certificate for"),
        (with(Days(9, -1)).url(), "blocked", "has expired"),
        (with(Days(-1, 9)).url(), "blocked", "not valid yet"),
        (foreign.url(), "blocked", "an authority that is not trusted here"),
        (format!("https://127.0.0.1:{plain}/"), "blocked", "does not speak TLS"),
        (refused(), "active", "refuses connections"),
        ("https://falcosidekick..invalid/".to_owned(), "active", "cannot be resolved"),
    ];
    let (host, mut state) = settled_from(|host| with_ca(host.related(&refused()), &authority.root()));
    for (url, name, text) in cases {
        state.relation_by_id_mut(HTTP_ENDPOINT).remote_app_data.insert("url".into(), json!(url).to_string());
        state = run(&host, &Event::relation_changed_by_app(HTTP_ENDPOINT), &state);
        let status = &state.unit_status;
        assert_eq!(status.name, name, "{url}: {status}");
        assert!(status.message.starts_with("http-endpoint: ") && status.message.contains(text), "{url}: {status}");
        assert!(host.text("/etc/juju-falco/falco.yaml").contains(&url), "it is in use all the same");
    }
}

#[test]
fn a_server_that_says_nothing_holds_the_hook_for_seconds_only() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let (host, state) = settled_from(|host| host.related(&url));
    assert_eq!(state.unit_status.name, "active", "{}", state.unit_status);
    assert!(state.unit_status.message.contains("does not answer within 3 s"), "{}", state.unit_status);
    drop((host, silent));
}

#[test]
fn what_is_no_certificate_is_named_and_the_others_are_used() {
    let (authority, sink) = served(&["127.0.0.1"], GOOD);
    let (host, state) = related(|_, state| {
        let state = state.relation(at(&sink.url())).relation(brings(5, "one", &[&authority.root(), "garbage"]));
        state.relation(brings(6, "two", &["garbage"]))
    });
    let text = &state.unit_status.message;
    assert_eq!(state.unit_status.name, "blocked");
    assert!(text.contains("receive-ca-cert: one published certificates of which 1 cannot be read"), "{text}");
    assert!(text.contains("receive-ca-cert: two published certificates "), "{text}");
    alerts_arrive(&host, &sink);
}

#[test]
fn the_leader_asks_for_certificates_once_and_a_new_one_corrects_it() {
    let host = FalcoHost::new();
    let state = run(&host, &Event::install(), &host.fresh());
    let asked = |state: &State| {
        let mut relations = state.relations.iter().filter(|relation| relation.id == RECEIVE_CA_CERT);
        relations.next().unwrap().local_app_data.get("version").cloned()
    };
    let related = state.relation(Relation::new(RECEIVE_CA_CERT, "receive-ca-cert", "site"));
    let follower = run(&host, &Event::relation_created(RECEIVE_CA_CERT), &related.clone().leader(false));
    assert_eq!(asked(&follower), None);
    let state = run(&host, &Event::relation_created(RECEIVE_CA_CERT), &related);
    assert_eq!(asked(&state).as_deref(), Some("1"));
    let state = run(&host, &Event::leader_elected(), &follower.leader(true));
    assert_eq!(asked(&state).as_deref(), Some("1"));
}

#[test]
fn certificates_are_asked_for_also_where_falco_cannot_run() {
    let host = FalcoHost::new();
    let state = host.fresh().relation(Relation::new(RECEIVE_CA_CERT, "receive-ca-cert", "site"));
    let state = run_once(&host, &Event::relation_created(RECEIVE_CA_CERT), &state.config("engine", "no such")).state;
    assert_eq!(state.unit_status.name, "blocked");
    assert!(state.relations.iter().any(|relation| relation.local_app_data.contains_key("version")));
}

#[test]
fn with_everything_related_no_hook_that_changes_nothing_needs_more_commands_than_before() {
    let (authority, sink) = served(&["127.0.0.1"], GOOD);
    let (host, mut state) = related(|_, state| {
        let state = state.relation(at(&sink.url())).relation(brings(RECEIVE_CA_CERT, "site", &[&authority.root()]));
        state.relation(Relation::new(9, "cos-agent", "grafana-agent").remote_unit(0))
    });
    for event in [
        Event::config_changed(),
        Event::update_status(),
        Event::leader_elected(),
        Event::relation_changed_by_app(RECEIVE_CA_CERT),
        Event::relation_changed_by_app(HTTP_ENDPOINT),
    ] {
        // The budget is held by `run`.
        state = run(&host, &event, &state);
        assert_eq!(state.unit_status, Status::active(""));
    }
    assert!(state.relations.iter().any(|relation| relation.id == 9 && !relation.local_unit_data.is_empty()));
}
