//! Where alerts go beside the system log.

use charm_tests::falco_host::{FalcoHost, HTTP_ENDPOINT, UNIT, eventually, sidekick};
use charm_tests::juju::{Event, Status};
use charm_tests::machine::Action;
use charm_tests::sink::Sink;

use crate::world::{run, run_once, settled, settled_from};

#[test]
fn a_published_url_is_taken_in_by_one_reload_and_alerts_arrive() {
    let (host, state) = settled();
    let sink = Sink::start();
    let state = run(&host, &Event::relation_created(HTTP_ENDPOINT), &state.relation(sidekick()));
    assert_eq!(state.unit_status, Status::waiting("http-endpoint: waiting for falcosidekick-k8s to publish its URL"));
    let before = host.actions().len();
    let mut state = state;
    state.relation_by_id_mut(HTTP_ENDPOINT).remote_app_data.insert("url".into(), format!("\"{}\"", sink.url()));
    let state = run(&host, &Event::relation_changed_by_app(HTTP_ENDPOINT), &state);
    assert_eq!(state.unit_status, Status::active(""));
    assert_eq!(host.actions()[before..], [Action::Reload]);
    host.read_sensitive_file();
    eventually("the alert", || sink.received().into_iter().next());
}

#[test]
fn a_url_that_cannot_be_used_blocks_and_alerts_go_on_to_the_last_good_one() {
    let sink = Sink::start();
    let (host, state) = settled_from(|host| host.related(&sink.url()));
    let before = (host.files(), host.actions());
    for garbage in ["not json", "7", "\"ftp://h/\"", "\"http://\"", "\u{1}\u{2}", "\"\\u0000\""] {
        let mut state = state.clone();
        state.relation_by_id_mut(HTTP_ENDPOINT).remote_app_data.insert("url".into(), garbage.into());
        let state = run(&host, &Event::relation_changed_by_app(HTTP_ENDPOINT), &state);
        assert_eq!(state.unit_status.name, "blocked", "{garbage:?}: {}", state.unit_status);
        let text = &state.unit_status.message;
        assert!(text.starts_with("http-endpoint: falcosidekick-k8s published url "), "{text}");
        assert_eq!((host.files(), host.actions()), before, "{garbage:?}");
    }
    host.read_sensitive_file();
    eventually("the alert", || sink.received().into_iter().next());
}

#[test]
fn a_megabyte_of_url_never_fails_a_hook() {
    let (host, state) = settled();
    let state = state.relation(sidekick().remote_app("url", format!("\"https://h/{}\"", "x".repeat(1 << 20))));
    let state = run(&host, &Event::relation_changed_by_app(HTTP_ENDPOINT), &state);
    assert_eq!(state.unit_status.name, "blocked");
    assert!(state.unit_status.message.len() < 400, "{}", state.unit_status);
}

#[test]
fn a_hostile_url_reaches_neither_the_unit_file_nor_the_yaml_unescaped() {
    let (host, state) = settled();
    let unit_file = host.text("/etc/systemd/system/falco.service");
    let url = r#""https://127.0.0.1:1/a b\"c'%h%%n\nExecStartPre=/bin/sh\n$HOME ${HOME}?q=${PATH}&r=: #\n  x: {y}""#;
    let state = state.relation(sidekick().remote_app("url", url));
    let state = run(&host, &Event::relation_changed_by_app(HTTP_ENDPOINT), &state);
    assert_eq!(state.unit_status.name, "active", "{}", state.unit_status);
    assert_eq!(host.text("/etc/systemd/system/falco.service"), unit_file);
    let yaml: serde_yaml::Value = serde_yaml::from_str(&host.text("/etc/juju-falco/falco.yaml")).unwrap();
    let written = yaml["http_output"]["url"].as_str().unwrap();
    assert!(written.starts_with("https://127.0.0.1:1/a%20b%22c'%h%%nExecStartPre=/bin/sh$HOME%20"), "{written}");
    assert!(!written.contains(['\n', '"', ' ']) && !written.replace("$${", "").contains("${"), "{written}");
}

#[test]
fn a_broken_relation_turns_the_output_off_even_while_juju_still_lists_its_data() {
    let sink = Sink::start();
    let (host, mut state) = settled_from(|host| host.related(&sink.url()));
    state.relation_by_id_mut(HTTP_ENDPOINT).remote_units.clear();
    state.relation_by_id_mut(HTTP_ENDPOINT).life = charm_tests::juju::state::Life::Dying;
    let state = run(&host, &Event::relation_broken(HTTP_ENDPOINT), &state).without_relation(HTTP_ENDPOINT);
    assert!(host.text("/etc/juju-falco/falco.yaml").contains("http_output:\n  enabled: false\n"));
    let process = host.machine.main_pid(UNIT);
    run(&host, &Event::update_status(), &state);
    assert_eq!(host.machine.main_pid(UNIT), process);
    host.read_sensitive_file();
    assert!(sink.received().is_empty());
}

#[test]
fn a_url_with_a_password_stays_out_of_everything_that_others_can_read() {
    let (host, state) = settled_from(|host| host.related("https://user:hunter2@127.0.0.1:1/"));
    let outcome = run_once(&host, &Event::config_changed(), &state.config("priority", "error"));
    assert_eq!(outcome.state.unit_status.name, "active", "{}", outcome.state.unit_status);
    let said = outcome.report() + &format!("{:?}", host.machine.journal(UNIT));
    // The databag is where it came from; no command line, log or status may show it.
    assert!(!outcome.call_lines().join("\n").contains("hunter2"));
    assert!(!said.contains("hunter2"), "{said}");
    assert!(!host.text("/etc/systemd/system/falco.service").contains("hunter2"));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(host.machine.path("/etc/juju-falco/falco.yaml")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn the_relation_may_come_first() {
    let sink = Sink::start();
    let host = FalcoHost::new();
    let state = run(&host, &Event::install(), &host.related(&sink.url()));
    assert_eq!(state.unit_status, Status::active(""));
    host.read_sensitive_file();
    eventually("the alert", || sink.received().into_iter().next());
}
