//! What was measured of one thing that is run again and again.

use std::time::Duration;

use charm_tests::juju::Outcome;

use crate::launch::Cost;

/// The most memory that a hook of our charms may take, unless it has more to carry than usual.
pub const MOST_MEMORY: u64 = 8 << 20;

/// Something that is run again and again.
#[derive(Debug)]
pub struct Case {
    /// What it is.
    pub name: &'static str,
    /// Whether it finds nothing to do, so that the budget of hook commands holds.
    pub steady: bool,
    /// The most memory that it may take.
    pub most_memory: u64,
    /// How long each run took.
    pub wall: Vec<Duration>,
    /// How much of a processor each run took.
    pub cpu: Vec<Duration>,
    /// The most memory of a run.
    pub memory: Option<u64>,
    /// The most calls of a run.
    pub calls: Calls,
}

/// What a hook asks of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Of Juju.
    pub hook_commands: usize,
    /// Of the host: `systemctl` and `journalctl`.
    pub host_commands: usize,
    /// Of Pebble.
    pub requests: usize,
}

/// The cases of one charm.
#[derive(Debug)]
pub struct Charm {
    /// Its name.
    pub name: &'static str,
    /// How many hook commands a hook may call that finds nothing to do.
    pub most_hook_commands: usize,
    /// The cases.
    pub cases: Vec<Case>,
}

impl Case {
    /// One of which nothing was measured yet.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            steady: false,
            most_memory: MOST_MEMORY,
            wall: Vec::new(),
            cpu: Vec::new(),
            memory: None,
            calls: Calls::default(),
        }
    }

    /// One that may take so much memory.
    pub fn with_memory(self, most_memory: u64) -> Self {
        Self { most_memory, ..self }
    }

    /// One that finds nothing to do.
    pub fn steady(name: &'static str) -> Self {
        Self { steady: true, ..Self::new(name) }
    }

    /// Adds a run.
    pub fn add(&mut self, cost: Cost, calls: Calls) {
        match cost {
            Cost::Time { wall, cpu } => {
                self.wall.push(wall);
                self.cpu.push(cpu);
            }
            Cost::Memory(bytes) => self.memory = self.memory.max(Some(bytes)),
        }
        let Calls { hook_commands, host_commands, requests } = &mut self.calls;
        *hook_commands = calls.hook_commands.max(*hook_commands);
        *host_commands = calls.host_commands.max(*host_commands);
        *requests = calls.requests.max(*requests);
    }
}

impl Calls {
    /// The calls of a hook that made so many requests to Pebble.
    pub fn of(outcome: &Outcome, requests: usize) -> Self {
        let hook_commands = outcome.hook_commands();
        Self { hook_commands, host_commands: outcome.calls.len() - hook_commands, requests }
    }
}

impl Charm {
    /// What is over its budget.
    pub fn over_budget(&self) -> Vec<String> {
        let Self { name: charm, most_hook_commands: most, cases } = self;
        let mut problems = Vec::new();
        for Case { name, steady, most_memory, wall: _, cpu: _, memory, calls } in cases {
            if *steady && calls.hook_commands > *most {
                problems.push(format!("{charm}, {name}: {} hook commands, more than {most}", calls.hook_commands));
            }
            match *memory {
                None | Some(0) => problems.push(format!("{charm}, {name}: its memory was not seen")),
                Some(bytes) if bytes > *most_memory => {
                    problems.push(format!("{charm}, {name}: {bytes} bytes of memory, more than {most_memory}"));
                }
                Some(_) => {}
            }
        }
        problems
    }
}

/// The value that this share of all values does not exceed: the one in the middle for 0.5. Zero of nothing.
pub fn quantile(values: &[Duration], share: f64) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "the number of runs is small, and a share of it is as well"
    )]
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<Duration> = (1..=20).rev().map(Duration::from_millis).collect();
        for (share, expected) in [(0.0, 1), (0.5, 10), (0.95, 19), (1.0, 20)] {
            assert_eq!(quantile(&values, share), Duration::from_millis(expected), "{share}");
        }
        assert_eq!(quantile(&values[..1], 0.95), values[0]);
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
    }

    #[test]
    fn what_is_over_its_budget_is_named_and_what_was_not_seen_as_well() {
        let mut cases = [Case::steady("steady"), Case::new("other"), Case::new("unseen")];
        for case in &mut cases[..2] {
            case.add(Cost::Memory(MOST_MEMORY), Calls { hook_commands: 9, ..Calls::default() });
        }
        cases[1].add(Cost::Memory(MOST_MEMORY + 1), Calls::default());
        let charm = Charm { name: "c", most_hook_commands: 8, cases: cases.into() };
        assert_eq!(
            charm.over_budget(),
            [
                "c, steady: 9 hook commands, more than 8",
                "c, other: 8388609 bytes of memory, more than 8388608",
                "c, unseen: its memory was not seen",
            ]
        );
    }
}
