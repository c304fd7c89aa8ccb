//! Runs a charm through the cases.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

use super::cases::Case;
use super::texts::PASSWORD;
use crate::juju::{Event, Outcome, State};

/// As long as a status may be, in characters.
const LONGEST_STATUS: usize = 510;

/// A charm in a world.
pub trait Subject {
    /// Runs a hook.
    fn run(&self, event: &Event, state: &State) -> Outcome;

    /// What starts the workload, and what no peer and no operator may ever get into: a unit file, a layer.
    fn starts(&self) -> String;

    /// The configuration of the workload, which is YAML.
    fn configuration(&self) -> String;

    /// The places of the configuration below which an option or endpoint may add something that was not there.
    fn adds(&self, _subject: &str) -> &'static [&'static str] {
        &[]
    }

    /// Where the workload would take more for a command than YAML does, if there is such a place.
    fn takes_for_a_command(&self) -> Option<String> {
        None
    }
}

/// Runs a charm through some cases, divided between as many worlds as `at_once`.
///
/// `prepare` makes a world in which the charm has done its work, and the state of that. Each case has to leave the hook
/// a success and the charm with a status of one short line that, unless it is active, begins with the endpoint or
/// option. What starts the workload must not change, and at most one text of its configuration may, beside what
/// [`Subject::adds`]; or the configuration stays what it was before, with what a case before that was good left in it. A
/// password must be shown nowhere. In the end everything that is right again makes everything as it was.
#[track_caller]
pub fn run_through<S: Subject>(cases: &[Case], at_once: usize, prepare: impl Fn() -> (S, State) + Sync) {
    assert!(!cases.is_empty(), "nothing is declared that anybody could write");
    let problems: Vec<String> = std::thread::scope(|scope| {
        let prepare = &prepare;
        // In turn, because those of one place take equally long.
        let share = |first| cases.iter().skip(first).step_by(at_once);
        let threads: Vec<_> = (0..at_once.min(cases.len()))
            .map(|first| scope.spawn(move || in_one_world(share(first).cloned(), prepare)))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("problems are collected, not thrown")).collect()
    });
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

fn in_one_world<S: Subject>(cases: impl Iterator<Item = Case>, prepare: impl Fn() -> (S, State)) -> Vec<String> {
    let (subject, state) = prepare();
    let (starts, configuration) = (subject.starts(), subject.configuration());
    let before = scalars(&configuration).expect("the configuration is YAML before anything is done");
    let mut problems = Vec::new();
    let (mut read, mut count) = (BTreeMap::new(), 0);
    for case in cases {
        let (event, changed) = case.put(&state);
        // Of a databag that nobody reads, one case is enough to know that.
        if read.get(&case.place.bag()) == Some(&false) {
            continue;
        }
        let just_before = subject.configuration();
        let run = catch_unwind(AssertUnwindSafe(|| subject.run(&event, &changed)));
        let Ok(outcome) = run else {
            problems.push(format!("{}: it could not be run", name(&case)));
            continue;
        };
        count += 1;
        read.insert(case.place.bag(), case.is_read(&changed, &outcome));
        let mut found = of_outcome(&case, &outcome);
        if subject.starts() != starts {
            found.push(format!("what starts the workload has changed:\n{}", subject.starts()));
        }
        let after = subject.configuration();
        if after != just_before {
            found.extend(of_configuration(&before, &after, subject.adds(case.subject())));
        }
        found.extend(subject.takes_for_a_command().map(|place| format!("it would be taken for a command: {place}")));
        if !found.is_empty() {
            problems.push(format!("{}: {}\n{}", name(&case), found.join("; "), outcome.report()));
        }
    }
    let outcome = subject.run(&Event::config_changed(), &state);
    if outcome.state.unit_status != state.unit_status || subject.configuration() != configuration {
        problems.push(format!("what is right again does not make everything as it was:\n{}", outcome.report()));
    }
    println!("{count} hooks with hostile values");
    problems
}

fn name(case: &Case) -> String {
    let Case { place, about, value } = case;
    let text = value.to_string();
    let shown: String = text.chars().take(100).collect();
    format!("{place:?}: {about}: {shown}")
}

fn of_outcome(case: &Case, outcome: &Outcome) -> Vec<String> {
    let mut found = Vec::new();
    if !outcome.is_success() {
        found.push("the hook fails".to_owned());
        return found;
    }
    let status = &outcome.state.unit_status;
    if !["active", "blocked", "waiting"].contains(&status.name.as_str()) {
        found.push(format!("{} is no status to end with", status.name));
    }
    if status.name != "active" && !status.message.starts_with(&format!("{}: ", case.subject())) {
        found.push(format!("the status does not begin with {}", case.subject()));
    }
    if status.message.chars().count() > LONGEST_STATUS || status.message.chars().any(char::is_control) {
        found.push("the status is no short line".to_owned());
    }
    if outcome.report().contains(PASSWORD) {
        found.push("a password is shown".to_owned());
    }
    found
}

fn of_configuration(before: &BTreeMap<String, Value>, text: &str, adds: &[&str]) -> Option<String> {
    let after = match scalars(text) {
        Ok(after) => after,
        Err(error) => return Some(format!("the configuration is no YAML any more: {error}\n{text}")),
    };
    let is_added = |place: &str| !before.contains_key(place) && adds.iter().any(|start| place.starts_with(start));
    let changed = after.iter().filter(|(place, value)| before.get(*place) != Some(value) && !is_added(place));
    let changed: Vec<&String> = changed.map(|(place, _)| place).collect();
    let gone: Vec<&String> = before.keys().filter(|place| !after.contains_key(*place)).collect();
    let is_fine = gone.is_empty() && changed.len() <= 1 && changed.iter().all(|place| before.contains_key(*place));
    (!is_fine).then(|| format!("the configuration has changed at {changed:?} and lost {gone:?}:\n{text}"))
}

/// The scalars of a document with one place each, so that one that has become a map or a list counts as gone.
fn scalars(text: &str) -> Result<BTreeMap<String, Value>, serde_yaml::Error> {
    fn collect(place: String, value: Value, all: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(fields) => {
                fields.into_iter().for_each(|(key, value)| collect(format!("{place}.{key}"), value, all));
            }
            Value::Array(items) => {
                items
                    .into_iter()
                    .enumerate()
                    .for_each(|(index, value)| collect(format!("{place}[{index}]"), value, all));
            }
            scalar => {
                all.insert(place, scalar);
            }
        }
    }
    let mut all = BTreeMap::new();
    collect(String::new(), serde_yaml::from_str(text)?, &mut all);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_may_change_and_nothing_else() {
        let before = scalars("{a: {b: x, c: [1, 2]}}").unwrap();
        let allowed = ["{a: {b: x, c: [1, 2]}}", "{a: {b: 'y: z', c: [1, 2]}}"];
        assert!(allowed.iter().all(|text| of_configuration(&before, text, &[]).is_none()));
        for text in [
            "{a: {b: y, c: [1, 3]}}",
            "{a: {b: x, c: [1, 2]}, d: 1}",
            "{a: {b: {y: z}, c: [1, 2]}}",
            "{a: {b: x, c: [1]}}",
            "{a: {b: x",
        ] {
            assert!(of_configuration(&before, text, &[]).is_some(), "{text}");
        }
        assert!(of_configuration(&before, "{a: {b: x, c: [1, 2, 3]}}", &[".a.c["]).is_none());
        assert!(of_configuration(&before, "{a: {b: y, c: [0, 2, 3]}}", &[".a.c["]).is_some());
    }
}
