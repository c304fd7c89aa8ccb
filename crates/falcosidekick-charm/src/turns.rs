//! Who may restart Falcosidekick now. Pure.
//!
//! A restart takes a second or two in which a unit takes no alerts, so those of several units must not fall together. A
//! unit that needs one asks for a turn in the peer relation, the leader gives one turn at a time, and whoever has it
//! restarts in that hook, sees whether Falcosidekick serves again, and takes its question back.
//!
//! * **A restart that fails ends the line.** Whoever does not come back keeps its turn, and the others go on with the
//!   configuration that they had: what one Falcosidekick does not live with takes down one, and not all.
//! * **Whoever does not use a turn loses it**, as a unit whose pod is gone answers nobody. The turn goes round by the
//!   numbers of the units, so that it comes to all.
//! * **A leader that gives none**, because its hooks fail, is waited for, and then done without.
//! * **No turn is needed** by the only unit, by one whose Falcosidekick does not run, and where it is to listen elsewhere:
//!   callers are sent from there to here once, and each unit that is late is one more that they do not find.
//!
//! A question is known again by the time at which it was asked, so that a turn that was given for one is of no use for
//! the next. That time is compared with nothing but the clock that it is of.

use std::collections::BTreeMap;

use charm_core::Status;
use charm_core::names::{RelationId, UnitName};
use charm_core::relation::{Databag, Side, difference};
use charm_core::secret::Redacted;
use serde::{Deserialize, Serialize};

use crate::facts::Facts;
use crate::names::{CERTIFICATE_FILE, KEY_FILE, RESTART_TURNS};
use crate::plan::{Plan, Publish, ServiceAction};

/// When a turn that nobody used is given to another unit, in seconds: twice as long as a unit may sleep, which has a hook
/// every five minutes at least.
const LONGEST: i64 = 10 * 60;

/// How long it is of use to whom it was given. The clocks of two machines may differ by what is left.
const USABLE: i64 = LONGEST / 2;

const ASKED: &str = "restart-asked";
const TRIED: &str = "restart-tried";
const TURN: &str = "turn";

/// What is known of the turns.
#[derive(Clone, Debug)]
pub struct Turns {
    /// The peer relation.
    pub relation: RelationId,
    /// This unit.
    pub unit: UnitName,
    /// What it said.
    pub said: Databag,
    /// What the others said; `None` where nobody looked, because nothing depends on it.
    pub peers: Option<Peers>,
    /// Whether Falcosidekick runs; `None` where nobody looked.
    pub runs: Option<bool>,
}

/// What the other units and the leader said.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    /// Each of the others.
    pub units: BTreeMap<UnitName, Databag>,
    /// The application.
    pub app: Databag,
}

/// What a unit says: nothing unless it needs a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Question {
    /// Since when it asks for a turn.
    asked: Option<i64>,
    /// The same, once it has restarted for it and does not serve yet.
    tried: Option<i64>,
}

impl Question {
    fn read(databag: &Databag) -> Self {
        let time = |key| databag.get(key).and_then(|text| text.parse().ok());
        Self { asked: time(ASKED), tried: time(TRIED) }
    }

    fn write(&self) -> Databag {
        let text = |time: Option<i64>| time.map(|time| time.to_string()).unwrap_or_default();
        [(ASKED, text(self.asked)), (TRIED, text(self.tried))].into_iter().collect()
    }

    fn is_tried(&self) -> bool {
        self.asked.is_some() && self.asked == self.tried
    }
}

/// What the leader says: whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Turn {
    unit: String,
    /// For which question.
    asked: i64,
    /// When, by the clock of the leader.
    given: i64,
}

impl Turn {
    fn read(databag: &Databag) -> Option<Self> {
        serde_json::from_str(databag.get(TURN)?).ok()
    }

    fn write(turn: Option<&Self>) -> Databag {
        let text = turn.map(|turn| serde_json::to_string(turn).expect("texts and numbers are JSON"));
        [(TURN, text.unwrap_or_default())].into_iter().collect()
    }

    fn is_of(&self, unit: &UnitName, question: &Question) -> bool {
        self.unit == unit.to_string() && question.asked == Some(self.asked)
    }

    /// Whoever failed may try again for as long as it keeps the others from trying.
    fn is_usable(&self, unit: &UnitName, question: &Question, now: i64) -> bool {
        self.is_of(unit, question) && (question.is_tried() || now < self.given.saturating_add(USABLE))
    }

    /// Whether nobody else may have one yet.
    fn is_held(&self, unit: &UnitName, question: &Question, now: i64) -> bool {
        self.is_of(unit, question) && (question.is_tried() || now < self.given.saturating_add(LONGEST))
    }
}

/// What was decided about turns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// Whether the others have to be looked at first.
    look_at_peers: bool,
    /// Whether a restart has to wait, and why.
    waits: Option<Status>,
    /// Said whatever becomes of the service.
    say: Vec<Publish>,
    /// Said once it serves.
    say_when_serving: Vec<Publish>,
    /// Something that an operator may want to know.
    note: Option<Status>,
}

/// Decides about a restart if there is to be one, and about the turns of others if this is the leader.
pub fn decide(facts: &Facts, needs_restart: bool) -> Decision {
    let Some(turns) = &facts.turns else { return Decision::default() };
    if needs_restart && turns.runs.is_none() {
        return Decision { look_at_peers: true, waits: Some(waiting(None)), ..Decision::default() };
    }
    let said = Question::read(&turns.said);
    // Whoever tried goes on saying so until it serves.
    let rests = if said.is_tried() { said.clone() } else { Question::default() };
    let Some(peers) = &turns.peers else {
        return turns.say(facts.leader, (&rests, None), Some((&Question::default(), None)));
    };
    let units = peers.units.iter().map(|(unit, databag)| (unit, Question::read(databag)));
    let others: BTreeMap<&UnitName, Question> = units.collect();
    let given = Turn::read(&peers.app);
    let turn_with = |question: &Question| {
        let mut all = others.clone();
        all.insert(&turns.unit, question.clone());
        if facts.leader { next(given.as_ref(), &all, facts.now) } else { given.clone() }
    };
    let turn_afterwards = turn_with(&Question::default());
    let afterwards = (&Question::default(), turn_afterwards.as_ref());
    if !needs_restart || turns.runs == Some(false) || others.is_empty() {
        return turns.say(facts.leader, (&rests, turn_with(&rests).as_ref()), Some(afterwards));
    }
    let mut question = Question { asked: said.asked.or(Some(facts.now)), tried: said.tried };
    let turn = turn_with(&question);
    let has_turn = turn.as_ref().is_some_and(|turn| turn.is_usable(&turns.unit, &question, facts.now));
    let is_held_by = |unit, question: &Question| turn.as_ref().is_some_and(|turn| turn.is_of(unit, question));
    let failed = others.iter().find(|(unit, question)| question.is_tried() && is_held_by(unit, question));
    let is_forgotten = failed.is_none() && is_forgotten(&turns.unit, &question, &others, facts.now);
    if !has_turn && !is_forgotten {
        let waits = Some(waiting(failed.map(|(unit, _)| *unit)));
        return Decision { waits, ..turns.say(facts.leader, (&question, turn.as_ref()), None) };
    }
    question.tried = question.asked;
    let note =
        || Status::Active(format!("{RESTART_TURNS}: restarted without a turn, as the leader gave none for long"));
    let said = turns.say(facts.leader, (&question, turn.as_ref()), Some(afterwards));
    Decision { note: (!has_turn).then(note), ..said }
}

impl Turns {
    /// What has to be said now, and what after that, once Falcosidekick serves. Of turns the leader alone speaks, who knows
    /// the others.
    fn say(
        &self,
        leader: bool,
        now: (&Question, Option<&Turn>),
        afterwards: Option<(&Question, Option<&Turn>)>,
    ) -> Decision {
        let unit = |said: &Databag, question: &Question| self.publish(Side::Unit, said, &question.write());
        let app = |said: &Databag, turn| self.publish(Side::App, said, &Turn::write(turn));
        let mut decision = Decision::default();
        decision.say.extend(unit(&self.said, now.0));
        decision.say_when_serving.extend(afterwards.and_then(|after| unit(&with(&self.said, &now.0.write()), after.0)));
        if let Some(peers) = self.peers.as_ref().filter(|_| leader) {
            decision.say.extend(app(&peers.app, now.1));
            decision
                .say_when_serving
                .extend(afterwards.and_then(|after| app(&with(&peers.app, &Turn::write(now.1)), after.1)));
        }
        decision
    }

    fn publish(&self, side: Side, said: &Databag, wanted: &Databag) -> Option<Publish> {
        let changes = difference(said, wanted);
        let publish = Publish { endpoint: RESTART_TURNS, relation: self.relation, side, changes };
        (!publish.changes.is_empty()).then_some(publish)
    }
}

/// A databag after these changes.
fn with(said: &Databag, changes: &Databag) -> Databag {
    said.iter().chain(changes.iter()).collect()
}

/// Whose turn it is.
fn next(given: Option<&Turn>, all: &BTreeMap<&UnitName, Question>, now: i64) -> Option<Turn> {
    let held = given.filter(|turn| all.iter().any(|(unit, question)| turn.is_held(unit, question, now)));
    if held.is_some() {
        return held.cloned();
    }
    let last = given.and_then(|turn| turn.unit.parse::<UnitName>().ok());
    let is_later = |unit: &UnitName| last.as_ref().is_some_and(|last| unit > last);
    let waiting = || all.iter().filter_map(|(unit, question)| Some((*unit, question.asked?)));
    let (unit, asked) = waiting().find(|(unit, _)| is_later(unit)).or_else(|| waiting().next())?;
    Some(Turn { unit: unit.to_string(), asked, given: now })
}

/// Whether this unit has waited for so long that a turn would have come round, if anybody gave turns. Units come to this
/// one after another.
fn is_forgotten(unit: &UnitName, question: &Question, others: &BTreeMap<&UnitName, Question>, now: i64) -> bool {
    let before = others.keys().filter(|other| **other < unit).count();
    let turns = i64::try_from(others.len() + 2 + before).unwrap_or(i64::MAX);
    question.asked.is_some_and(|asked| now > asked.saturating_add(LONGEST.saturating_mul(turns)))
}

fn waiting(failed: Option<&UnitName>) -> Status {
    Status::Waiting(match failed {
        Some(unit) => format!(
            "{RESTART_TURNS}: {unit} does not serve after its restart, so this unit goes on with the configuration it had \
             until that one does"
        ),
        None => format!("{RESTART_TURNS}: waiting for the turn of this unit to restart with the new configuration"),
    })
}

impl Decision {
    /// Puts it into the plan, of which nothing is left that takes a restart if that has to wait.
    pub fn put_into(self, plan: &mut Plan) {
        let Self { look_at_peers, waits, say, say_when_serving, note } = self;
        plan.look_at_peers = look_at_peers;
        plan.introduce.extend(say);
        plan.publish.extend(say_when_serving);
        plan.notes.extend(note);
        if let Some(status) = waits {
            hold_back(plan);
            plan.notes.push(status);
        }
    }
}

/// What runs goes on, and is told to whom it has to be told, unless it shows itself as somebody else than it will.
fn hold_back(plan: &mut Plan) {
    let is_to_be_another = plan.write.iter().any(|file| [CERTIFICATE_FILE, KEY_FILE].contains(&file.path.as_str()));
    plan.write.clear();
    plan.remove.clear();
    plan.layer = None;
    plan.outputs.clear();
    plan.tell_version = false;
    plan.keep_options = Redacted::default();
    if is_to_be_another {
        plan.service = ServiceAction::Leave;
    }
}

#[cfg(test)]
mod tests;
