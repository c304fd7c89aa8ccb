//! Holds what our charm has done against the vector and the list.

use std::collections::BTreeSet;

use serde_json::json;

use super::differs::{Differs, Entry, Vectors};
use super::format::Vector;
use super::places::{self, Difference, Seen};
use super::play::{End, Played, Run};
use crate::coverage::{Count, Table};

/// What comes of it.
#[derive(Debug, Default)]
pub struct Judgement {
    /// One line for each vector.
    pub table: Vec<String>,
    /// What became of them, by charm.
    pub coverage: Table,
    /// What is wrong.
    pub problems: Vec<String>,
    /// What the list has and no vector needs.
    pub stale: Vec<String>,
    /// Vectors that say of themselves that they are wrong, and of which the list does not tell what is right.
    pub undecided: Vec<String>,
}

/// Compares everything with the list.
pub fn judge(list: &Differs, all: &[Played]) -> Judgement {
    let mut judge = Judge { list, used: Used::new(), judgement: Judgement::default() };
    for Played { vector, end } in all {
        let name = vector.name();
        let not_run = is_in(&list.not_run, &name);
        let charm = name.split('/').next().unwrap_or(&name).to_owned();
        let line = match end {
            End::Failed(problem) => {
                judge.judgement.problems.push(format!("{name}: {problem}"));
                "FAILED".to_owned()
            }
            End::NotRun(_) if not_run => {
                judge.count(charm).not_played();
                "not run, listed".to_owned()
            }
            End::NotRun(reason) => {
                judge.judgement.problems.push(format!("{name} is neither run nor listed: {reason}"));
                "NOT RUN".to_owned()
            }
            End::Run(run) => judge.run(charm, vector, run),
        };
        judge.judgement.table.push(format!("{name:<60} {line}"));
        if not_run && !matches!(end, End::NotRun(_)) {
            judge.judgement.stale.push(format!("{name} is listed as not run, and can be run"));
        }
    }
    judge.look_for_what_is_not_needed(all);
    judge.judgement
}

/// What of the list was needed: the number of an entry, the name in it that means the vector if there is one, a place.
type Used = BTreeSet<(usize, Option<String>, String)>;

struct Judge<'a> {
    list: &'a Differs,
    used: Used,
    judgement: Judgement,
}

impl Judge<'_> {
    fn count(&mut self, charm: String) -> &mut Count {
        self.judgement.coverage.entry(charm).or_default()
    }

    /// One vector that ran. Returns its line of the table.
    fn run(&mut self, charm: String, vector: &Vector, run: &Run) -> String {
        let name = vector.name();
        let mut wanted = run.says.clone();
        // No vector speaks of it, and no hook of ours may have anything to do when it runs again.
        wanted.insert("again".to_owned(), json!([]));
        let named = self.put_in_what_is_named(&name, vector, run, &mut wanted);
        let mut listed = named.len();
        let mut unlisted = Vec::new();
        for difference in places::differences(&wanted, &run.ours) {
            let place = places::general(&difference.place);
            let is_right = |(_, entry): &(usize, &Entry)| {
                let kind = entry.r#where.as_ref().filter(|_| entry.ours.contains_key(&place));
                kind.is_some_and(|kind| kind.has(vector))
                    && entry.right(&place, &difference.place, vector, &run.before) == difference.ours
            };
            let entry = self.list.differs.iter().enumerate().find(is_right).filter(|_| !named.contains(&place));
            match entry {
                Some((number, _)) => {
                    self.used.insert((number, None, place));
                    listed += 1;
                }
                None => unlisted.push(difference),
            }
        }
        let line = format!("run, {} places, {listed} of them otherwise", wanted.len());
        if !unlisted.is_empty() {
            let text: Vec<String> = unlisted.iter().map(describe).collect();
            let text = format!("{name}:\n  {}\n{}", text.join("\n  "), indented(&run.report));
            // What is right there, only somebody who knows the vector can put into the list.
            let is_undecided = vector.upstream_bug.is_some() && named.is_empty();
            let judgement = &mut self.judgement;
            (if is_undecided { &mut judgement.undecided } else { &mut judgement.problems }).push(text);
            return format!("FAILED, {line}, {} more not listed", unlisted.len());
        }
        if vector.upstream_bug.is_some() && listed == 0 && !is_in(&self.list.not_mended, &name) {
            self.judgement.undecided.push(format!("{name}: it comes out as the vector has it"));
        }
        let count = self.count(charm);
        if listed == 0 {
            count.passed();
        } else {
            count.otherwise();
        }
        line
    }

    /// Replaces what the vector says by what an entry with its name says, and returns the places.
    fn put_in_what_is_named(&mut self, name: &str, vector: &Vector, run: &Run, wanted: &mut Seen) -> BTreeSet<String> {
        let mut named = BTreeSet::new();
        for (number, entry) in self.list.differs.iter().enumerate() {
            let Some(naming) = entry.naming(name) else { continue };
            for place in entry.ours.keys() {
                for key in keys_of(place, &run.says, &run.ours) {
                    let right = entry.right(place, &key, vector, &run.before);
                    if run.says.get(&key) != Some(&right) {
                        self.used.insert((number, Some(naming.clone()), place.clone()));
                    }
                    wanted.insert(key, right);
                }
                named.insert(place.clone());
            }
        }
        named
    }

    fn look_for_what_is_not_needed(&mut self, all: &[Played]) {
        let Self { list, used, judgement } = self;
        let stale = &mut judgement.stale;
        for (number, entry) in list.differs.iter().enumerate() {
            let Entry { reason, vectors, r#where: kind, ours } = entry;
            if reason.trim().is_empty() || ours.is_empty() || vectors.is_empty() == kind.is_none() {
                stale.push(format!("entry {number} needs a reason, something in ours, and either vectors or where"));
            }
            for place in ours.keys() {
                for name in vectors {
                    if !used.contains(&(number, Some(name.clone()), place.clone())) {
                        stale.push(format!("{name}: {place} needs no entry ({reason})"));
                    }
                }
                if kind.is_some() && !used.contains(&(number, None, place.clone())) {
                    stale.push(format!("{place}: no vector needs this entry ({reason})"));
                }
            }
        }
        let known: BTreeSet<String> = all.iter().map(|played| played.vector.name()).collect();
        let named = list.differs.iter().map(|entry| (&entry.reason, &entry.vectors));
        let others = list.not_run.iter().chain(&list.not_mended);
        for (reason, vectors) in named.chain(others.map(|Vectors { reason, vectors }| (reason, vectors))) {
            let unknown = vectors.iter().filter(|name| !name.ends_with('*') && !known.contains(*name));
            stale.extend(unknown.map(|name| format!("there is no vector {name} ({reason})")));
        }
        for played in all.iter().filter(|played| is_in(&list.not_mended, &played.vector.name())) {
            let name = played.vector.name();
            if played.vector.upstream_bug.is_none() {
                stale.push(format!("{name} is listed as not mended, and knows of no mistake"));
            }
            if list.differs.iter().any(|entry| entry.naming(&name).is_some()) {
                stale.push(format!("{name} is listed as not mended, and another entry tells what is right"));
            }
        }
    }
}

fn is_in(list: &[Vectors], name: &String) -> bool {
    list.iter().any(|entry| entry.vectors.contains(name))
}

/// The places with the number of the relation that a place of the list stands for.
fn keys_of(place: &str, says: &Seen, ours: &Seen) -> BTreeSet<String> {
    let known = says.keys().chain(ours.keys()).filter(|key| places::general(key) == place).cloned();
    let known: BTreeSet<String> = known.collect();
    if known.is_empty() { [place.to_owned()].into() } else { known }
}

fn describe(Difference { place, vector, ours }: &Difference) -> String {
    format!("{place}: {ours}, not {vector}")
}

fn indented(text: &str) -> String {
    text.lines().flat_map(|line| ["    | ", line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;
    use crate::juju::State;
    use crate::vectors::folder;

    fn vector(name: &str) -> Vector {
        let all = folder::read(&folder::own()).unwrap();
        all.into_iter().find(|vector| vector.name() == name).unwrap()
    }

    /// A run in which the vector says that the ports are these, and ours are those.
    fn played(name: &str, says: &Value, ours: &Value) -> Played {
        let ports = |value: &Value| ("ports".to_owned(), value.clone());
        let run = Run {
            says: [ports(says)].into(),
            before: BTreeMap::new(),
            ours: [ports(ours), ("again".to_owned(), json!([]))].into(),
            adapted: BTreeSet::new(),
            state: State::default(),
            report: String::new(),
        };
        Played { vector: vector(name), end: End::Run(Box::new(run)) }
    }

    fn judge_with(list: &str, all: &[Played]) -> Judgement {
        judge(&serde_yaml::from_str(list).unwrap(), all)
    }

    const NAMED: &str = "differs: [{reason: why, vectors: [falcosidekick/http_endpoint_1], ours: {ports: [2801]}}]";
    const KIND: &str =
        "differs: [{reason: why, where: {charm: falcosidekick-k8s, related: ingress}, ours: {ports: ['{port}']}}]";

    #[test]
    fn a_difference_has_to_be_listed_with_the_right_value() {
        let name = "falcosidekick/http_endpoint_1";
        for (list, ours) in [(NAMED, json!([2801])), (KIND, json!(["2801"]))] {
            let listed = judge_with(list, &[played(name, &json!([80]), &ours)]);
            assert!(listed.problems.is_empty() && listed.stale.is_empty(), "{listed:?}");
            let wrong = judge_with(list, &[played(name, &json!([80]), &json!([81]))]);
            assert_eq!(wrong.problems.len(), 1, "{wrong:?}");
        }
        let unlisted = judge_with("differs: []", &[played(name, &json!([80]), &json!([2801]))]);
        assert_eq!(unlisted.problems, [format!("{name}:\n  ports: [2801], not [80]\n")]);
        let mut again = played(name, &json!([80]), &json!([80]));
        let End::Run(run) = &mut again.end else { panic!() };
        run.ours.insert("again".into(), json!(["open-port 80"]));
        assert_eq!(judge_with("differs: []", &[again]).problems.len(), 1);
        let same = judge_with("differs: []", &[played(name, &json!([80]), &json!([80]))]).coverage["falcosidekick"];
        assert_eq!((same.passed, same.listed), (1, 0));
        let otherwise = judge_with(NAMED, &[played(name, &json!([80]), &json!([2801]))]).coverage["falcosidekick"];
        assert_eq!((otherwise.passed, otherwise.listed), (0, 1));
    }

    #[test]
    fn what_the_list_has_and_no_vector_needs_is_stale() {
        let name = "falcosidekick/http_endpoint_1";
        for list in [NAMED, KIND] {
            let right_anyway = if list == NAMED { json!([2801]) } else { json!(["2801"]) };
            let stale = judge_with(list, &[played(name, &right_anyway, &right_anyway)]).stale;
            assert_eq!(stale.len(), 1, "{stale:?}");
        }
        for (list, count) in [
            ("differs: [{reason: why, vectors: [falco/none], ours: {ports: []}}]", 2),
            ("differs: [{reason: ' ', vectors: [falcosidekick/http_endpoint_1], ours: {ports: [2801]}}]", 1),
            ("{differs: [], not-run: [{reason: why, vectors: [falcosidekick/http_endpoint_1]}]}", 1),
            ("{differs: [], not-mended: [{reason: why, vectors: [falcosidekick/http_endpoint_1]}]}", 1),
        ] {
            let stale = judge_with(list, &[played(name, &json!([80]), &json!([2801]))]).stale;
            assert_eq!(stale.len(), count, "{list}: {stale:?}");
        }
    }

    #[test]
    fn a_vector_is_run_or_listed_with_the_reason() {
        let not_run = || Played { vector: vector("falco/start"), end: End::NotRun("no hook of ours".into()) };
        assert_eq!(judge_with("differs: []", &[not_run()]).problems.len(), 1);
        let list = "{differs: [], not-run: [{reason: why, vectors: [falco/start]}]}";
        let listed = judge_with(list, &[not_run()]);
        assert!(listed.problems.is_empty() && listed.stale.is_empty(), "{listed:?}");
        let failed = Played { vector: vector("falco/start"), end: End::Failed("it panicked".into()) };
        assert_eq!(judge_with(list, &[failed]).problems.len(), 1);
    }

    #[test]
    fn of_a_vector_that_knows_it_is_wrong_somebody_has_to_tell_what_is_right() {
        let all = [played("falco/config_changed_no_url", &json!([]), &json!([]))];
        assert_eq!(judge_with("differs: []", &all).undecided.len(), 1);
        let list = "{differs: [], not-mended: [{reason: why, vectors: [falco/config_changed_no_url]}]}";
        assert!(judge_with(list, &all).undecided.is_empty());
        let list = "differs: [{reason: why, vectors: [falco/config_changed_no_url], ours: {again: []}}]";
        let judgement = judge_with(list, &all);
        assert!(judgement.undecided.is_empty() && judgement.stale.is_empty(), "{judgement:?}");
    }
}
