//! To the real Loki, with a tenant, behind TLS and a password.

use charm_tests::certificates::Authority;
use charm_tests::falco_host::eventually;
use charm_tests::loki::Loki;

use crate::door::Door;
use crate::sidekick::{SECRET, Sidekick};

const PASSWORD: &str = "hunter2hunter2";

struct World {
    authority: Authority,
    loki: Loki,
    door: Door,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("loki-").tempdir().unwrap();
        let (authority, loki) = (Authority::create(), Loki::start_for_tenants(folder.path()).unwrap());
        let door = Door::open(authority.server(false), loki.address(), "falco", PASSWORD);
        Self { authority, loki, door, _folder: folder }
    }

    fn outputs(&self, more: &str) -> String {
        format!("loki: {{hostport: 'https://127.0.0.1:{}', user: falco, {more}}}", self.door.port())
    }

    /// How many lines with this mark a tenant has.
    fn lines(&self, tenant: &str, mark: &str) -> usize {
        let query = format!("{{juju_unit=\"falco/0\"}} |= `{mark}`");
        let streams = self.loki.query_as(tenant, &query).unwrap();
        streams.as_array().into_iter().flatten().filter_map(|stream| stream["values"].as_array()).map(Vec::len).sum()
    }
}

#[test]
#[ignore = "needs the real Loki: make test-systems"]
fn an_alert_gets_through_tls_and_basic_auth_to_its_tenant_and_to_no_other() {
    let world = World::new();
    let keys = format!("apikey: 'secret:{SECRET}/password', tenant: staff, extralabels: juju_unit");
    let sidekick = Sidekick::trusting(&world.authority, &world.outputs(&keys));
    let mark = sidekick.alert();
    sidekick.assert_counters("loki", (1, 0));
    eventually("the alert in Loki", || (world.lines("staff", &mark) == 1).then_some(()));
    assert_eq!(world.lines("guests", &mark), 0);
    assert_eq!(world.door.count(), (1, 0));
}

#[test]
#[ignore = "needs the real Loki: make test-systems"]
fn whoever_is_refused_by_loki_or_its_door_or_does_not_know_the_certificate_is_an_error_and_not_a_delivery() {
    let world = World::new();
    let right = format!("apikey: 'secret:{SECRET}/password', extralabels: juju_unit");

    let without_tenant = Sidekick::trusting(&world.authority, &world.outputs(&right));
    without_tenant.alert();
    without_tenant.assert_counters("loki", (0, 1));
    assert!(without_tenant.log().contains("no org id"), "{}", without_tenant.log());

    let wrong_password = format!("apikey: 'secret:{SECRET}/wrong', tenant: staff, extralabels: juju_unit");
    let stranger = Sidekick::trusting(&world.authority, &world.outputs(&wrong_password));
    let mark = stranger.alert();
    stranger.assert_counters("loki", (0, 1));
    assert_eq!(world.lines("staff", &mark), 0);
    assert_eq!(world.door.count().1, 1);

    let elsewhere = Sidekick::with_outputs(&world.outputs(&format!("{right}, tenant: staff")));
    let mark = elsewhere.alert();
    elsewhere.assert_counters("loki", (0, 1));
    assert!(elsewhere.log().contains("certificate signed by unknown authority"), "{}", elsewhere.log());
    assert_eq!(world.lines("staff", &mark), 0);
}

#[test]
#[ignore = "needs the real Loki: make test-systems"]
fn a_certificate_that_nobody_vouches_for_is_taken_when_it_is_not_checked() {
    let world = World::new();
    let keys = format!("apikey: 'secret:{SECRET}/password', tenant: staff, checkcert: false, extralabels: juju_unit");
    let sidekick = Sidekick::with_outputs(&world.outputs(&keys));
    let mark = sidekick.alert();
    sidekick.assert_counters("loki", (1, 0));
    eventually("the alert in Loki", || (world.lines("staff", &mark) == 1).then_some(()));
}
