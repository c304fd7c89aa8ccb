//! A hook that is killed at any point is made good by the next one.

use charm_tests::authority::{Authority, Days};
use charm_tests::crash::interrupt_everywhere;
use charm_tests::falco_distribution::{Options, real_tarball, tarball};
use charm_tests::falco_host::{FalcoHost, HTTP_ENDPOINT, sidekick};
use charm_tests::juju::{Event, State};
use charm_tests::ports::free_port;
use charm_tests::sink::Sink;

use crate::tls::{RECEIVE_CA_CERT, brings};

/// A host on which the charm was installed, always with the same port, so that ends can be compared.
fn installed(port: u16) -> (FalcoHost, State) {
    let (host, fresh) = fresh(port);
    let state = host.run(&Event::install(), &fresh).state;
    assert_eq!(state.unit_status.name, "active", "{}", state.unit_status);
    (host, state)
}

fn fresh(port: u16) -> (FalcoHost, State) {
    let mut host = FalcoHost::new();
    host.port = port;
    let state = host.fresh();
    (host, state)
}

#[test]
fn a_killed_install_is_made_good() {
    let port = free_port();
    let points = interrupt_everywhere(&Event::install(), || fresh(port));
    assert!(points >= 15, "only {points} points were tried");
}

#[test]
fn a_killed_config_changed_is_made_good() {
    let port = free_port();
    let points = interrupt_everywhere(&Event::config_changed(), || {
        let (host, state) = installed(port);
        (host, state.config("priority", "error"))
    });
    assert!(points >= 10, "only {points} points were tried");
}

#[test]
fn a_killed_relation_changed_is_made_good() {
    let (port, sink) = (free_port(), Sink::start());
    let points = interrupt_everywhere(&Event::relation_changed_by_app(HTTP_ENDPOINT), || {
        let (host, state) = installed(port);
        (host, state.relation(sidekick().remote_app("url", format!("\"{}\"", sink.url()))))
    });
    assert!(points >= 10, "only {points} points were tried");
}

#[test]
fn a_killed_change_of_authorities_is_made_good() {
    let (port, authority) = (free_port(), Authority::new("site"));
    let sink = Sink::start_tls(authority.identity(&["127.0.0.1"], Days(1, 1)));
    let points = interrupt_everywhere(&Event::relation_changed_by_app(RECEIVE_CA_CERT), || {
        let (host, state) = installed(port);
        let state = state.relation(sidekick().remote_app("url", format!("\"{}\"", sink.url())));
        (host, state.relation(brings(RECEIVE_CA_CERT, "site", &[&authority.root()])))
    });
    assert!(points >= 10, "only {points} points were tried");
}

#[test]
fn a_killed_upgrade_to_another_falco_is_made_good() {
    if real_tarball().is_some() {
        return; // There is one official tarball at hand, and it would be the one before and after.
    }
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let newer = tarball(folder.path(), &Options { version: "0.45.0".into(), ..Options::default() });
    let points = interrupt_everywhere(&Event::upgrade_charm(), || {
        let (host, state) = installed(port);
        (host, state.resource("falco", &newer))
    });
    assert!(points >= 15, "only {points} points were tried");
}

#[test]
fn a_killed_remove_is_made_good() {
    let port = free_port();
    let points = interrupt_everywhere(&Event::remove(), || installed(port));
    assert!(points >= 6, "only {points} points were tried");
}
