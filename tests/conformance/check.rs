//! Comparing what came out with what was recorded, and saying what differs.

use std::collections::BTreeMap;

/// Differences found in one case.
#[derive(Debug, Default)]
pub struct Findings {
    lines: Vec<String>,
}

impl Findings {
    /// Notes a difference.
    pub fn add(&mut self, what: impl Into<String>) {
        self.lines.push(what.into());
    }

    /// The same text.
    pub fn same(&mut self, what: &str, recorded: &str, seen: &str) {
        if recorded != seen {
            self.add(format!("{what} differs\n  recorded: {recorded}\n  seen:     {seen}"));
        }
    }

    /// The same lines in the same order.
    pub fn same_lines(&mut self, what: &str, recorded: &[String], seen: &[String]) {
        if recorded == seen {
            return;
        }
        let place = recorded.iter().zip(seen).take_while(|(one, other)| one == other).count();
        let show = |lines: &[String]| lines.get(place).map_or("(nothing more)", String::as_str).to_owned();
        self.add(format!(
            "{what} differs in line {}\n  recorded: {}\n  seen:     {}",
            place + 1,
            show(recorded),
            show(seen)
        ));
    }

    /// The same lines, each as often, in any order.
    pub fn same_set(&mut self, what: &str, recorded: &[String], seen: &[String]) {
        let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
        for line in recorded {
            *counts.entry(line).or_default() += 1;
        }
        for line in seen {
            *counts.entry(line).or_default() -= 1;
        }
        for (line, count) in counts {
            match count {
                0 => {}
                1.. => self.add(format!("{what}: missing {count} x {line}")),
                _ => self.add(format!("{what}: not recorded {} x {line}", -count)),
            }
        }
    }

    /// All recorded lines are there.
    pub fn contains(&mut self, what: &str, recorded: &[String], seen: &[String]) {
        for line in recorded.iter().filter(|line| !seen.contains(line)) {
            self.add(format!("{what}: missing {line}"));
        }
    }

    /// The verdict.
    pub fn verdict(self) -> crate::suite::Played {
        if self.lines.is_empty() {
            crate::suite::Played::Good
        } else {
            crate::suite::Played::Bad(self.lines.join("\n"))
        }
    }
}
