//! The other units, and whose turn it is to restart.

use anyhow::Result;
use charm_core::Hook;
use charm_core::names::RelationId;
use charm_core::notes::Notes;
use charm_core::pebble::Current;
use charm_core::relation::{self, Side};

use super::Facts;
use crate::names::{CONTAINER, RESTART_TURNS, SERVICE};
use crate::turns::{Peers, Turns};

/// What this unit said, and to the leader also what the others said if they may be in want of a turn: no hook command
/// when nothing may be new and nobody has a turn.
pub fn turns(hook: &Hook, leader: bool, notes: &mut Notes) -> Result<Option<Turns>> {
    let Some(relation) = notes.ids(hook, RESTART_TURNS)?.into_iter().next() else { return Ok(None) };
    let Some(said) = notes.databag(hook, relation)? else { return Ok(None) };
    let may_be_new = hook.event.begins_anew() || hook.event.is_of_relation(RESTART_TURNS);
    let gives = leader && notes.told(hook, relation, Side::App)?.is_some_and(|told| !told.is_empty());
    let peers = if leader && (gives || may_be_new) { peers(hook, relation)? } else { None };
    Ok(Some(Turns { relation, unit: hook.unit.clone(), said, peers, runs: None }))
}

/// Looks at the rest of it, for a plan that restarts Falcosidekick.
pub async fn look(hook: &Hook, facts: &mut Facts) -> Result<()> {
    let Some(turns) = &mut facts.turns else { return Ok(()) };
    if turns.peers.is_none() {
        turns.peers = peers(hook, turns.relation)?;
    }
    let runs = match hook.container(CONTAINER)?.services(&[SERVICE]).await {
        Err(error) if error.is_not_ready() => false,
        services => services?.first().is_some_and(|service| service.current == Current::Active),
    };
    turns.runs = Some(runs);
    Ok(())
}

/// One hook command, and if there are other units one more and one for each of them.
fn peers(hook: &Hook, relation: RelationId) -> Result<Option<Peers>> {
    let Some(others) = relation::remote_units_of(&[relation])?.pop() else { return Ok(None) };
    // Every unit may read it, as it is that of the other side as well.
    let app = relation::own(hook, relation, Side::App)?.unwrap_or_default();
    Ok(Some(Peers { units: others.units, app }))
}
