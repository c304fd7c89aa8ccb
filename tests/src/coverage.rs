//! Tables of the recordings: how many there are, and what becomes of each.
//!
//! A test that plays recordings counts them by command or program while it does, and holds the count against a table
//! that is kept beside the recordings. Nobody can take a recording away, leave one out or list one more without
//! changing the table, which whoever reviews the change sees. Whether what was played came out right is not judged
//! here: the test that plays says that, with the name of the recording.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// The variable that makes tests write what they count, as it makes them write golden files.
const UPDATE: &str = "UPDATE_GOLDEN";

/// Counts by command, by program, or by whatever else the recordings fall into.
pub type Table = BTreeMap<String, Count>;

/// What became of the recordings of one command or program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// All there are.
    pub recordings: usize,
    /// Those that were played, whatever came out.
    pub played: usize,
    /// Those that came out as recorded.
    pub passed: usize,
    /// Those that are not played, or come out otherwise on purpose. The reason stands in a file.
    pub listed: usize,
}

impl Count {
    /// One that came out as recorded.
    pub fn passed(&mut self) {
        self.recordings += 1;
        self.played += 1;
        self.passed += 1;
    }

    /// One that came out otherwise, and is listed with the reason.
    pub fn otherwise(&mut self) {
        self.recordings += 1;
        self.played += 1;
        self.listed += 1;
    }

    /// One that was not played, and is listed with the reason.
    pub fn not_played(&mut self) {
        self.recordings += 1;
        self.listed += 1;
    }

    fn plus(self, other: Self) -> Self {
        Self {
            recordings: self.recordings + other.recordings,
            played: self.played + other.played,
            passed: self.passed + other.passed,
            listed: self.listed + other.listed,
        }
    }
}

/// A table as it is kept.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    reasons: String,
    recordings: Table,
    all: Count,
}

/// Holds what a test has counted against the table in `tests/<file>`. `reasons` is the file, also below `tests`, that
/// has a reason for each recording that is listed.
///
/// # Panics
/// If they differ, with the rows that do and the command that takes the count over; or if a recording neither came out
/// as recorded nor is listed.
#[track_caller]
pub fn check(file: &str, reasons: &str, counted: &Table) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(tests.join(reasons).is_file(), "there is no tests/{reasons}, where the reasons are said to be");
    if let Err(problem) = add_up(counted) {
        panic!("{problem}");
    }
    let path = tests.join(file);
    if std::env::var_os(UPDATE).is_some_and(|value| !value.is_empty()) {
        let text = text(reasons, counted);
        fs::write(&path, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        return;
    }
    let kept = fs::read_to_string(&path).map_err(|error| error.to_string());
    if let Err(problem) = kept.and_then(|kept| compare(&kept, reasons, counted)) {
        let command = format!("{UPDATE}=1 cargo test --package charm-tests, and the test that failed here");
        panic!("tests/{file}: {problem}\nif the change is wanted, take it over by: {command}");
    }
}

/// Every recording has come to a good end or has a reason.
fn add_up(counted: &Table) -> Result<(), String> {
    for (name, count) in counted {
        if count.passed + count.listed != count.recordings || count.played > count.recordings {
            return Err(format!("{name}: {} do not add up, some are neither passed nor listed", words(*count)));
        }
    }
    Ok(())
}

fn compare(kept: &str, reasons: &str, counted: &Table) -> Result<(), String> {
    let kept: Kept = serde_yaml::from_str(kept).map_err(|error| error.to_string())?;
    let mut problems = Vec::new();
    if kept.reasons != reasons {
        problems.push(format!("the reasons are in {reasons}, not in {}", kept.reasons));
    }
    let names = kept.recordings.keys().chain(counted.keys().filter(|name| !kept.recordings.contains_key(*name)));
    for name in names {
        match (kept.recordings.get(name), counted.get(name)) {
            (Some(before), Some(now)) if before == now => {}
            (before, now) => {
                let say = |count: Option<&Count>| count.map_or_else(|| "nothing".to_owned(), |count| words(*count));
                problems.push(format!("{name}: counted {}; the table has {}", say(now), say(before)));
            }
        }
    }
    if problems.is_empty() && kept.all != sum(counted) {
        problems.push(format!("all: counted {}; the table has {}", words(sum(counted)), words(kept.all)));
    }
    if problems.is_empty() { Ok(()) } else { Err(format!("not what was counted\n  {}", problems.join("\n  "))) }
}

fn words(count: Count) -> String {
    let Count { recordings, played, passed, listed } = count;
    format!("{recordings} recordings, {played} played, {passed} passed, {listed} listed")
}

fn sum(counted: &Table) -> Count {
    counted.values().fold(Count::default(), |sum, count| sum.plus(*count))
}

/// One line for each row, which no serializer would write.
fn text(reasons: &str, counted: &Table) -> String {
    let mut text = String::from(
        "# What became of the recordings, as the test that plays them counts. It fails if this table says otherwise, and\n\
         # writes it anew with UPDATE_GOLDEN=1. Those that are listed are not played, or come out otherwise on purpose.\n",
    );
    let row = |count: Count| {
        let Count { recordings, played, passed, listed } = count;
        format!("{{ recordings: {recordings}, played: {played}, passed: {passed}, listed: {listed} }}")
    };
    let _ = writeln!(text, "reasons: {reasons}\nall: {}\nrecordings:", row(sum(counted)));
    for (name, count) in counted {
        let name = if name.contains([' ', '/']) { format!("{name:?}") } else { name.clone() };
        let _ = writeln!(text, "  {name}: {}", row(*count));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted() -> Table {
        let mut table = Table::new();
        let count = table.entry("relation-set".into()).or_default();
        count.passed();
        count.passed();
        count.otherwise();
        table.entry("GET /v1/plan".into()).or_default().not_played();
        table
    }

    #[test]
    fn what_is_written_is_what_was_counted() {
        let text = text("list.yaml", &counted());
        assert_eq!(compare(&text, "list.yaml", &counted()), Ok(()));
        assert!(text.contains("\n  \"GET /v1/plan\": { recordings: 1, played: 0, passed: 0, listed: 1 }\n"), "{text}");
        assert!(text.contains("\nall: { recordings: 4, played: 3, passed: 2, listed: 2 }\n"), "{text}");
    }

    #[test]
    fn every_row_that_differs_is_named_with_both_counts() {
        let text = text("list.yaml", &counted());
        let mut other = counted();
        other.entry("relation-set".into()).or_default().passed();
        other.remove("GET /v1/plan");
        other.entry("relation-get".into()).or_default().passed();
        let problem = compare(&text, "list.yaml", &other).unwrap_err();
        let expected = "not what was counted\n  \
            GET /v1/plan: counted nothing; the table has 1 recordings, 0 played, 0 passed, 1 listed\n  \
            relation-set: counted 4 recordings, 4 played, 3 passed, 1 listed; \
            the table has 3 recordings, 3 played, 2 passed, 1 listed\n  \
            relation-get: counted 1 recordings, 1 played, 1 passed, 0 listed; the table has nothing";
        assert_eq!(problem, expected);
        assert!(compare(&text, "other.yaml", &counted()).unwrap_err().contains("the reasons are in other.yaml"));
        assert!(compare(&text.replace("recordings: 4", "recordings: 5"), "list.yaml", &counted()).is_err());
    }

    #[test]
    fn a_recording_that_is_neither_passed_nor_listed_is_a_mistake() {
        assert_eq!(add_up(&counted()), Ok(()));
        let lost = Table::from([("relation-get".into(), Count { recordings: 2, passed: 1, ..Count::default() })]);
        assert!(add_up(&lost).unwrap_err().contains("neither passed nor listed"));
    }

    #[test]
    #[should_panic(expected = "there is no tests/no-such-list.yaml")]
    fn the_file_with_the_reasons_has_to_be_there() {
        check("recordings/juju/coverage.yaml", "no-such-list.yaml", &counted());
    }
}
