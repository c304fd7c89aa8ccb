//! Plays all cases of a program, several at a time, prints what became of each, and holds the counts against the table
//! that is kept beside the recordings.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use charm_tests::coverage::{self, Table};

use crate::list::NotPlayed;
use crate::recording::{self, Recording};

/// Plays one case: `Ok`, why it cannot be played on this machine, or a panic.
pub type Player<'a> = Box<dyn Fn(&Recording) -> Played + Sync + 'a>;

/// What became of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Played {
    /// It was as recorded.
    Good,
    /// This machine cannot play it with this program.
    Impossible(String),
    /// It was not as recorded.
    Bad(String),
}

/// Cases mostly wait, but their programs want to start without delay.
const AT_ONCE: usize = 4;

/// The file with the reasons, below `tests`.
const REASONS: &str = "conformance/not-played.yaml";

/// Plays everything that is not listed. Fails if one case is bad, or if the counts are not those of the table.
/// `is_real`: the real program is played, not the stand-in.
pub fn play(program: &str, is_real: bool, player: &Player<'_>) {
    let list = NotPlayed::read();
    let reasons = list.of(program, is_real);
    let only = std::env::var("CONFORMANCE_CASE").ok();
    let names = recording::names(program);
    let queue: Vec<String> = names
        .iter()
        .filter(|name| only.as_ref().map_or_else(|| !reasons.contains_key(*name), |only| only == *name))
        .cloned()
        .collect();
    let queue = Mutex::new(queue);
    let results = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(name) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop() else { return };
                    let recording = Recording::load(program, &name);
                    let result = catch_unwind(AssertUnwindSafe(|| player(&recording)))
                        .unwrap_or_else(|panic| Played::Bad(words(panic.as_ref())));
                    results.lock().unwrap_or_else(PoisonError::into_inner).insert(name, result);
                }
            });
        }
    });
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    report(program, &results, &reasons, &list);
    // With a real program, what can be played depends on the machine.
    if !is_real && only.is_none() {
        coverage::check(&format!("recordings/{program}/coverage.yaml"), REASONS, &count(&results, &reasons));
    }
}

/// Counts by what the names of the recordings begin with. All results are good.
fn count(results: &BTreeMap<String, Played>, reasons: &BTreeMap<String, String>) -> Table {
    let mut table = Table::new();
    let group = |name: &str| name.split('_').next().unwrap_or(name).to_owned();
    for name in results.keys() {
        table.entry(group(name)).or_default().passed();
    }
    for name in reasons.keys() {
        table.entry(group(name)).or_default().not_played();
    }
    table
}

fn report(program: &str, results: &BTreeMap<String, Played>, reasons: &BTreeMap<String, String>, list: &NotPlayed) {
    println!("\n{program}");
    let mut good = 0;
    let mut impossible = 0;
    let mut bad = Vec::new();
    for (name, played) in results {
        match played {
            Played::Good => good += 1,
            Played::Impossible(reason) => {
                impossible += 1;
                println!("  not on this machine  {name}: {reason}");
            }
            Played::Bad(words) => bad.push(format!("{name}:\n{words}")),
        }
    }
    for (name, reason) in reasons {
        println!("  listed               {name}: {reason}");
    }
    for part in list.parts(program) {
        println!("  not compared         {}: {}", part.what, part.reason);
    }
    println!(
        "  {} recordings: {good} as recorded, {} not as recorded, {impossible} not on this machine, {} listed",
        results.len() + reasons.len(),
        bad.len(),
        reasons.len()
    );
    assert!(bad.is_empty(), "{} cases of {program} are not as recorded:\n\n{}", bad.len(), bad.join("\n\n"));
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "panic without words".into())
}
