//! Units of one application: they restart one after another, and whoever does not come back is followed by nobody.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use charm_tests::authority::{Authority, Days, publish, requests};
use charm_tests::crash::interrupt_here_and_there;
use charm_tests::juju::state::Bag;
use charm_tests::juju::{Event, Relation, State, Status};
use charm_tests::loki::LokiReceiver;
use charm_tests::ports::free_port;
use serde_json::json;

use crate::world::{CONTAINER, World, falco_relation, loki_relation};

const PEERS: u32 = 1;
const CERTIFICATES: u32 = 3;
const PROGRAM: &str = "/app/falcosidekick";

/// An application of a few units, and what the controller knows of each. The first one leads.
struct App {
    units: Vec<(World, State)>,
    /// How many were restarted by hooks that ran at the same time, at most.
    most_restarts: usize,
}

fn name(unit: usize) -> String {
    format!("sidekick/{unit}")
}

fn peers(unit: usize, of: usize) -> Relation {
    let others = (0..of).filter(|other| *other != unit);
    others.fold(Relation::peer(PEERS, "restart-turns", "sidekick"), |relation, other| {
        relation.remote_unit(u32::try_from(other).unwrap())
    })
}

fn look_at_peers() -> Event {
    Event::relation_changed_by_app(PEERS)
}

impl App {
    /// Units that have done their work. `more` relates each of them to somebody else.
    fn new(units: usize, more: impl Fn(State) -> State) -> Self {
        let unit = |number: usize| {
            let world = World::new().numbered(u32::try_from(number).unwrap());
            let state = world.related().leader(number == 0).config("metrics-port", world.metrics_port);
            let state = more(state.relation(peers(number, units)));
            let state = world.run(&Event::pebble_ready(CONTAINER), &state).state;
            (world, state)
        };
        Self { units: (0..units).map(unit).collect(), most_restarts: 0 }
    }

    /// Something happens to every unit.
    fn change(&mut self, change: impl Fn(usize, &mut State)) {
        self.units.iter_mut().enumerate().for_each(|(number, (_, state))| change(number, state));
    }

    /// A hook of these units, all at the same time, as each machine has its own. Which units have something to hear
    /// afterwards.
    fn hooks(&mut self, event: &Event, of: &[usize]) -> Vec<usize> {
        let (said, before) = (self.said(), self.processes());
        let units = self.units.iter_mut().enumerate().filter(|(number, _)| of.contains(number));
        thread::scope(|scope| {
            for (_, (world, state)) in units {
                scope.spawn(|| *state = world.run_once(event, state).state);
            }
        });
        self.tell_each_other();
        let restarted = before.iter().zip(self.processes()).filter(|(before, after)| **before != *after);
        self.most_restarts = self.most_restarts.max(restarted.count());
        let now = self.said();
        let hears = |unit: &usize| {
            let mut others = said.iter().zip(&now).enumerate().filter(|(other, _)| other != unit);
            others.any(|(_, (before, after))| before != after)
        };
        (0..self.units.len()).filter(hears).collect()
    }

    /// What each unit has said to the others, and the leader of the application.
    fn said(&self) -> Vec<(Bag, Bag)> {
        let bags = |relation: &Relation| (relation.local_unit_data.clone(), relation.local_app_data.clone());
        let said = self.units.iter().map(|(_, state)| bags(state.relation_by_id(PEERS)));
        said.enumerate().map(|(number, (unit, app))| (unit, if number == 0 { app } else { Bag::new() })).collect()
    }

    /// What Juju does between hooks.
    fn tell_each_other(&mut self) {
        let said = self.said();
        for (number, (_, state)) in self.units.iter_mut().enumerate() {
            let relation = state.relation_by_id_mut(PEERS);
            relation.local_app_data.clone_from(&said[0].1);
            relation.remote_app_data.clone_from(&said[0].1);
            let others = said.iter().enumerate().filter(|(other, _)| *other != number);
            relation.remote_units = others.map(|(other, (unit, _))| (name(other), unit.clone())).collect();
        }
    }

    /// The hooks of this event, and those that follow from what units say to each other.
    fn settle(&mut self, event: &Event) {
        let all: Vec<usize> = (0..self.units.len()).collect();
        let mut hear = self.hooks(event, &all);
        for _ in 0..20 {
            if hear.is_empty() {
                return;
            }
            hear = self.hooks(&look_at_peers(), &hear);
        }
        panic!("units still had something to say to each other: {:?}", self.said());
    }

    /// The process of each unit, or of one that does not run none.
    fn processes(&self) -> Vec<Option<u32>> {
        self.units.iter().map(|(world, _)| world.pebble.service_processes().first().copied()).collect()
    }

    fn statuses(&self) -> Vec<Status> {
        self.units.iter().map(|(_, state)| state.unit_status.clone()).collect()
    }

    #[track_caller]
    fn assert_at_rest(&self) {
        assert!(self.statuses().iter().all(|status| *status == Status::active("")), "{:?}", self.statuses());
        let own = |bag: &Bag| bag.keys().all(|key| key.ends_with("-address") || key == "egress-subnets");
        assert!(self.said().iter().all(|(unit, app)| own(unit) && app.is_empty()), "{:?}", self.said());
    }

    /// How many units took no connections at a time, at the worst moment while something is done.
    fn most_down_during(&mut self, act: impl FnOnce(&mut Self)) -> usize {
        let ports: Vec<u16> = self.units.iter().map(|(world, _)| world.port).collect();
        let ends = AtomicBool::new(false);
        thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut most = 0;
                while !ends.load(Ordering::SeqCst) {
                    let is_down = |port: &&u16| TcpStream::connect(("127.0.0.1", **port)).is_err();
                    most = most.max(ports.iter().filter(is_down).count());
                    thread::sleep(Duration::from_millis(2));
                }
                most
            });
            act(self);
            ends.store(true, Ordering::SeqCst);
            watcher.join().unwrap()
        })
    }

    /// Puts a program in the place of Falcosidekick that ends at once.
    fn break_program(&self, unit: usize) {
        let path = self.units[unit].0.path(PROGRAM);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "#!/bin/sh\necho 'this is no day for alerts' >&2\nexit 1\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

fn louder(_: usize, state: &mut State) {
    *state = state.clone().config("minimum-priority", "error");
}

#[test]
fn another_configuration_reaches_all_units_one_at_a_time_with_one_restart_each() {
    let mut app = App::new(3, |state| state);
    app.assert_at_rest();
    let before = app.processes();
    app.change(louder);
    let most_down = app.most_down_during(|app| app.settle(&Event::config_changed()));
    assert_eq!((app.most_restarts, most_down), (1, 1), "of three units");
    app.assert_at_rest();
    let after = app.processes();
    assert!(before.iter().zip(&after).all(|(before, after)| before != after), "{before:?} {after:?}");
    for (world, _) in &app.units {
        assert_eq!(world.starts(), 2, "{}", world.pebble.log());
        let file = fs::read_to_string(world.path("/etc/falcosidekick/falcosidekick.yaml")).unwrap();
        assert!(file.contains("\"minimumpriority\": \"error\""), "{file}");
    }
    for unit in 0..3 {
        let (world, state) = &app.units[unit];
        world.run(&Event::update_status(), state);
    }
    assert_eq!(app.processes(), after);
}

#[test]
fn renewed_certificates_reach_all_units_one_at_a_time() {
    let authority = Authority::new("test");
    let mut app = App::new(2, |state| state.relation(Relation::new(CERTIFICATES, "certificates", "ca").remote_unit(0)));
    let sign = |state: &mut State, days: Days| {
        let relation = state.relation_by_id_mut(CERTIFICATES);
        let answers: Vec<_> =
            requests(&relation.local_unit_data).iter().map(|request| authority.answer(request, days)).collect();
        publish(relation, &answers);
    };
    app.change(|_, state| sign(state, Days(1, 90)));
    app.settle(&Event::relation_changed_by_app(CERTIFICATES));
    app.assert_at_rest();
    let before = app.processes();
    app.change(|_, state| sign(state, Days(0, 95)));
    app.most_restarts = 0;
    app.settle(&Event::relation_changed_by_app(CERTIFICATES));
    assert_eq!(app.most_restarts, 1, "of two units");
    app.assert_at_rest();
    assert!(before.iter().zip(app.processes()).all(|(before, after)| *before != after));
}

#[test]
fn whoever_does_not_come_back_is_followed_by_nobody_until_it_does() {
    let mut app = App::new(3, |state| state);
    let before = app.processes();
    app.break_program(0);
    app.change(louder);
    app.settle(&Event::config_changed());
    let statuses = app.statuses();
    assert!(statuses[0].message.starts_with("falcosidekick does not stay up: "), "{statuses:?}");
    let others = Status::waiting(
        "restart-turns: sidekick/0 does not serve after its restart, so this unit goes on with the configuration it had \
         until that one does",
    );
    assert_eq!(statuses[1..], [others.clone(), others]);
    for unit in [1, 2] {
        let (world, state) = &app.units[unit];
        assert_eq!(Some(world.process()), before[unit]);
        world.run(&Event::update_status(), state);
        world.deliver(world.port);
    }

    fs::remove_file(app.units[0].0.path(PROGRAM)).unwrap();
    app.units[0].0.install_program(PROGRAM);
    app.settle(&Event::update_status());
    app.assert_at_rest();
    assert!(app.processes()[1..].iter().zip(&before[1..]).all(|(after, before)| after != before));
}

#[test]
fn another_port_waits_for_nobody() {
    let mut app = App::new(2, |state| state);
    let ports = [free_port(), free_port()];
    app.change(|unit, state| *state = state.clone().config("port", ports[unit]));
    let hear = app.hooks(&Event::config_changed(), &[0, 1]);
    assert_eq!(hear, [0; 0]);
    for (port, (world, _)) in ports.into_iter().zip(&app.units) {
        world.deliver(port);
    }
}

#[test]
fn a_unit_that_waits_tells_a_new_falco_where_to_send_alerts() {
    let mut app = App::new(2, |state| state);
    // The turn is that of the other unit, so that this one waits, which leads.
    app.change(|unit, state| {
        if unit == 1 {
            louder(unit, state);
        }
    });
    app.hooks(&Event::config_changed(), &[1]);
    app.hooks(&look_at_peers(), &[0]);
    app.change(|unit, state| {
        if unit == 0 {
            louder(unit, state);
        }
    });
    app.hooks(&Event::config_changed(), &[0]);
    let (world, state) = &app.units[0];
    assert_eq!(state.unit_status.name, "waiting", "{}", state.unit_status);
    let late = Relation::new(99, "http-endpoint", "late").remote_unit(0);
    let state = world.run(&Event::relation_created(99), &state.clone().relation(late)).state;
    assert!(state.relation_by_id(99).local_app_data.contains_key("url"));
}

#[test]
fn a_unit_that_is_alone_asks_nobody() {
    let mut app = App::new(1, |state| state);
    let before = app.processes();
    app.change(louder);
    assert_eq!(app.hooks(&Event::config_changed(), &[0]), [0; 0]);
    app.assert_at_rest();
    assert_ne!(app.processes(), before);
}

#[test]
fn a_dry_run_tells_of_the_turn_and_asks_for_none() {
    let mut app = App::new(2, |state| state);
    app.change(louder);
    let (world, state) = &app.units[0];
    let state = state.clone().leader(false);
    let planned = world.plan(&Event::config_changed(), &state);
    assert!(planned.stdout.contains("restart-turns: waiting"), "{}", planned.stdout);
    assert_eq!(planned.state, state);
}

/// A unit that needs a restart and leads, or has a turn.
fn with_a_turn(leads: bool, ports: [u16; 2], loki: &LokiReceiver) -> (World, State) {
    let mut world = World::new();
    [world.port, world.metrics_port] = ports;
    let state = world.bare().relation(loki_relation(&loki.url())).relation(falco_relation());
    let state = state.relation(peers(0, 2)).leader(leads);
    let mut state = world.run_once(&Event::pebble_ready(CONTAINER), &state).state;
    louder(0, &mut state);
    if !leads {
        state = world.run_once(&Event::config_changed(), &state).state;
        let relation = state.relation_by_id_mut(PEERS);
        let asked: i64 = relation.local_unit_data["restart-asked"].parse().unwrap();
        let turn = json!({ "unit": name(0), "asked": asked, "given": asked }).to_string();
        relation.local_app_data.insert("turn".into(), turn);
    }
    (world, state)
}

#[test]
fn a_killed_restart_of_the_leader_among_others_is_made_good() {
    let (ports, loki) = ([free_port(), free_port()], LokiReceiver::start());
    let points = interrupt_here_and_there(&Event::config_changed(), || with_a_turn(true, ports, &loki));
    assert!(points >= 20, "only {points} points were found");
}

#[test]
fn a_killed_restart_with_a_turn_is_made_good() {
    let (ports, loki) = ([free_port(), free_port()], LokiReceiver::start());
    let points = interrupt_here_and_there(&look_at_peers(), || with_a_turn(false, ports, &loki));
    assert!(points >= 20, "only {points} points were found");
}
