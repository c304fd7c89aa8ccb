//! What becomes of the state when a hook ends: the controller's part, which the recordings of the commands do not show.

use charm_tests::juju::hook::{Finished, Hook, Reply};
use charm_tests::juju::state::Access;
use charm_tests::juju::unit::Unit;
use charm_tests::juju::{Event, Exit, Invocation, JujuVersion, Metadata, OpenedPort, Owner, Relation, Secret, State};

const OTHERS: &str = "9m4e2mr0ui3e8a215n4g";

fn unit(juju: JujuVersion) -> Unit {
    let metadata = "name: small\nrequires: {db: {interface: mysql}}\npeers: {replicas: {interface: small_peers}}\n";
    Unit { juju, ..Unit::of(Metadata::parse(metadata).unwrap()) }
}

fn state() -> State {
    State::machine().leader(true).relation(Relation::new(7, "db", "mysql").remote_unit(0))
}

/// One hook on a state, of commands that all must succeed.
struct Hooked(Hook);

impl Hooked {
    fn new(event: &Event, state: &State) -> Self {
        Self::of(JujuVersion::V3_6, event, state)
    }

    fn of(juju: JujuVersion, event: &Event, state: &State) -> Self {
        Self(Hook::new(&unit(juju), event, state, "/"))
    }

    /// Runs a command and gives what it prints, without the newline.
    #[track_caller]
    fn call(&mut self, line: &str) -> String {
        let mut words = line.split(' ');
        let invocation = Invocation::new(words.next().unwrap(), words);
        let Reply::Answer(answer) = self.0.answer(&invocation) else { panic!("{line} was not answered") };
        assert_eq!(answer.code, 0, "{line}: {}", String::from_utf8_lossy(&answer.stderr));
        String::from_utf8(answer.stdout).unwrap().trim_end().to_owned()
    }

    fn end(self) -> Finished {
        self.0.finish(Exit::Code(0))
    }

    #[track_caller]
    fn state(self) -> State {
        let finished = self.end();
        assert_eq!(finished.error, None);
        finished.state
    }
}

#[test]
fn a_secret_is_made_granted_changed_and_removed() {
    let mut hook = Hooked::new(&Event::start(), &state());
    let uri = hook.call("secret-add --label l key=one");
    hook.call(&format!("secret-grant {uri} -r 7"));
    let made = hook.state();
    let secret = made.secret_labelled("l").unwrap();
    assert_eq!((secret.uri(), secret.text("key")), (uri.clone(), Some("one".into())));
    assert_eq!(secret.owner, Owner::Application("small".into()));
    assert_eq!(secret.access, [Access { target: "mysql".into(), relation: Some(7) }].into());

    let mut hook = Hooked::new(&Event::start(), &made);
    assert_eq!(hook.call("secret-get --label l"), "key: one");
    hook.call(&format!("secret-set {uri} key=one"));
    hook.call(&format!("secret-revoke {uri} --app mysql"));
    let same = hook.state();
    assert_eq!(same.secret_labelled("l").unwrap().latest(), 1, "equal content makes no revision");
    assert!(same.secret_labelled("l").unwrap().access.is_empty());

    let mut hook = Hooked::new(&Event::start(), &same);
    hook.call(&format!("secret-set {uri} key=two"));
    let changed = hook.state();
    assert_eq!(changed.secret_labelled("l").unwrap().latest(), 2);
    let mut hook = Hooked::new(&Event::start(), &changed);
    assert_eq!(hook.call("secret-get --label l"), "key: one", "an owner tracks a revision as well");
    assert_eq!(hook.call("secret-get --label l --refresh"), "key: two");
    hook.call(&format!("secret-remove {uri} --revision 1"));
    let pruned = hook.state();
    assert!(pruned.secret_labelled("l").unwrap().revisions.keys().eq(&[2]));

    let mut hook = Hooked::new(&Event::start(), &pruned);
    hook.call(&format!("secret-remove {uri}"));
    assert!(hook.state().secrets.is_empty());
}

#[test]
fn the_same_hook_on_the_same_state_makes_the_same_ids() {
    let id = || Hooked::new(&Event::start(), &state()).call("secret-add key=one");
    assert_eq!(id(), id());
}

#[test]
fn a_refresh_and_a_new_label_survive_a_failed_hook() {
    let secret = Secret::owned(OTHERS, Owner::Application("mysql".into()))
        .revision([("key", "one")])
        .granted("small", 7)
        .tracked("small/0", 1, "")
        .revision([("key", "two")]);
    let mut hook = Hooked::new(&Event::start(), &state().secret(secret));
    assert_eq!(hook.call(&format!("secret-get {OTHERS} --label mine --refresh key")), "two");
    let after = hook.0.finish(Exit::Code(1)).state;
    assert_eq!(Hooked::new(&Event::start(), &after).call("secret-get --label mine"), "key: two");
}

#[test]
fn a_label_that_is_taken_refuses_the_commit() {
    let taken = Secret::owned(OTHERS, Owner::Application("small".into())).label("taken").revision([("key", "v")]);
    let before = state().secret(taken);
    let mut hook = Hooked::new(&Event::start(), &before);
    hook.call("secret-add --label taken key=one");
    hook.call("open-port 80");
    let finished = hook.end();
    assert_eq!(finished.error.as_deref(), Some("secret with label \"taken\" already exists"));
    assert_eq!(finished.state, before);
}

#[test]
fn secrets_of_a_commit_that_fails_later_stay_in_juju_3_6() {
    for (juju, secrets) in [(JujuVersion::V3_6, 1), (JujuVersion::V4_0, 0)] {
        let mut hook = Hooked::of(juju, &Event::start(), &State::kubernetes().leader(true));
        hook.call("secret-add key=one");
        hook.call("open-port icmp");
        let finished = hook.end();
        assert!(finished.error.is_some_and(|error| error.contains("icmp")));
        assert_eq!(finished.state.secrets.len(), secrets, "{juju}");
    }
}

#[test]
fn deleted_addresses_come_back_with_config_changed() {
    let mut hook = Hooked::new(&Event::start(), &state());
    hook.call("relation-set -r 7 ingress-address= private-address=");
    let without = hook.state();
    assert!(!without.relation_by_id(7).local_unit_data.contains_key("ingress-address"));
    let with = Hooked::new(&Event::config_changed(), &without).state();
    assert_eq!(with, state());
}

#[test]
fn a_peer_bag_of_the_application_is_seen_from_both_sides() {
    let mut hook =
        Hooked::new(&Event::start(), &state().relation(Relation::peer(8, "replicas", "small").remote_unit(1)));
    hook.call("relation-set -r 8 --app a=b");
    let after = hook.state();
    assert_eq!(after.relation_by_id(8).local_app_data, after.relation_by_id(8).remote_app_data);
}

#[test]
fn closing_a_port_for_all_endpoints_closes_it_for_each() {
    let mut hook = Hooked::new(&Event::start(), &state());
    hook.call("open-port 80 --endpoints db");
    hook.call("open-port 443");
    let opened = hook.state();
    let mut hook = Hooked::new(&Event::start(), &opened);
    hook.call("close-port 80");
    assert_eq!(hook.state().opened_ports, [OpenedPort::tcp(443)].into());
}

#[test]
fn of_two_grants_over_one_relation_only_the_last_is_kept() {
    let mut hook = Hooked::new(&Event::start(), &state());
    let uri = hook.call("secret-add --label l key=one");
    hook.call(&format!("secret-grant {uri} -r 7"));
    hook.call(&format!("secret-grant {uri} -r 7 --unit mysql/0"));
    let after = hook.state();
    assert_eq!(
        after.secret_labelled("l").unwrap().access,
        [Access { target: "mysql/0".into(), relation: Some(7) }].into()
    );
}
