//! An application whose units decide by what the others have said.

use charm_core::relation::Side;

use super::*;

/// When everything begins.
const BEGIN: i64 = 1_700_000_000;

/// Units of one application, and what they said.
struct App {
    now: i64,
    leader: usize,
    units: Vec<Unit>,
    databag: Databag,
}

#[derive(Clone)]
struct Unit {
    said: Databag,
    needs_restart: bool,
    runs: bool,
}

impl App {
    /// Units that all run. The first one leads.
    fn new(units: usize) -> Self {
        let unit = Unit { said: Databag::default(), needs_restart: false, runs: true };
        Self { now: BEGIN, leader: 0, units: vec![unit; units], databag: Databag::default() }
    }

    /// The same where all of them need a restart.
    fn with_another_configuration(units: usize) -> Self {
        let mut app = Self::new(units);
        app.units.iter_mut().for_each(|unit| unit.needs_restart = true);
        app
    }

    /// What the charm decides in a hook of this unit that has looked at everybody.
    fn decide(&self, unit: usize) -> Decision {
        decide(&self.facts(unit, true), self.units[unit].needs_restart)
    }

    fn facts(&self, unit: usize, looks: bool) -> Facts {
        let others = self.units.iter().enumerate().filter(|(other, _)| *other != unit);
        let units = others.map(|(other, Unit { said, .. })| (name(other), said.clone())).collect();
        let turns = Turns {
            relation: "1".parse().unwrap(),
            unit: name(unit),
            said: self.units[unit].said.clone(),
            peers: looks.then(|| Peers { units, app: self.databag.clone() }),
            runs: looks.then_some(self.units[unit].runs),
        };
        Facts { now: self.now, leader: unit == self.leader, turns: Some(turns), ..Facts::default() }
    }

    /// Juju takes what a hook said when it has succeeded.
    fn take(&mut self, unit: usize, all: &[Publish]) {
        for Publish { side, changes, .. } in all {
            let databag = if *side == Side::App { &mut self.databag } else { &mut self.units[unit].said };
            *databag = with(databag, changes).iter().filter(|(_, value)| !value.is_empty()).collect();
        }
    }

    /// A hook of this unit from its beginning to its end, in which a restart succeeds. Whether there was one.
    fn hook(&mut self, unit: usize) -> bool {
        let decision = self.decide(unit);
        self.end(unit, &decision, true)
    }

    /// The same, in which a restart leaves nothing that serves.
    fn failing_hook(&mut self, unit: usize) -> bool {
        let decision = self.decide(unit);
        self.end(unit, &decision, false)
    }

    fn end(&mut self, unit: usize, decision: &Decision, serves: bool) -> bool {
        let restarts = self.units[unit].needs_restart && decision.waits.is_none();
        self.take(unit, &decision.say);
        if restarts {
            self.units[unit].needs_restart = false;
            self.units[unit].runs = serves;
        }
        if self.units[unit].runs {
            self.take(unit, &decision.say_when_serving);
        }
        self.now += 1;
        restarts
    }

    fn is_quiet(&self) -> bool {
        self.databag.is_empty() && self.units.iter().all(|unit| unit.said.is_empty() && !unit.needs_restart)
    }
}

fn name(number: usize) -> UnitName {
    format!("sidekick/{number}").parse().unwrap()
}

fn waits(decision: &Decision) -> String {
    decision.waits.as_ref().expect("a unit that waits").to_string()
}

#[test]
fn one_unit_after_another_restarts_and_nothing_is_left_of_what_was_said() {
    let mut app = App::with_another_configuration(3);
    assert!(app.hook(0), "whoever gives turns and is the first to want one takes it");
    assert!(!app.hook(1) && !app.hook(2));
    assert_eq!(
        waits(&app.decide(1)),
        "waiting: restart-turns: waiting for the turn of this unit to restart with the new configuration"
    );
    assert!(!app.hook(0) && app.hook(1), "the leader gives the turn to who asked");
    assert!(!app.hook(2), "it is not its turn before the leader says so");
    assert!(!app.hook(0) && app.hook(2));
    assert!(!app.hook(0));
    assert!(app.is_quiet());
}

#[test]
fn the_leader_waits_for_a_turn_that_it_has_given() {
    let mut app = App::new(2);
    app.units[1].needs_restart = true;
    assert!(!app.hook(1) && !app.hook(0));
    app.units[0].needs_restart = true;
    assert!(!app.hook(0), "it is the turn of the other one");
    assert!(app.hook(1) && app.hook(0));
    assert!(app.is_quiet());
}

#[test]
fn no_turn_is_needed_by_an_only_unit_nor_by_one_that_does_not_run() {
    let mut app = App::with_another_configuration(1);
    assert!(app.hook(0) && app.is_quiet());
    let mut app = App::with_another_configuration(2);
    app.units[1].runs = false;
    let decision = app.decide(1);
    assert_eq!((decision.waits, decision.say), (None, vec![]));
    assert!(app.hook(1));
}

#[test]
fn the_others_are_looked_at_only_by_who_has_to_restart() {
    let app = App::with_another_configuration(2);
    let decision = decide(&app.facts(1, false), true);
    assert!(decision.look_at_peers && decision.waits.is_some() && decision.say.is_empty());
    assert_eq!(decide(&app.facts(1, false), false), Decision::default());
    assert_eq!(decide(&Facts::default(), true), Decision::default(), "an application without the relation");
}

#[test]
fn whoever_fails_is_followed_by_nobody_and_may_try_again() {
    let mut app = App::with_another_configuration(3);
    assert!(app.failing_hook(0));
    for _ in 0..3 {
        assert!(!app.hook(1) && !app.hook(2));
        assert!(waits(&app.decide(1)).contains("sidekick/0 does not serve after its restart"));
        app.now += 10 * LONGEST;
        app.end(0, &app.decide(0), false);
    }
    app.units[0].needs_restart = true;
    assert!(app.hook(0), "another configuration is tried at once by who does not serve");
    assert!(app.hook(1) || app.hook(2), "the turn went on in the hook that brought it back");
    assert!(!app.hook(0) && (app.hook(1) || app.hook(2)));
    assert!(!app.hook(0));
    assert!(app.is_quiet());
}

#[test]
fn whoever_runs_and_does_not_serve_after_its_restart_may_try_the_next_configuration() {
    let mut app = App::with_another_configuration(2);
    assert!(app.failing_hook(0) && !app.hook(1));
    app.units[0] = Unit { needs_restart: true, runs: true, ..app.units[0].clone() };
    assert!(app.hook(0));
}

#[test]
fn whoever_comes_back_by_itself_lets_the_others_follow() {
    let mut app = App::with_another_configuration(2);
    assert!(app.failing_hook(0) && !app.hook(1));
    app.units[0].runs = true;
    assert!(!app.hook(0) && app.hook(1));
    assert!(!app.hook(0) && app.is_quiet());
}

#[test]
fn who_failed_and_is_removed_holds_up_nobody() {
    let mut app = App::new(3);
    app.units[2].needs_restart = true;
    assert!(!app.hook(2) && !app.hook(0) && app.failing_hook(2));
    app.units[1].needs_restart = true;
    assert!(!app.hook(1) && !app.hook(0) && !app.hook(1));
    app.units.pop();
    assert!(!app.hook(0) && app.hook(1));
}

#[test]
fn a_turn_that_nobody_uses_goes_round_so_that_the_dead_do_not_keep_it_from_the_living() {
    let mut app = App::new(4);
    for unit in 1..4 {
        app.units[unit].needs_restart = true;
        assert!(!app.hook(unit));
    }
    app.hook(0);
    // The units 1 and 2 are gone and say nothing any more.
    app.now += LONGEST;
    app.hook(0);
    assert!(!app.hook(3));
    app.now += LONGEST;
    app.hook(0);
    assert!(app.hook(3));
}

#[test]
fn a_turn_is_of_no_use_to_who_sleeps_for_long() {
    let mut app = App::new(2);
    app.units[1].needs_restart = true;
    assert!(!app.hook(1) && !app.hook(0));
    app.now += USABLE;
    assert!(!app.hook(1));
    app.now += LONGEST;
    assert!(!app.hook(0) && app.hook(1));
}

#[test]
fn a_turn_for_one_question_is_of_no_use_for_the_next() {
    let mut app = App::new(2);
    app.units[1].needs_restart = true;
    assert!(!app.hook(1) && !app.hook(0) && app.hook(1));
    app.units[1].needs_restart = true;
    assert!(!app.hook(1), "the leader may have given the turn to somebody else meanwhile");
    assert!(!app.hook(0) && app.hook(1));
}

#[test]
fn whoever_needs_none_any_more_takes_its_question_back() {
    let mut app = App::new(2);
    app.units[1].needs_restart = true;
    assert!(!app.hook(1) && !app.hook(0));
    app.units[1].needs_restart = false;
    app.hook(1);
    assert!(app.units[1].said.is_empty());
    app.hook(0);
    assert!(app.is_quiet());
}

#[test]
fn without_a_leader_that_gives_turns_units_restart_late_and_one_after_another() {
    let mut app = App::with_another_configuration(3);
    assert!(!app.hook(1) && !app.hook(2));
    app.now += 4 * LONGEST;
    assert!(!app.hook(1) && !app.hook(2));
    app.now += LONGEST;
    let decision = app.decide(1);
    assert!(decision.note.unwrap().to_string().contains("without a turn"));
    assert!(app.hook(1) && !app.hook(2));
    app.now += LONGEST;
    assert!(app.hook(2));
}

#[test]
fn a_new_leader_goes_on_where_the_last_one_was() {
    let mut app = App::with_another_configuration(3);
    app.units[0].needs_restart = false;
    assert!(!app.hook(1) && !app.hook(2) && !app.hook(0));
    app.leader = 2;
    assert!(!app.hook(2), "the turn is given already");
    assert!(app.hook(1) && app.hook(2));
    assert!(app.is_quiet());
}

#[test]
fn databags_that_somebody_wrote_by_hand_are_put_right_and_hold_up_nobody() {
    let garbage = ["", "7", "{}", "null", "[", r#"{"unit": "x", "asked": 1, "given": 9223372036854775807}"#];
    for turn in garbage {
        for time in ["", "x", "-1", "9223372036854775807", "99999999999999999999"] {
            let mut app = App::with_another_configuration(2);
            app.databag = [(TURN, turn)].into_iter().collect();
            app.units[1].said = [(ASKED, time), (TRIED, "x")].into_iter().collect();
            assert!(app.hook(0), "{turn} {time}");
            app.hook(1);
            app.hook(0);
            app.hook(1);
            app.hook(0);
            assert!(app.is_quiet(), "{turn} {time}: {:?} {:?}", app.databag, app.units[1].said);
        }
    }
}

/// A simple generator of numbers.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// Hooks of several units overlap: each sees what was said when it began, and is heard when it ends.
#[test]
fn never_do_two_restart_at_a_time_and_all_do_in_the_end() {
    for seed in 0..500 {
        let mut numbers = Numbers(seed);
        let count = 2 + numbers.below(4);
        let mut app = App::new(count);
        let mut running: Vec<Option<Decision>> = vec![None; count];
        for step in 0..600 {
            let unit = numbers.below(count);
            app.now += 1;
            match running[unit].take() {
                Some(decision) => drop(app.end(unit, &decision, true)),
                None => running[unit] = Some(app.decide(unit)),
            }
            // A new configuration, or another leader, at any time, and nothing new towards the end.
            if step < 400 && numbers.below(20) == 0 {
                let unit = numbers.below(count);
                app.units[unit].needs_restart |= running[unit].is_none();
            }
            if step < 400 && numbers.below(50) == 0 && running.iter().all(Option::is_none) {
                app.leader = numbers.below(count);
            }
            let restarting = (0..count).filter(|unit| {
                let restarts = |decision: &Decision| app.units[*unit].needs_restart && decision.waits.is_none();
                running[*unit].as_ref().is_some_and(restarts)
            });
            assert!(restarting.count() <= 1, "seed {seed}, step {step}");
        }
        assert!(app.units.iter().all(|unit| !unit.needs_restart), "seed {seed}");
    }
}
