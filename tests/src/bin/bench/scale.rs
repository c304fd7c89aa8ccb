//! What becomes of the falcosidekick-k8s charm when many Falcos are related: the hook commands of one hook of the leader,
//! which the harness counts, by the number of relations.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, ensure};
use charm_tests::juju::{Event, State};
use charm_tests::pod::{CONTAINER, Pod};
use charm_tests::ports::free_port;

use crate::charms::{HTTP_ENDPOINT, falco_relation, related};

/// How many Falcos are related.
const RELATIONS: [u32; 3] = [10, 100, 1_000];

/// How many hook commands a hook may call for each of them.
const MOST_FOR_EACH: f64 = 3.0;

/// The ids of their relations begin here.
const FIRST: u32 = 100;

/// One hook, with each of these numbers of relations.
#[derive(Debug)]
pub struct Row {
    name: &'static str,
    /// How many hook commands it may call for each of them.
    most_for_each: f64,
    commands: [u32; 3],
    wall: [Duration; 3],
}

/// The hooks, one after the other, and how many hook commands each may call for each relation.
const HOOKS: [(&str, f64); 5] = [
    ("first pebble-ready: all are told", MOST_FOR_EACH),
    ("leader-elected: all are looked at", MOST_FOR_EACH),
    ("config-changed: another port", MOST_FOR_EACH),
    ("update-status, nothing to do", 0.0),
    ("relation-created: one more", 0.0),
];

/// Measures them. Each is run once: what counts is a number.
pub fn measure() -> Result<Vec<Row>> {
    let new = |(name, most_for_each)| Row { name, most_for_each, commands: [0; 3], wall: [Duration::ZERO; 3] };
    let mut rows = HOOKS.map(new);
    for (column, number) in RELATIONS.into_iter().enumerate() {
        eprintln!("falcosidekick-k8s: {number} Falcos");
        let pod = Pod::new(|context| context);
        let before = (0..number).map(|each| falco_relation(FIRST + each)).fold(related(&pod), State::relation);
        let one_more = falco_relation(FIRST + number);
        let created = Event::relation_created(one_more.id);
        let port = free_port();
        let mut hook = |row: usize, event: &Event, before: State| {
            let outcome = pod.context.run(event, &before).expect_success();
            ensure!(outcome.state.unit_status.to_string() == "active: ", "{}: {}", HOOKS[row].0, outcome.report());
            let mut falcos = outcome.state.relations.iter().filter(|relation| relation.endpoint == HTTP_ENDPOINT);
            ensure!(falcos.all(|falco| falco.local_app_data.contains_key("url")), "{}: not all are told", HOOKS[row].0);
            rows[row].commands[column] = u32::try_from(outcome.hook_commands())?;
            rows[row].wall[column] = outcome.wall_time;
            Ok(outcome.state)
        };
        let state = hook(0, &Event::pebble_ready(CONTAINER), before)?;
        let state = hook(1, &Event::leader_elected(), state)?;
        let state = hook(2, &Event::config_changed(), state.config("port", port))?;
        let state = hook(3, &Event::update_status(), state)?;
        hook(4, &created, state.relation(one_more))?;
    }
    Ok(rows.into())
}

/// A table, with what each relation more costs from one number of them to the next: the same, if all of it is linear.
pub fn text(rows: &[Row]) -> String {
    let mut text = "\nfalcosidekick-k8s with many Falcos: one hook of the leader, run once\n\n".to_owned();
    let mut line = |name: &str, cells: &[String]| {
        let _ = write!(text, "  {name:<34}");
        for cell in cells {
            let _ = write!(text, "{cell:>10}");
        }
        text.push('\n');
    };
    let numbers = RELATIONS.map(|number| number.to_string());
    let for_each = ["for each".to_owned(), "for each".to_owned()];
    line("Falcos related", &[&numbers[..], &for_each[..], &numbers[..]].concat());
    line("", &["commands", "commands", "commands", "to 100", "to 1000", "ms", "ms", "ms"].map(str::to_owned));
    for Row { name, most_for_each: _, commands, wall } in rows {
        let numbers = commands.map(|number| number.to_string());
        let for_each = steps(*commands).map(|(commands, relations)| format!("{:.2}", commands / relations));
        let times = wall.map(|wall| wall.as_millis().to_string());
        line(name, &[&numbers[..], &for_each[..], &times[..]].concat());
    }
    text
}

/// What is over its budget.
pub fn over_budget(rows: &[Row]) -> Vec<String> {
    let mut problems = Vec::new();
    for Row { name, most_for_each, commands, wall: _ } in rows {
        for (commands, relations) in steps(*commands) {
            if commands > most_for_each * relations {
                problems.push(format!("{name}: {commands} hook commands more for {relations} Falcos more"));
            }
        }
    }
    problems
}

/// How many hook commands, and how many relations, each number of relations adds to the one before.
fn steps(commands: [u32; 3]) -> [(f64, f64); 2] {
    [1, 2].map(|index| {
        let added = |numbers: [u32; 3]| f64::from(numbers[index]) - f64::from(numbers[index - 1]);
        (added(commands), added(RELATIONS))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(most_for_each: f64, commands: [u32; 3]) -> Row {
        Row { name: "hook", most_for_each, commands, wall: [Duration::from_millis(7); 3] }
    }

    #[test]
    fn more_than_a_row_may_for_each_relation_is_over_budget_at_each_step() {
        assert_eq!(over_budget(&[row(3.0, [50, 320, 3_020]), row(0.0, [12, 12, 12])]), [""; 0]);
        let steep = over_budget(&[row(3.0, [50, 320, 3_021]), row(0.0, [12, 13, 13])]);
        assert_eq!(
            steep,
            ["hook: 2701 hook commands more for 900 Falcos more", "hook: 1 hook commands more for 90 Falcos more"]
        );
    }

    #[test]
    fn the_table_tells_what_each_relation_more_costs() {
        let text = text(&[row(3.0, [50, 320, 3_020])]);
        let last = text.lines().last().unwrap().split_whitespace().collect::<Vec<_>>();
        assert_eq!(last, ["hook", "50", "320", "3020", "3.00", "3.00", "7", "7", "7"]);
    }
}
