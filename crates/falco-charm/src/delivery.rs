//! Do alerts leave Falco? It drops what it cannot deliver and goes on, so this is only to be seen in what it logs and
//! counts.
//!
//! Falco says nothing of an alert that was delivered, and nothing of one that the receiver answered with an error. So a
//! trouble counts as over when Falco matched rules since then without a new one, or has loaded its configuration anew.

use anyhow::Result;
use charm_core::status::one_line;
use charm_core::systemd::Line;
use charm_core::{Hook, files};
use serde::{Deserialize, Serialize};

use crate::paths::DELIVERY_FILE;

/// How much of a reason a remark quotes, in characters.
const LONGEST: usize = 150;

/// What Falco has counted since it was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// When it loaded its configuration, in microseconds since 1970.
    loaded: u64,
    /// Alerts that were dropped before a blocked output.
    dropped: u64,
    /// How often rules matched.
    matches: u64,
}

impl Counters {
    /// Reads them out of `/metrics`.
    pub fn parse(metrics: &str) -> Self {
        let mut counters = Self::default();
        for line in metrics.lines() {
            let Some((series, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let name = series.split('{').next().unwrap_or(series);
            let value = || value.parse::<u64>().unwrap_or_default();
            match name {
                "falcosecurity_falco_reload_timestamp_nanoseconds" => counters.loaded = value() / 1_000,
                "falcosecurity_falco_outputs_queue_num_drops_total" => counters.dropped = value(),
                "falcosecurity_falco_rules_matches_total" => counters.matches += value(),
                _ => {}
            }
        }
        counters
    }
}

/// What was known after the last look. Kept below `/run`: after a boot Falco counts from zero, too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    loaded: u64,
    dropped: u64,
    matches: u64,
    /// The time of the newest line that was looked at.
    until: u64,
    trouble: Option<String>,
}

impl Known {
    /// Reads it. Without the file, everything is new.
    pub fn read(hook: &Hook) -> Result<Self> {
        Ok(files::noted(&hook.path(DELIVERY_FILE))?.unwrap_or_default())
    }

    /// Writes it down.
    pub fn write(&self, hook: &Hook) -> Result<()> {
        files::note(&hook.path(DELIVERY_FILE), self)
    }

    /// What is known after another look at the counters and at the last lines that Falco printed.
    #[must_use]
    pub fn after(&self, counters: &Counters, lines: &[Line]) -> Self {
        let Counters { loaded, dropped, matches } = *counters;
        let is_same_run = loaded == self.loaded;
        // What was printed before Falco loaded its present configuration is not about that.
        let since = self.until.max(loaded);
        let failure = failure_since(lines, since);
        // A counter that went down began anew.
        let newly_dropped = if dropped < self.dropped { dropped } else { dropped - self.dropped };
        let trouble = match (failure, newly_dropped) {
            (Some(failure), 0) => Some(failure),
            (Some(failure), count) => Some(format!("{failure}; {count} alerts were dropped")),
            (None, 0) if !is_same_run || matches > self.matches => None,
            (None, 0) => self.trouble.clone(),
            (None, count) => Some(format!("an output is blocked; {count} alerts were dropped")),
        };
        let until = lines.iter().map(|line| line.time).max().unwrap_or_default().max(self.until);
        Self { loaded, dropped, matches, until, trouble }
    }

    /// What to tell the operator.
    pub fn remark(&self) -> Option<String> {
        self.trouble.as_ref().map(|trouble| format!("http-endpoint: alerts do not arrive: {trouble}"))
    }
}

/// The newest complaint about an output in lines that Falco printed, if it is newer than `since`.
pub fn failure_since(lines: &[Line], since: u64) -> Option<String> {
    lines.iter().filter(|line| line.time > since).rev().find_map(|line| failure(&line.text))
}

/// The reason, if the line is about an output that fails.
fn failure(line: &str) -> Option<String> {
    let reason = match line.split_once("libcurl failed to perform call: ") {
        Some((_, reason)) => reason,
        None if line.ends_with("output timeout, all output channels are blocked") => {
            "the receiver takes them and does not answer"
        }
        None => return None,
    };
    Some(one_line(reason, LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::World;

    const REFUSED: &str = "Tue Nov 25 13:00:00 2026: libcurl failed to perform call: Couldn't connect to server";
    const BLOCKED: &str = "Tue Nov 25 13:00:00 2026: \"http\" output timeout, all output channels are blocked";

    fn line(time: u64, text: &str) -> Line {
        Line { time, text: text.to_owned() }
    }

    fn counters(loaded: u64, dropped: u64, matches: u64) -> Counters {
        Counters { loaded, dropped, matches }
    }

    fn known(counters: &Counters, lines: &[Line]) -> Known {
        Known::default().after(counters, lines)
    }

    #[test]
    fn counters_are_read_from_what_falco_serves() {
        let metrics = "# TYPE falcosecurity_falco_rules_matches_total counter\n\
            falcosecurity_falco_rules_matches_total{priority=\"4\",rule_name=\"A {b} 7\",source=\"syscall\"} 3\n\
            falcosecurity_falco_rules_matches_total{priority=\"2\",rule_name=\"C\",source=\"syscall\"} 4\n\
            falcosecurity_falco_outputs_queue_num_drops_total 5\n\
            falcosecurity_falco_reload_timestamp_nanoseconds 1764072000123456789\n\
            falcosecurity_falco_memory_rss_bytes 89411584.000000\n";
        assert_eq!(Counters::parse(metrics), counters(1_764_072_000_123_456, 5, 7));
        assert_eq!(Counters::parse("garbage"), Counters::default());
    }

    #[test]
    fn a_failed_call_a_blocked_output_and_dropped_alerts_are_each_told() {
        let running = counters(100, 0, 1);
        for (counters, lines, text) in [
            (&running, vec![line(200, REFUSED)], "http-endpoint: alerts do not arrive: Couldn't connect to server"),
            (&running, vec![line(200, BLOCKED)], "the receiver takes them and does not answer"),
            (&counters(100, 3, 9), vec![], "an output is blocked; 3 alerts were dropped"),
            (&counters(100, 3, 9), vec![line(200, BLOCKED)], "does not answer; 3 alerts were dropped"),
        ] {
            let remark = known(counters, &lines).remark().unwrap();
            assert!(remark.contains(text), "{remark}");
        }
        assert_eq!(known(&running, &[line(200, "Tue: Loading rules from:")]).remark(), None);
    }

    #[test]
    fn the_words_of_falco_are_known_as_they_were_recorded() {
        for (recording, reason) in [
            (include_str!("../../../tests/recordings/falco/http_refused.json"), Some("Couldn't connect to server")),
            (
                include_str!("../../../tests/recordings/falco/https_no_ca.json"),
                Some("SSL peer certificate or SSH remote key was not OK"),
            ),
            (
                include_str!("../../../tests/recordings/falco/https_ca_missing.json"),
                Some("Problem with the SSL CA cert (path? access rights?)"),
            ),
            (
                include_str!("../../../tests/recordings/falco/http_hang.json"),
                Some("the receiver takes them and does not answer"),
            ),
            (include_str!("../../../tests/recordings/falco/http_200.json"), None),
            (include_str!("../../../tests/recordings/falco/start_modern_ebpf.json"), None),
        ] {
            let recording: serde_json::Value = serde_json::from_str(recording).unwrap();
            let printed = recording["stderr"].as_str().unwrap();
            let lines: Vec<Line> = printed.lines().map(|text| line(1, text)).collect();
            assert_eq!(failure_since(&lines, 0).as_deref(), reason, "{}", recording["case"]);
        }
    }

    #[test]
    fn a_trouble_stays_until_an_alert_went_out_without_one() {
        let lines = [line(200, REFUSED)];
        let known = known(&counters(100, 0, 1), &lines);
        let same = known.after(&counters(100, 0, 1), &lines);
        assert_eq!(same, known, "nothing happened, and nothing is written");
        assert_eq!(known.after(&counters(100, 0, 2), &lines).remark(), None, "a rule matched and nothing failed");
        let more = [line(200, REFUSED), line(300, REFUSED)];
        assert!(known.after(&counters(100, 0, 2), &more).remark().is_some(), "that one failed, too");
    }

    #[test]
    fn a_new_configuration_starts_without_the_troubles_of_the_old_one() {
        let lines = [line(200, REFUSED)];
        let known = known(&counters(100, 0, 1), &lines);
        assert_eq!(known.after(&counters(250, 0, 0), &lines).remark(), None);
        assert_eq!(known.after(&counters(250, 0, 0), &[line(220, REFUSED)]).remark(), None, "still the old one");
        assert!(known.after(&counters(250, 0, 0), &[line(260, REFUSED)]).remark().is_some());
    }

    #[test]
    fn alerts_dropped_once_are_told_once() {
        let known = known(&counters(100, 3, 9), &[]);
        assert_eq!(known.after(&counters(100, 3, 10), &[]).remark(), None);
        let remark = known.after(&counters(300, 1, 10), &[]).remark().unwrap();
        assert!(remark.contains("1 alerts"), "a counter that began anew: {remark}");
    }

    #[test]
    fn what_is_known_outlives_the_hook_and_garbage_is_nothing() {
        let world = World::new();
        assert_eq!(Known::read(&world.hook).unwrap(), Known::default());
        let known = known(&counters(100, 3, 9), &[line(200, REFUSED)]);
        known.write(&world.hook).unwrap();
        assert_eq!(Known::read(&world.hook).unwrap(), known);
        world.write(DELIVERY_FILE, "{");
        assert_eq!(Known::read(&world.hook).unwrap(), Known::default());
    }
}
