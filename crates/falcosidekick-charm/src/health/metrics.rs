//! What Falcosidekick counts, read out of its `/metrics`. Pure.
//!
//! A series exists once it has been counted in, so a process that has seen nothing shows none of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::outputs::table;

const INPUTS: &str = "falcosecurity_falcosidekick_inputs_total";
const OUTPUTS: &str = "falcosecurity_falcosidekick_outputs_total";
const STARTED: &str = "process_start_time_seconds";

/// Everything that Falcosidekick sent is a blank away from this. MQTT puts the reason in the place of `error`.
const OK: &str = "ok";

/// What went well and what did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Accepted, or delivered.
    pub good: u64,
    /// Rejected, or failed.
    pub bad: u64,
}

impl Count {
    /// What came since an earlier look at the same process.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self { good: self.good.saturating_sub(before.good), bad: self.bad.saturating_sub(before.bad) }
    }

    /// Whether either of them is less than before, as it is after a start anew.
    pub fn is_below(self, before: Self) -> bool {
        self.good < before.good || self.bad < before.bad
    }

    /// Both together.
    pub fn all(self) -> u64 {
        self.good.saturating_add(self.bad)
    }
}

/// The counters of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// When the process began, as it says so itself; empty when it does not.
    pub started: String,
    /// Requests.
    pub inputs: Count,
    /// Deliveries, by what Falcosidekick calls an output, in small letters.
    pub outputs: BTreeMap<String, Count>,
}

impl Counters {
    /// Reads them. `None`: this is no text of metrics.
    pub fn parse(text: &str) -> Option<Self> {
        let mut counters = Self::default();
        let mut is_metrics = false;
        for line in text.lines() {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            // The series of rules and pods can be thousands.
            is_metrics = is_metrics || line.starts_with("# TYPE ");
            if ![INPUTS, OUTPUTS, STARTED].contains(&name) {
                continue;
            }
            let (labels, value) = sample(&line[name.len()..])?;
            let label = |wanted: &str| labels.get(wanted).map(String::as_str).unwrap_or_default();
            match name {
                STARTED => value.clone_into(&mut counters.started),
                INPUTS => counters.inputs.add(label("status") == "accepted", number(value)?),
                _ => counters
                    .outputs
                    .entry(destination(label("destination")))
                    .or_default()
                    .add(label("status") == OK, number(value)?),
            }
        }
        is_metrics.then_some(counters)
    }

    /// The count of an output, by its place in the configuration.
    pub fn of(&self, path: &str) -> Count {
        table::block(path).and_then(|block| self.outputs.get(&counted_as(block))).copied().unwrap_or_default()
    }
}

impl Count {
    fn add(&mut self, is_good: bool, number: u64) {
        let place = if is_good { &mut self.good } else { &mut self.bad };
        *place = place.saturating_add(number);
    }
}

/// Outputs that Falcosidekick counts not at all.
const UNCOUNTED: [&str; 4] = ["smtp", "otlp.logs", "otlp.traces", "otlp.metrics"];

/// Outputs that it counts as delivered whatever became of it.
const ALWAYS_GOOD: [&str; 2] = ["cloudevents", "redis"];

/// Why the count of an output says less than it seems to.
pub fn doubt(path: &str) -> Option<&'static str> {
    if UNCOUNTED.contains(&path) {
        return Some("Falcosidekick does not count what it sends there");
    }
    ALWAYS_GOOD.contains(&path).then_some("Falcosidekick counts what it sends there as delivered even when it was not")
}

/// What an output is called where it is counted.
fn counted_as(block: &table::Block) -> String {
    // The two share a client.
    if block.path == "statsd" { "dogstatsd".to_owned() } else { block.name.to_lowercase() }
}

/// One is spelled with a capital, and one has a dot at its end.
fn destination(label: &str) -> String {
    label.trim_end_matches('.').to_lowercase()
}

/// The output that is counted under this name.
pub fn path_of(destination: &str) -> String {
    let block = table::outputs().find(|block| block.name.to_lowercase() == destination);
    block.map_or(destination, |block| block.path).to_owned()
}

/// Labels and value of a line without its name: `{a="b"} 1`.
fn sample(rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    let Some(mut rest) = rest.strip_prefix('{') else { return Some((labels, rest.trim())) };
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(value) = rest.strip_prefix('}') {
            return Some((labels, value.trim()));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let (text, after) = unquoted(quoted)?;
        labels.insert(name.to_owned(), text);
        rest = after;
    }
}

/// A text up to its closing quote, which has been opened, and what follows.
fn unquoted(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((text, &quoted[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => text.push('\n'),
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
    None
}

/// Go writes large counters as `1e+06`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a counter is a whole number of at least zero, and far below the largest of either type"
)]
fn number(value: &str) -> Option<u64> {
    value.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0).map(|value| value.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(recording: &str) -> String {
        let recording: serde_json::Value = serde_json::from_str(recording).unwrap();
        let exchanges = recording["exchanges"].as_array().unwrap();
        let metrics = exchanges.iter().rfind(|it| it["request"]["url"].as_str().unwrap().ends_with("/metrics"));
        metrics.unwrap()["response"]["body"].as_str().unwrap().to_owned()
    }

    #[test]
    fn counters_are_read_as_the_real_program_wrote_them() {
        let text = recorded(include_str!("../../../../tests/recordings/falcosidekick/metrics_exposition.json"));
        let counters = Counters::parse(&text).unwrap();
        assert_eq!(counters.inputs, Count { good: 1, bad: 1 });
        assert_eq!(counters.of("loki"), Count { good: 0, bad: 1 });
        assert_eq!(counters.of("webhook"), Count { good: 1, bad: 0 });
        assert_eq!(counters.outputs.len(), 2);
        assert!(counters.started.starts_with("1.79"), "{counters:?}");
        let text = recorded(include_str!("../../../../tests/recordings/falcosidekick/metrics_empty.json"));
        let counters = Counters::parse(&text).unwrap();
        assert_eq!((counters.inputs, counters.outputs.len()), (Count::default(), 0));
    }

    #[test]
    fn every_status_but_ok_is_an_error_and_labels_may_hold_anything() {
        let counters = Counters::parse(
            "# TYPE falcosecurity_falcosidekick_outputs_total counter\n\
             falcosecurity_falcosidekick_outputs_total{destination=\"mqtt\",status=\"network Error : \\\"}{,\\\\ refused\"} 3\n\
             falcosecurity_falcosidekick_outputs_total{destination=\"mqtt\",status=\"error\"} 1e+06\n\
             falcosecurity_falcosidekick_outputs_total{status=\"ok\",destination=\"Fission\"} 2\n\
             falcosecurity_falcosidekick_outputs_total{destination=\"awssecuritylake.\",status=\"ok\"} 1\n\
             falcosecurity_falcosidekick_outputs_total{destination=\"dogstatsd\",status=\"ok\"} 6\n",
        )
        .unwrap();
        assert_eq!(counters.of("mqtt"), Count { good: 0, bad: 1_000_003 });
        assert_eq!(counters.of("fission").good, 2);
        assert_eq!(counters.of("aws.securitylake").good, 1);
        assert_eq!(counters.of("statsd").good, 6);
    }

    #[test]
    fn garbage_is_told_from_a_process_that_has_counted_nothing() {
        for garbage in [
            "",
            "hello",
            "<html><body>502</body></html>",
            "# TYPE x counter\nfalcosecurity_falcosidekick_inputs_total{status=\"accepted\"",
            "# TYPE x counter\nfalcosecurity_falcosidekick_inputs_total{status=\"accepted\"} many",
            "# TYPE x counter\nfalcosecurity_falcosidekick_inputs_total{status=\"accepted\"} -1",
            "# TYPE x counter\nfalcosecurity_falcosidekick_inputs_total{status=\"accepted\"} NaN",
            "# TYPE x counter\nfalcosecurity_falcosidekick_inputs_total{status} 1",
        ] {
            assert_eq!(Counters::parse(garbage), None, "{garbage}");
        }
        assert_eq!(Counters::parse("# TYPE go_goroutines gauge\ngo_goroutines 9\n"), Some(Counters::default()));
    }

    #[test]
    fn every_output_is_found_again_by_the_name_under_which_it_is_counted() {
        for block in table::outputs().filter(|block| block.path != "statsd") {
            assert_eq!(path_of(&counted_as(block)), block.path);
        }
        assert_eq!(path_of("new-one"), "new-one");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}", labels in "[\\PC\n\"\\\\{}=, ]{0,60}") {
            drop(Counters::parse(&text));
            drop(Counters::parse(&format!("{OUTPUTS}{text}")));
            drop(Counters::parse(&format!("{OUTPUTS}{{destination=\"{labels}\"}} 1")));
        }
    }
}
