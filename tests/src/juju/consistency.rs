//! Refuses states and events that Juju could never produce, and says how to mend them.
//!
//! A scenario on an impossible state proves nothing. What is merely unusual passes: an empty databag after `-changed`,
//! a secret that was revoked, a relation whose units have all gone.

mod declarations;
mod events;
mod relations;
mod secrets;

use super::event::Event;
use super::state::State;
use super::unit::Unit;

/// What is wrong, collected over all checks.
#[derive(Debug, Default)]
struct Problems(Vec<String>);

impl Problems {
    /// Notes a problem unless the condition holds.
    fn require(&mut self, condition: bool, problem: impl FnOnce() -> String) {
        if !condition {
            self.0.push(problem());
        }
    }
}

/// Checks that Juju could run this event on this state. All problems at once, one a line, each with what to change.
pub fn check(unit: &Unit, event: &Event, state: &State) -> Result<(), String> {
    let mut problems = Problems::default();
    declarations::check(&mut problems, unit, state);
    relations::check(&mut problems, unit, state);
    secrets::check(&mut problems, state);
    events::check(&mut problems, unit, event, state);
    if problems.0.is_empty() { Ok(()) } else { Err(problems.0.join("\n")) }
}
