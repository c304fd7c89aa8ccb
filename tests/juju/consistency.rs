//! States and events that Juju cannot produce are refused, with what to change.

use charm_tests::juju::state::{Life, Storage};
use charm_tests::juju::unit::Unit;
use charm_tests::juju::{
    Event, JujuVersion, Metadata, Network, OpenedPort, Owner, Relation, Secret, State, consistency,
};

const SECRET: &str = "9m4e2mr0ui3e8a215n4g";

fn machine() -> Unit {
    let metadata = "
name: small
subordinate: true
assumes: [juju >= 3.6, juju < 5]
provides: {web: {interface: http, limit: 1}}
requires: {host: {interface: juju-info, scope: container}}
peers: {replicas: {interface: small_peers}}
resources: {rules: {type: file, filename: rules.yaml}, image: {type: oci-image}}
storage: {data: {type: filesystem}}
config: {options: {port: {type: int}, key: {type: secret}}}
actions: {show: {params: {count: {type: integer}}, required: [count], additionalProperties: false}}
";
    Unit::of(Metadata::parse(metadata).unwrap())
}

fn pod() -> Unit {
    pod_assuming("k8s-api")
}

fn pod_assuming(feature: &str) -> Unit {
    Unit::of(Metadata::parse(&format!("name: pod\ncontainers: {{main: {{}}}}\nassumes: [{feature}]\n")).unwrap())
}

/// A state that Juju can produce around `machine()`.
fn state() -> State {
    State::machine().leader(true).relation(Relation::new(1, "host", "ubuntu").remote_unit(0))
}

fn web() -> Relation {
    Relation::new(2, "web", "proxy").remote_unit(0)
}

fn own_secret() -> Secret {
    Secret::owned(SECRET, Owner::Application("small".into())).revision([("key", "v")])
}

#[track_caller]
fn accepts(unit: &Unit, event: &Event, state: &State) {
    assert_eq!(consistency::check(unit, event, state), Ok(()));
}

/// Exactly one problem, which has these words.
#[track_caller]
fn refuses(words: &str, unit: &Unit, event: &Event, state: &State) {
    let problems = consistency::check(unit, event, state).expect_err(words);
    assert!(problems.contains(words) && problems.lines().count() == 1, "expected {words:?} alone, got:\n{problems}");
}

#[track_caller]
fn refuses_state(words: &str, state: &State) {
    refuses(words, &machine(), &Event::config_changed(), state);
}

#[track_caller]
fn refuses_event(words: &str, event: &Event, state: &State) {
    refuses(words, &machine(), event, state);
}

#[test]
fn usual_states_are_accepted() {
    accepts(&machine(), &Event::install(), &state());
    accepts(&machine(), &Event::remove(), &State::machine());
    accepts(&machine(), &Event::relation_changed(2, "proxy/0"), &state().relation(web()));
    accepts(&machine(), &Event::relation_changed_by_app(2), &state().relation(web()));
    accepts(&machine(), &Event::relation_departed(2, "proxy/1"), &state().relation(web()));
    accepts(&machine(), &Event::relation_broken(2), &state().relation(web().broken()));
    accepts(&machine(), &Event::action("show").param("count", 1), &state());
    accepts(&machine(), &Event::secret_rotate(SECRET), &state().secret(own_secret()));
    accepts(&pod(), &Event::pebble_ready("main"), &State::kubernetes());
}

#[test]
fn the_model_has_to_fit_the_charm() {
    refuses("State::kubernetes()", &pod_assuming("juju >= 3.1"), &Event::install(), &State::machine());
    refuses("State::machine()", &machine(), &Event::stop(), &State::kubernetes());
    refuses("Context::principal", &Unit { principal: None, ..machine() }, &Event::install(), &state());
    let picky = pod_assuming("juju >= 4.0");
    refuses("assumes juju >= 4.0", &picky, &Event::install(), &State::kubernetes());
    accepts(&Unit { juju: JujuVersion::V4_0, ..picky }, &Event::install(), &State::kubernetes());
    let mut other = state();
    other.model.uuid = "1".into();
    refuses_state("version 4 UUID", &other);
}

#[test]
fn only_what_is_declared_can_be_there() {
    refuses_state("no option nope", &state().config("nope", 1));
    refuses_state("option port cannot be", &state().config("port", "80"));
    refuses_state("option key cannot be", &state().config("key", "no secret"));
    refuses_state("image is not declared", &state().resource("image", "/x"));
    refuses_state("called nope", &state().network("nope", Network::usual_machine()));
    let storage = |id: &str| Storage { id: id.into(), kind: "filesystem".into(), location: "/srv".into() };
    refuses_state("does not fit its declaration", &state().storage(storage("nope/0")));
    refuses_state("is there twice", &state().storage(storage("data/0")).storage(storage("data/0")));
    refuses_state("no endpoint of that name", &state().relation(Relation::new(2, "nope", "x")));
    let mut other = state();
    other.other_units.insert("else/1".into(), charm_tests::juju::Status::active(""));
    refuses_state("no other unit of small", &other);
}

#[test]
fn ports_are_such_as_the_model_takes() {
    let mut state = State::kubernetes();
    state.opened_ports.insert(OpenedPort { to: 90, ..OpenedPort::tcp(80) });
    refuses("single TCP and UDP ports", &pod(), &Event::start(), &state);
}

#[test]
fn relations_fit_their_endpoints() {
    refuses_state("the same id", &state().relation(Relation { id: 1, ..web() }));
    refuses_state("more than its limit", &state().relation(web()).relation(Relation { id: 3, ..web() }));
    accepts(&machine(), &Event::start(), &state().relation(web()).relation(Relation { id: 3, ..web().dying() }));
    refuses_state("the interface is http", &state().relation(Relation { interface: "mysql".into(), ..web() }));
    refuses_state("the own one, small", &state().relation(Relation::peer(3, "replicas", "proxy")));
    refuses_state(
        "ends only with",
        &state().relation(Relation { life: Life::Dying, ..Relation::peer(3, "replicas", "small") }),
    );
    refuses_state("the unit under test", &state().relation(Relation::peer(3, "replicas", "small").remote_unit(0)));
    let mut stranger = web();
    stranger.remote_units.insert("else/0".into(), web().local_unit_data);
    refuses_state("no unit of proxy", &state().relation(stranger));
    refuses_state(
        "only the principal is seen",
        &State::machine().relation(Relation::new(1, "host", "ubuntu").remote_unit(1)),
    );
    refuses_state("set to nothing", &state().relation(web().remote_app("url", "")));
}

#[test]
fn secrets_are_such_as_the_controller_keeps() {
    refuses_state("no id of a secret", &state().secret(Secret { id: "secret:x".into(), ..own_secret() }));
    refuses_state("has no revision", &state().secret(Secret { revisions: [].into(), ..own_secret() }));
    refuses_state("is no key", &state().secret(own_secret().revision([("Key", "v")])));
    refuses_state("larger than", &state().secret(own_secret().revision([("key", vec![b'x'; 800_000])])));
    refuses_state("which never was", &state().secret(own_secret().tracked("small/0", 9, "")));
    let other = Secret { id: "9m4e2mr0ui3e8a215n5g".into(), ..own_secret().label("a") };
    refuses_state("has the label a", &state().secret(own_secret().label("a")).secret(other));
    refuses_state("is there twice", &state().secret(own_secret()).secret(own_secret()));
}

#[test]
fn events_fit_the_state() {
    refuses_event("State::leader(true)", &Event::leader_elected(), &state().leader(false));
    refuses(
        "from Juju 4 on",
        &Unit { juju: JujuVersion::V4_0, ..machine() },
        &Event::leader_settings_changed(),
        &state(),
    );
    refuses_event("to its principal", &Event::install(), &State::machine());
    refuses_event("no relation 7", &Event::relation_created(7), &state());
    refuses_event("Relation::remote_unit", &Event::relation_changed(2, "proxy/5"), &state().relation(web()));
    refuses_event("no remote unit of proxy", &Event::relation_departed(2, "else/0"), &state().relation(web()));
    refuses_event("Relation::broken", &Event::relation_broken(2), &state().relation(web()));
    let peers = state().relation(Relation::peer(3, "replicas", "small"));
    refuses_event("no such hook", &Event::relation_broken(3), &peers);
    refuses("no container other", &pod(), &Event::pebble_ready("other"), &State::kubernetes());
    refuses_event("no storage data/0", &Event::storage_attached("data/0"), &state());
}

#[test]
fn secret_events_go_to_those_they_concern() {
    refuses_event("no secret", &Event::secret_changed(SECRET), &state());
    refuses_event("Secret::tracked", &Event::secret_changed(SECRET), &state().secret(own_secret()));
    refuses_event("this unit is not that", &Event::secret_rotate(SECRET), &state().leader(false).secret(own_secret()));
    refuses_event("no revision 4", &Event::secret_remove(SECRET, 4), &state().secret(own_secret()));
}

#[test]
fn actions_get_the_parameters_they_declare() {
    refuses_event("no action nope", &Event::action("nope"), &state());
    refuses_event("count is required", &Event::action("show"), &state());
    refuses_event("count cannot be", &Event::action("show").param("count", "x"), &state());
    refuses_event("no parameter other", &Event::action("show").param("count", 1).param("other", 2), &state());
}
