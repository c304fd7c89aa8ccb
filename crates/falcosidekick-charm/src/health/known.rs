//! What is known of alerts that went wrong, from one look at the counters to the next. Pure.
//!
//! A trouble stays until something shows that it is over: alerts that arrive without one that does not, or a process
//! that began anew. So a hook that runs while nothing happens says the same as the one before.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::metrics::{Count, Counters, path_of};
use super::redirects::Redirects;

/// Rejected requests are told until this many seconds passed without one: who sent them has gone, and nobody else may be
/// there to send a good one. Longer than the time between two `update-status`, so that they are told at least once.
const QUIET: i64 = 10 * 60;

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The counters at the last look.
    counters: Counters,
    /// Outputs that failed when they were last used, and what came of it between two looks.
    failing: BTreeMap<String, Count>,
    /// Requests of which some were rejected, between two looks.
    rejected: Option<Rejected>,
    /// Whether Pebble has told that the check is down.
    pub check_is_down: bool,
    /// Servers that send alerts elsewhere.
    pub redirects: Redirects,
}

/// Requests that were rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Rejected {
    count: Count,
    /// When this was seen, in seconds since 1970.
    at: i64,
}

impl Known {
    /// What is known after another look, at this time.
    #[must_use]
    pub fn after(&self, counters: &Counters, now: i64) -> Self {
        let nothing = Counters::default();
        let is_same = self.is_same_process(counters);
        let before = if is_same { &self.counters } else { &nothing };
        let mut failing = if is_same { self.failing.clone() } else { BTreeMap::new() };
        for (name, count) in &counters.outputs {
            match count.since(before.outputs.get(name).copied().unwrap_or_default()) {
                Count { good: 0, bad: 0 } => {}
                Count { bad: 0, .. } => drop(failing.remove(name)),
                some => drop(failing.insert(name.clone(), some)),
            }
        }
        let rejected = match counters.inputs.since(before.inputs) {
            Count { good: 0, bad: 0 } => self.rejected.filter(|rejected| is_same && now - rejected.at < QUIET),
            Count { bad: 0, .. } => None,
            count => Some(Rejected { count, at: now }),
        };
        Self {
            counters: counters.clone(),
            failing,
            rejected,
            check_is_down: self.check_is_down,
            redirects: self.redirects.clone(),
        }
    }

    /// What to tell the operator, the worst first: outputs that get nothing through.
    pub fn remarks(&self) -> Vec<String> {
        let mut failing: Vec<_> = self.failing.iter().collect();
        failing.sort_by_key(|(name, Count { good, .. })| (*good > 0, *name));
        let failing = failing.into_iter().map(|(name, Count { good, bad })| {
            let errors = if *bad == 1 { "error" } else { "errors" };
            format!("{}: {bad} {errors}, {good} ok", path_of(name))
        });
        let rejected = self.rejected.iter().map(|Rejected { count, at: _ }| {
            format!("inputs: {} of {} events since the last look were rejected", count.bad, count.all())
        });
        failing.chain(self.redirects.remarks().cloned()).chain(rejected).collect()
    }

    /// When the process began, in its own words.
    pub fn started(&self) -> &str {
        &self.counters.started
    }

    /// What became of the last alerts to an output, if that was not good: by its place in the configuration.
    pub fn of(&self, path: &str) -> Option<Count> {
        self.failing.iter().find(|(name, _)| path_of(name) == path).map(|(_, count)| *count)
    }

    /// A process that began anew counts from zero, which may be more by now than what was known of the old one.
    fn is_same_process(&self, now: &Counters) -> bool {
        let before = &self.counters;
        let is_less =
            |(name, count): (&String, &Count)| now.outputs.get(name).copied().unwrap_or_default().is_below(*count);
        before.started == now.started && !now.inputs.is_below(before.inputs) && !before.outputs.iter().any(is_less)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_764_072_000;

    fn counters(started: &str, inputs: (u64, u64), outputs: &[(&str, u64, u64)]) -> Counters {
        let count = |good, bad| Count { good, bad };
        Counters {
            started: started.to_owned(),
            inputs: count(inputs.0, inputs.1),
            outputs: outputs.iter().map(|(name, good, bad)| ((*name).to_owned(), count(*good, *bad))).collect(),
        }
    }

    fn looked(all: &[Counters]) -> Known {
        all.iter().fold(Known::default(), |known, counters| known.after(counters, NOW))
    }

    #[test]
    fn errors_since_the_last_look_are_told_until_alerts_arrive_without_one() {
        let bad = counters("1", (12, 0), &[("slack", 0, 12), ("loki", 12, 0)]);
        let known = looked(&[counters("1", (0, 0), &[]), bad.clone()]);
        assert_eq!(known.remarks(), ["slack: 12 errors, 0 ok"]);
        assert_eq!(known.after(&bad, NOW).remarks(), ["slack: 12 errors, 0 ok"], "nothing shows that it is over");
        let better = counters("1", (15, 0), &[("slack", 2, 13), ("loki", 15, 0)]);
        let known = known.after(&better, NOW);
        assert_eq!(known.remarks(), ["slack: 1 error, 2 ok"], "only what is new");
        assert_eq!(known.of("slack"), Some(Count { good: 2, bad: 1 }));
        let good = counters("1", (16, 0), &[("slack", 3, 13), ("loki", 16, 0)]);
        assert_eq!(known.after(&good, NOW).remarks(), [""; 0]);
    }

    #[test]
    fn outputs_that_get_nothing_through_come_first() {
        let known = looked(&[counters("1", (9, 0), &[("loki", 8, 1), ("webhook", 0, 9), ("kafka", 0, 2)])]);
        assert_eq!(known.remarks(), ["kafka: 2 errors, 0 ok", "webhook: 9 errors, 0 ok", "loki: 1 error, 8 ok"]);
    }

    #[test]
    fn rejected_events_are_told_until_others_are_accepted_or_none_came_for_long() {
        let first = counters("1", (100, 2), &[]);
        let known = looked(std::slice::from_ref(&first)).after(&counters("1", (105, 42), &[]), NOW);
        assert_eq!(known.remarks(), ["inputs: 40 of 45 events since the last look were rejected"]);
        let same = counters("1", (105, 42), &[]);
        assert_eq!(known.after(&same, NOW + QUIET - 1).remarks().len(), 1);
        assert_eq!(known.after(&same, NOW + QUIET).remarks(), [""; 0]);
        assert_eq!(known.after(&counters("1", (106, 42), &[]), NOW).remarks(), [""; 0]);
    }

    #[test]
    fn a_process_that_began_anew_is_told_by_its_start_or_by_a_counter_that_went_down() {
        let known = looked(&[counters("1", (5, 5), &[("slack", 0, 5)])]);
        assert_eq!(known.remarks().len(), 2);
        for (anew, remarks) in [
            (counters("2", (0, 0), &[]), vec![]),
            (counters("2", (9, 0), &[("slack", 9, 0)]), vec![]),
            (counters("2", (9, 0), &[("slack", 0, 9)]), vec!["slack: 9 errors, 0 ok"]),
            (counters("1", (5, 0), &[]), vec![]),
            (
                counters("1", (9, 9), &[("slack", 0, 1)]),
                vec!["slack: 1 error, 0 ok", "inputs: 9 of 18 events since the last look were rejected"],
            ),
        ] {
            assert_eq!(known.after(&anew, NOW).remarks(), remarks, "{anew:?}");
        }
    }

    #[test]
    fn what_is_known_is_the_same_after_it_was_written_and_read() {
        let known = looked(&[counters("1", (5, 5), &[("slack", 0, 5)])]);
        let text = serde_json::to_vec(&known).unwrap();
        assert_eq!(serde_json::from_slice::<Known>(&text).unwrap(), known);
    }
}
