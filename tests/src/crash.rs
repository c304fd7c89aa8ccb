//! Kills a charm at every point at which it does something to the world, and requires that the next hook makes it good.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::juju::{Context, Event, Exit, State};
use crate::programs;

/// Where a charm is always killed, by `SIGKILL`: before each start of a process (hook commands, `systemctl`, the
/// workload's own check), each message on a socket (Pebble, HTTP), each rename, removal and signal.
///
/// What happens to files and folders that are renamed into place later is seen by nobody. Of each row of such effects,
/// one in its middle is tried as well: half of a tree that is being unpacked, a file without its final mode.
const KINDS: [&str; 5] = ["Process", "Send", "Rename", "Remove", "Signal"];

/// At how many places a charm is killed by [`interrupt_here_and_there`], unless the variable [`EVERYWHERE`] says `all`.
const SAMPLE: usize = 5;

/// The variable that has every place tried.
const EVERYWHERE: &str = "CRASH_POINTS";

/// A world that can be made anew, as services are processes and cannot be copied.
pub trait World {
    /// How its hooks are run. Called once for each hook.
    fn context(&self) -> Context;

    /// Everything that a hook should have brought about in the world, in a form that is equal for equal ends.
    fn end(&self) -> String;

    /// A state without what differs from run to run by chance, such as keys.
    fn without_chance(&self, state: &State) -> State {
        state.clone()
    }
}

/// Runs `event` in a world as `prepare` makes it, killed before each of its effects in turn, and then once more, as
/// Juju does. Each time it has to end as an undisturbed run ends. Returns how many points were tried.
#[track_caller]
pub fn interrupt_everywhere<W: World>(event: &Event, prepare: impl Fn() -> (W, State)) -> usize {
    interrupt(event, prepare, |points| points).0
}

/// The same at a few places, always the same ones: the first, the last, and some at equal distances between them. For
/// worlds that take seconds to make; `CRASH_POINTS=all` has all of them tried. Returns how many there are.
#[track_caller]
pub fn interrupt_here_and_there<W: World>(event: &Event, prepare: impl Fn() -> (W, State)) -> usize {
    let all = std::env::var_os(EVERYWHERE).is_some_and(|value| value == "all");
    let (tried, points) = interrupt(event, prepare, |points| if all { points } else { sample(&points) });
    println!("{event:?}: killed at {tried} of {points} points");
    points
}

/// Returns at how many of how many points the charm was killed.
#[track_caller]
fn interrupt<W: World>(
    event: &Event,
    prepare: impl Fn() -> (W, State),
    choose: impl FnOnce(Vec<usize>) -> Vec<usize>,
) -> (usize, usize) {
    let folder = TempDir::new().expect("a folder for reports");
    let report = folder.path().join("effects");
    let (world, state) = prepare();
    let undisturbed = traced(&world, &report, 0).run(event, &state).expect_success();
    let wanted = (world.without_chance(&undisturbed.state), world.end());
    let effects = fs::read_to_string(&report).expect("the tracer has written its report");
    drop(world);
    let effects: Vec<&str> = effects.lines().collect();
    let points = points(&effects);
    let number = points.len();
    let chosen = choose(points);
    for &index in &chosen {
        let effect = effects[index];
        let (world, state) = prepare();
        let killed = traced(&world, &report, index + 1).run(event, &state);
        let place = || format!("{event:?} killed before effect {}, {effect}", index + 1);
        // Timing may make a run shorter; one that came to its end is tested like the others.
        assert!(killed.exit != Exit::Code(1), "{}:\n{}", place(), killed.report());
        let again = world.context().run(event, &killed.state);
        assert!(again.is_success(), "{}: the next hook failed:\n{}", place(), again.report());
        let ended = (world.without_chance(&again.state), world.end());
        assert_eq!(ended, wanted, "{}:\nfirst run:\n{}\nsecond run:\n{}", place(), killed.report(), again.report());
    }
    (chosen.len(), number)
}

/// The first, the last, and some between.
fn sample(points: &[usize]) -> Vec<usize> {
    match points.len() {
        0..=SAMPLE => points.to_vec(),
        number => (0..SAMPLE).map(|step| points[step * (number - 1) / (SAMPLE - 1)]).collect(),
    }
}

/// The places in a list of effects at which a charm is killed.
fn points(effects: &[&str]) -> Vec<usize> {
    let is_seen = |effect: &&str| KINDS.iter().any(|kind| effect.starts_with(kind));
    let mut points = Vec::new();
    let mut start = 0;
    for row in effects.chunk_by(|one, other| !is_seen(one) && !is_seen(other)) {
        // An effect that is seen is a row of its own.
        points.push(start + row.len() / 2);
        start += row.len();
    }
    points
}

fn traced<W: World>(world: &W, report: &Path, number: usize) -> Context {
    let tracer = programs::built("traced").into_os_string();
    world.context().launcher([tracer, report.into(), number.to_string().into()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_effect_that_is_seen_is_a_point_and_one_of_each_row_of_others() {
        let effects = ["Process a", "Process b", "Folder c", "Create d", "Mode e", "Rename f", "Create g", "Send h"];
        assert_eq!(points(&effects), [0, 1, 3, 5, 6, 7]);
        assert_eq!(points(&[]), [0; 0]);
        assert_eq!(points(&["Folder a", "Folder b"]), [1]);
    }

    #[test]
    fn a_sample_begins_and_ends_with_the_points_and_is_all_of_a_few() {
        assert_eq!(sample(&[3, 5, 8, 9]), [3, 5, 8, 9]);
        assert_eq!(sample(&(10..19).collect::<Vec<_>>()), [10, 12, 14, 16, 18]);
    }
}
