//! Plays many vectors, several at a time: most of the time each of them waits.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use super::adapt::{Adaptation, Scenario};
use super::format::Vector;
use super::places::Seen;
use super::{falco, falcosidekick};
use crate::interfaces;
use crate::juju::State;
use crate::juju::metadata::{Metadata, Role};
use crate::programs;

/// How many at a time.
const AT_ONCE: usize = 4;

/// One vector, and what became of it.
#[derive(Debug)]
pub struct Played {
    /// The vector.
    pub vector: Vector,
    /// What became of it.
    pub end: End,
}

/// What became of a vector.
#[derive(Debug)]
pub enum End {
    /// It ran.
    Run(Box<Run>),
    /// This revision of our charm cannot be put into the place of the Python charm.
    NotRun(String),
    /// It could not be prepared, or our charm has done what is never right.
    Failed(String),
}

/// One hook of our charm in the place of that of a vector.
#[derive(Debug)]
pub struct Run {
    /// What the vector says.
    pub says: Seen,
    /// What it says about before the hook, as far as our charm can leave it as it is.
    pub before: Seen,
    /// What our charm has brought about.
    pub ours: Seen,
    /// What was put differently.
    pub adapted: BTreeSet<Adaptation>,
    /// What Juju knows afterwards.
    pub state: State,
    /// What our charm did and said.
    pub report: String,
}

/// Plays them all. They come back in their order.
pub fn play_all(vectors: Vec<Vector>) -> Vec<Played> {
    let queue = Mutex::new(vectors.into_iter().enumerate());
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((number, vector)) = next else { return };
                    let end = catch_unwind(AssertUnwindSafe(|| play(&vector)))
                        .unwrap_or_else(|panic| End::Failed(words(panic.as_ref())));
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((number, Played { vector, end }));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, played)| played).collect()
}

fn play(vector: &Vector) -> End {
    let play = match vector.charm.as_str() {
        "falco" => falco::run,
        "falcosidekick-k8s" => falcosidekick::run,
        other => return End::NotRun(format!("there is no charm {other} here")),
    };
    let metadata = Metadata::read(programs::charmcraft(&vector.charm)).expect("charmcraft.yaml can be read");
    match Scenario::of(vector, &metadata) {
        Err(reason) => End::NotRun(reason),
        Ok(scenario) => {
            match play(scenario).and_then(|run| check_databags(vector, &metadata, &run.state).map(|()| run)) {
                Ok(run) => End::Run(Box::new(run)),
                Err(problem) => End::Failed(problem),
            }
        }
    }
}

/// What our charm has written has to be valid, whatever a vector says. What somebody else wrote before it need not be.
fn check_databags(vector: &Vector, metadata: &Metadata, state: &State) -> Result<(), String> {
    for (before, after) in vector.input.relations.iter().zip(&state.relations) {
        let endpoint = &metadata.endpoints[&after.endpoint];
        let side = if endpoint.role == Role::Provider { "provider" } else { "requirer" };
        let bags = [
            ("app", &before.local_app_data, &after.local_app_data),
            ("unit", &before.local_unit_data, &after.local_unit_data),
        ];
        for (bag, before, after) in bags {
            let is_new =
                |key: &String, value: &String| before.get(key).and_then(|old| old.text().ok()).as_ref() != Some(value);
            let written = after.iter().filter(|(key, value)| is_new(key, value));
            let written = written.map(|(key, value)| (key.clone(), value.clone())).collect();
            interfaces::check(&endpoint.interface, side, bag, &written)?;
        }
    }
    Ok(())
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words").to_owned()
}
