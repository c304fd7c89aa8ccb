//! Rules files: what is in them, and loading them one after the other into one set.
//!
//! `rules::read` takes the items of a file, `rules::compile` makes conditions and outputs out of them. Both stop at the
//! first error, as Falco does.

mod compile;
mod read;

use std::sync::Arc;

use super::audit;
use super::evaluate;
use super::event::Event;
use super::fields::Fields;
use super::filter::Expression;
use super::format::Format;
use super::priority::Priority;
use super::report::{Code, Location, Problem, Report, snippet};
use super::schema;
use super::settings::{AppendOutput, Selector};
use crate::stand_in::yaml::{self, Mark};

/// The source of rules that name none.
const SYSCALL: &str = "syscall";

/// The version of the rules engine.
pub const ENGINE_VERSION: &str = "0.62.0";

/// What a rule may use and what is added to it.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Fields that exist.
    pub fields: Fields,
    /// Event sources that exist.
    pub sources: Vec<String>,
    /// `append_output`.
    pub append: Vec<AppendOutput>,
}

/// All items of all files.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_field_names, reason = "a file of rules holds lists, macros and rules")]
pub struct Rules {
    /// Lists.
    pub lists: Vec<List>,
    /// Macros.
    pub macros: Vec<Macro>,
    /// Rules, in the order in which they are tried.
    pub rules: Vec<Rule>,
    /// The newest `required_engine_version`.
    pub required_engine: Option<String>,
    /// `required_plugin_versions`: each entry lists alternatives as name and version.
    pub required_plugins: Vec<Vec<(String, String)>>,
}

/// Where an item was defined.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The file.
    pub file: String,
    /// Its content.
    pub content: Arc<str>,
    /// The item in it.
    pub mark: Mark,
}

/// Text and where it stood.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The text.
    pub text: String,
    /// Where.
    pub mark: Mark,
}

/// A list.
#[derive(Clone, Debug)]
pub struct List {
    /// Name.
    pub name: String,
    /// Items as written.
    pub items: Vec<String>,
    /// Items with lists put in.
    pub compiled: Vec<String>,
    /// Lists in it.
    pub lists: Vec<String>,
    /// Something refers to it.
    pub used: bool,
    /// Where it was defined.
    pub origin: Origin,
}

/// A macro.
#[derive(Clone, Debug)]
pub struct Macro {
    /// Name.
    pub name: String,
    /// Condition as written.
    pub condition: Source,
    /// Condition with everything put in.
    pub compiled: Option<Compiled>,
    /// Something refers to it.
    pub used: bool,
    /// Where it was defined.
    pub origin: Origin,
}

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Name.
    pub name: String,
    /// `desc`.
    pub description: String,
    /// Condition as written.
    pub condition: Source,
    /// Output as written.
    pub output: Source,
    /// `priority`.
    pub priority: Priority,
    /// `source`.
    pub source: String,
    /// `enabled`, as written.
    pub enabled: bool,
    /// What the configuration's `rules` says instead.
    pub selected: Option<bool>,
    /// `tags`.
    pub tags: Vec<String>,
    /// Has `exceptions` with values.
    pub exceptions: bool,
    /// Condition with everything put in; `None` when nothing provides the source.
    pub compiled: Option<Compiled>,
    /// Output with what is added to it.
    pub format: Format,
    /// Text of `format`.
    pub format_text: String,
    /// Fields that are added to the JSON.
    pub extra: Vec<(String, Format)>,
    /// Where it was defined.
    pub origin: Origin,
}

/// A condition with macros and lists put in.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The condition.
    pub expression: Expression,
    /// Macros it refers to itself.
    pub macros: Vec<String>,
    /// Lists it refers to itself.
    pub lists: Vec<String>,
}

impl Rules {
    /// Loads a file.
    pub fn load(&mut self, surroundings: &Surroundings, name: &str, content: &str) -> Report {
        let mut report = Report { name: name.to_owned(), ..Report::default() };
        let file = File { name: name.to_owned(), content: content.into() };
        let root = match parse(content) {
            Ok(Some(root)) => root,
            Ok(None) => return report,
            Err(error) => {
                report.error = Some(file.syntax_error(&error));
                return report;
            }
        };
        let failures = schema::check_rules(&root);
        report.schema = Some(failures);
        let result = self
            .read(&file, &root, surroundings, &mut report.warnings)
            .and_then(|()| self.compile(surroundings, name, &mut report.warnings));
        report.error = result.err().map(|problem| *problem);
        report
    }

    /// Which plugin requirement none of the loaded plugins meets.
    pub fn missing_plugin(&self, loaded: &[(String, String)]) -> Option<String> {
        let meets = |(name, version): &(String, String)| {
            loaded.iter().any(|(other, has)| other == name && numbers(has) >= numbers(version))
        };
        let missing = self.required_plugins.iter().find(|alternatives| !alternatives.iter().any(meets))?;
        let words: Vec<String> = missing.iter().map(|(name, version)| format!("{name} (>= {version})")).collect();
        Some(format!("Plugin requirement not satisfied, must load one of: {}", words.join(", ")))
    }

    /// Switches rules on or off.
    pub fn select(&mut self, selector: &Selector) {
        for rule in &mut self.rules {
            let chosen = if selector.by_rule {
                wildcard(&selector.text, &rule.name)
            } else {
                rule.tags.contains(&selector.text)
            };
            if chosen {
                rule.selected = Some(selector.enable);
            }
        }
    }

    /// The rules that an event fulfils, in order.
    pub fn matching<'a>(&'a self, event: &'a Event, least: Priority) -> impl Iterator<Item = &'a Rule> {
        self.rules.iter().filter(move |rule| rule.is_on() && rule.priority <= least && rule.matches(event))
    }
}

impl Rule {
    /// Whether it is tried at all.
    pub fn is_on(&self) -> bool {
        self.selected.unwrap_or(self.enabled)
    }

    /// What keeps the stand-in from evaluating it.
    pub fn unsupported(&self) -> Option<String> {
        let compiled = self.compiled.as_ref()?;
        if ![SYSCALL, audit::SOURCE].contains(&self.source.as_str()) {
            return Some(format!("the source {}", self.source));
        }
        if self.source == audit::SOURCE
            && let Some(field) = compiled.field_names().into_iter().find(|field| !audit::can_read(field))
        {
            return Some(format!("the field {field}"));
        }
        if self.exceptions {
            return Some("exceptions".into());
        }
        evaluate::unsupported(&compiled.expression)
    }

    fn matches(&self, event: &Event) -> bool {
        let Some(compiled) = &self.compiled else { return false };
        self.source == event.source() && self.unsupported().is_none() && evaluate::matches(&compiled.expression, event)
    }
}

/// A quote that is never closed ends with the file for yaml-cpp.
fn parse(content: &str) -> Result<Option<yaml::Node>, yaml::SyntaxError> {
    yaml::parse(content).or_else(|error| {
        if !error.problem.contains("found unexpected end of stream") {
            return Err(error);
        }
        let close = |quote: char| {
            let (before, inside) = content.split_at(content.rfind(quote)? + 1);
            let inside = inside.split_whitespace().collect::<Vec<_>>().join(" ");
            yaml::parse(&format!("{before}{inside}{quote}\n")).ok()
        };
        ['"', '\''].into_iter().find_map(close).ok_or(error)
    })
}

/// The numbers of a version.
pub fn numbers(version: &str) -> Vec<u64> {
    version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
}

/// `*` stands for anything.
fn wildcard(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(start) else { return false };
    (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| wildcard(rest, &text[at..]))
}

/// A file being read.
struct File {
    name: String,
    content: Arc<str>,
}

impl File {
    fn origin(&self, mark: Mark) -> Origin {
        Origin { file: self.name.clone(), content: Arc::clone(&self.content), mark }
    }

    fn syntax_error(&self, error: &yaml::SyntaxError) -> Problem {
        let lines = self.content.split('\n').take(error.line - 1);
        let offset = lines.map(|line| line.chars().count() + 1).sum::<usize>() + error.column - 1;
        let mark = Mark { line: error.line - 1, column: error.column - 1, offset };
        let message = super::configuration::yaml_cpp(error);
        self.origin(mark).problem(Code::YamlParse, "value for", "", message)
    }
}

impl Origin {
    /// A problem with the item as a whole.
    pub fn problem(&self, code: Code, kind: &'static str, item: &str, message: String) -> Problem {
        let mut locations = vec![self.location("rules content", "", Mark::default())];
        locations.push(self.location(kind, item, self.mark));
        Problem { code, message, locations, snippet: snippet(&self.content, self.mark.offset) }
    }

    /// A problem with a part of the item.
    fn part_problem(
        &self,
        code: Code,
        item: (&'static str, &str),
        part: (&'static str, Mark),
        message: String,
    ) -> Problem {
        let mut problem = self.problem(code, item.0, item.1, message);
        problem.locations.push(self.location(part.0, "", part.1));
        problem.snippet = snippet(&self.content, part.1.offset);
        problem
    }

    fn location(&self, kind: &'static str, item: &str, mark: Mark) -> Location {
        Location { kind, item: item.to_owned(), file: self.file.clone(), mark }
    }
}
