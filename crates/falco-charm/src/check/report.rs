//! What `falco -V` says about rules files, in words. Pure.
//!
//! Falco compiles everything it has read so far again after each file. So an error can stand in the report of a file
//! and be about a rule of an earlier one, and comes again in the report of each later file.

use std::collections::BTreeSet;

use charm_core::status::one_line;
use serde::Deserialize;

use super::RulesFile;
use super::schema::{Misfit, Problem};
use super::words::{Names, plain};

/// How much of a line of the rules is quoted, in characters.
const LONGEST_QUOTE: usize = 100;

/// How long the words on one file may be when there are several, so that two fit into a rejection.
const LONGEST_OF_SEVERAL: usize = 135;

/// How much of the name of a rule is quoted. Names are the operator's, and nothing bounds them.
const LONGEST_NAME: usize = 80;

/// The report on one file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Report {
    /// Its path.
    pub name: String,
    /// Why it cannot be used.
    #[serde(default)]
    pub errors: Vec<Finding>,
    /// What else is to be said.
    #[serde(default)]
    pub warnings: Vec<Finding>,
    /// What does not fit the schema of rules. Not there when there is nothing to look at.
    #[serde(default)]
    pub schema_warnings: Vec<String>,
}

/// An error or a warning.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
pub struct Finding {
    /// Such as `LOAD_ERR_VALIDATE`.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub context: Context,
}

/// Where something was found.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
pub struct Context {
    /// From the file inwards.
    pub locations: Vec<Location>,
    /// A piece of the text, and a caret below it.
    #[serde(default)]
    pub snippet: String,
}

/// One step from the file inwards.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
pub struct Location {
    /// Such as `rule`, or `rule condition`.
    pub item_type: String,
    /// The name of the rule, macro or list, or nothing.
    pub item_name: String,
    /// Where it starts.
    pub position: Position,
}

/// A place in a text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
pub struct Position {
    /// The path of the file, or the beginning of the condition.
    pub name: String,
    /// From 0.
    pub line: u64,
}

/// What an operator should know about files that can be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Rules that are there and do not detect.
    pub lost: Vec<String>,
    /// The rest.
    pub other: Vec<String>,
}

/// Finds the report in what Falco printed. There is none when it fails before it looks at the rules.
pub fn parse(stdout: &[u8]) -> Option<Vec<Report>> {
    #[derive(Deserialize)]
    struct Results {
        falco_load_results: Vec<Report>,
    }
    let text = String::from_utf8_lossy(stdout);
    // A plugin is free to print lines of its own.
    let results = text.lines().find_map(|line| serde_json::from_str::<Results>(line).ok())?;
    Some(results.falco_load_results)
}

/// Why these files cannot be used: the first error of each broken file, for two files in words.
pub fn rejection(reports: &[Report], rules: &[RulesFile], names: &Names) -> Option<String> {
    let mut known = BTreeSet::new();
    let mut broken = Vec::new();
    for report in reports {
        let new: Vec<&Finding> = report.errors.iter().filter(|error| known.insert(*error)).collect();
        broken.extend(new.first().map(|error| names.clean(&in_words(error, report, rules, names))));
    }
    match broken.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        [first, second, others @ ..] => {
            let [first, second] = [first, second].map(|text| one_line(text, LONGEST_OF_SEVERAL));
            let others = match others.len() {
                0 => String::new(),
                1 => "; and 1 more file".to_owned(),
                count => format!("; and {count} more files"),
            };
            Some(format!("{first}; {second}{others}"))
        }
    }
}

/// What to remark on files that can be used.
pub fn remarks(reports: &[Report], rules: &[RulesFile], names: &Names) -> Remarks {
    let mut known = BTreeSet::new();
    let mut told = BTreeSet::new();
    let mut remarks = Remarks::default();
    for report in reports {
        for warning in report.warnings.iter().filter(|warning| known.insert(*warning)) {
            let Some((list, words)) = remark(warning, &mut remarks) else { continue };
            let text = names.remark(&format!("{}: {words}", warning.place("in", report, rules, names)));
            if told.insert(text.clone()) {
                list.push(text);
            }
        }
        // Both the schema and the loader find most unknown keys, and only the loader knows the rule.
        let keys: BTreeSet<&str> = report.warnings.iter().filter_map(Finding::unknown_key).collect();
        for misfit in report.schema_warnings.iter().filter_map(|text| Misfit::parse(text)) {
            let is_told = match &misfit.problem {
                Problem::Within => true,
                Problem::UnknownKey(key) => keys.contains(key.as_str()),
                Problem::WrongType | Problem::UnknownWord | Problem::Other(_) => false,
            };
            let text = names.remark(&format!("{}: {}", names.clean(&report.name), misfit.in_rules()));
            if !is_told && told.insert(text.clone()) {
                remarks.other.push(text);
            }
        }
    }
    remarks
}

/// A warning in words and the list it belongs to; `None` if nobody need know.
fn remark<'a>(warning: &Finding, remarks: &'a mut Remarks) -> Option<(&'a mut Vec<String>, String)> {
    let Remarks { lost, other } = remarks;
    let item = warning.item().unwrap_or_else(|| "something".to_owned());
    let message = warning.message.trim_end_matches('.');
    Some(match warning.code.as_str() {
        // Whoever shares macros between files has some that one machine does not use.
        "LOAD_UNUSED_MACRO" | "LOAD_UNUSED_LIST" => return None,
        "LOAD_UNKNOWN_SOURCE" => {
            let source = message.strip_prefix("Unknown source ").and_then(|rest| rest.strip_suffix(", skipping"));
            let why = source.map_or_else(|| message.to_owned(), |source| format!("nothing provides source {source}"));
            (lost, format!("{item} is skipped: {why}"))
        }
        "LOAD_UNKNOWN_FILTER" => (lost, format!("{item} is skipped: {message}")),
        "LOAD_NO_EVTTYPE" => (other, format!("{item} is slow: its condition matches too many types of events")),
        "LOAD_UNKNOWN_KEY" => match warning.unknown_key() {
            Some(key) => (other, format!("{item}: unknown key {key} is ignored")),
            None => (other, format!("{item}: {message}")),
        },
        _ => (other, format!("{item}: {message}")),
    })
}

/// An error, with everything that helps to find it.
fn in_words(error: &Finding, report: &Report, rules: &[RulesFile], names: &Names) -> String {
    let mut text = error.place("breaks", report, rules, names);
    text.extend(error.item().map(|item| format!(": {item}")));
    text.extend(error.part().map(|part| format!(": {part}")));
    text.extend([": ".to_owned(), error.reason()]);
    text.extend(error.quote().map(|quote| format!(" in \"{quote}\"")));
    text
}

impl Finding {
    /// The file it is about, which is not always the one whose report it stands in.
    fn file(&self) -> Option<&str> {
        self.context.locations.first().map(|location| location.position.name.as_str())
    }

    /// The steps that lie in the file. The others lie in a condition, with positions that belong to neither.
    fn in_file(&self) -> impl Iterator<Item = &Location> {
        self.context.locations.iter().filter(|location| Some(location.position.name.as_str()) == self.file())
    }

    /// The file and the line, counted from 1 as editors do. A file that changes a rule or a macro of an earlier one can
    /// do harm there; then it is named first, and `harm` says what it does.
    fn place(&self, harm: &str, report: &Report, rules: &[RulesFile], names: &Names) -> String {
        let file = self.file().unwrap_or(&report.name);
        let culprit = rules.iter().find(|other| file != report.name && other.path.as_os_str() == report.name.as_str());
        let culprit = culprit.map(|culprit| format!("{}: {harm} ", culprit.shown)).unwrap_or_default();
        let line = self.in_file().last().map(|location| location.position.line.saturating_add(1));
        let line = line.map(|line| format!(": line {line}")).unwrap_or_default();
        format!("{culprit}{}{line}", names.clean(file))
    }

    /// Such as `rule 'x'`.
    fn item(&self) -> Option<String> {
        let location = self.context.locations.iter().rfind(|location| !location.item_name.is_empty())?;
        Some(format!("{} '{}'", location.item_type, one_line(&location.item_name, LONGEST_NAME)))
    }

    /// Which part of a rule, such as `condition`.
    fn part(&self) -> Option<&str> {
        self.in_file().last()?.item_type.strip_prefix("rule ")
    }

    /// What is wrong, where Falco's own words can be made plainer.
    fn reason(&self) -> String {
        let message = self.message.trim_end_matches('.');
        if self.code == "LOAD_ERR_YAML_PARSE" {
            // The parser repeats the place.
            let words = message.strip_prefix("yaml-cpp: error at line ").and_then(|rest| rest.split_once(": "));
            return format!("not valid YAML: {}", words.map_or(message, |(_, words)| words));
        }
        plain(message)
    }

    /// The line of the rules that Falco quotes, where it tells more than the message.
    fn quote(&self) -> Option<String> {
        let line = self.context.snippet.lines().next()?.trim();
        let is_header = line.starts_with("- ");
        // A field or a macro by its name says it better than the line it stands in.
        let mut words = self.message.split(|c: char| !c.is_alphanumeric() && c != '.' && c != '_');
        let is_named = words.any(|word| word.trim_matches('.').contains(['.', '_']) && line.contains(word));
        let tells = !line.is_empty() && !is_header && !is_named && self.code != "LOAD_ERR_YAML_PARSE";
        tells.then(|| one_line(line, LONGEST_QUOTE))
    }

    /// The key of a warning about an unknown one.
    fn unknown_key(&self) -> Option<&str> {
        let quoted = self.message.strip_prefix("Unknown key '").filter(|_| self.code == "LOAD_UNKNOWN_KEY")?;
        quoted.split_once("'. ").map(|(key, _)| key)
    }
}
