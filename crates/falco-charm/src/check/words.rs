//! Falco's words, fit for an operator: the ones that give the reason, on one line, with the names operators know. Pure.

use std::path::Path;

use charm_core::status::{one_line, without_credentials};

use super::RulesFile;

/// How long a text may be, in characters. What a status holds beyond it is left to what stands around it.
const LONGEST: usize = 300;

/// How long a remark may be, in characters, so that three fit into a status.
const LONGEST_REMARK: usize = 150;

/// More than any text that is worth cleaning.
const LONGEST_RAW: usize = 20_000;

/// The last words of Falco that explain why it ended: its error, or else the last line. Works on its stderr and on its
/// journal alike. One line, still to be cleaned and cut: half a path or half a URL could not be told from other text.
pub fn last_words<T: AsRef<str>>(lines: &[T]) -> Option<String> {
    let lines: Vec<&str> = lines.iter().map(|line| line.as_ref().trim_end()).filter(|line| !line.is_empty()).collect();
    // A piece of a rule that Falco quotes can hold the same word, but not at the start of a line.
    let position = |start: bool| {
        lines.iter().rposition(|line| {
            line.starts_with("Error: ") || (!start && (line.contains("Error: ") || line.contains("Runtime error: ")))
        })
    };
    let Some(place) = position(true).or_else(|| position(false)) else {
        return lines.last().map(|line| one_line(line, LONGEST_RAW));
    };
    let line = lines[place];
    let words = match (line.split_once("Error: "), line.split_once("Runtime error: ")) {
        // Falco has nothing to say about a configuration that it cannot parse, but has said it before.
        (Some((_, "std::exception")), _) if place > 0 => lines[place - 1].to_owned(),
        (Some((_, words)), _) if is_summary(words) => {
            // One such line for each file, and those that are good may come first.
            let summaries = std::iter::once(words).chain(lines[place + 1..].iter().copied());
            let found = summaries.enumerate().find_map(|(at, line)| Some((at, line.strip_suffix(": Invalid")?)));
            found.map_or_else(|| words.to_owned(), |(at, file)| reason(file, &lines[place + 1 + at..]))
        }
        (Some((_, words)), _) => words.to_owned(),
        (None, Some((_, words))) => words.strip_suffix(" Exiting.").unwrap_or(words).to_owned(),
        (None, None) => line.to_owned(),
    };
    Some(one_line(words.trim_end_matches('.'), LONGEST_RAW))
}

/// Is it the line on one rules file that stands above the reasons?
fn is_summary(words: &str) -> bool {
    [": Ok", ": Ok, with warnings", ": Invalid"].iter().any(|end| words.ends_with(end))
}

/// A message about rules, made plainer where Falco's own words leave open what is to be done.
pub fn plain(message: &str) -> String {
    let versions = message.strip_prefix("Rules require engine version ");
    match versions.and_then(|rest| rest.split_once(", but engine version is ")) {
        Some((wanted, present)) => format!("needs Falco's engine {wanted}, but the installed Falco has {present}"),
        None => message.to_owned(),
    }
}

/// Why a rules file is invalid, from the report in text: where, then a piece of the file, then what is wrong.
fn reason(file: &str, report: &[&str]) -> String {
    let places = report.iter().filter_map(|line| line.trim().strip_suffix(')')?.split_once(": ("));
    let mut text = file.to_owned();
    let lines = places.clone().filter_map(|(_, place)| place.strip_prefix(file)?.strip_prefix(':'));
    let last = lines.filter_map(|place| place.split(':').next()?.parse::<u64>().ok()).next_back();
    text.extend(last.map(|line| format!(": line {}", line.saturating_add(1))));
    let item = places.map(|(item, _)| item).find(|item| item.ends_with('\''));
    text.extend(item.map(|item| format!(": {item}")));
    let message = report.iter().filter(|line| line.starts_with("LOAD_ERR_"));
    let message = message.filter_map(|line| line.split_once("): ")).map(|(_, message)| message).next();
    format!("{text}: {}", plain(message.unwrap_or("invalid").trim_end_matches('.')))
}

/// Which paths operators know by which names.
#[derive(Clone, Debug)]
pub struct Names(Vec<(String, String)>);

impl Names {
    /// The names of a candidate's files.
    pub fn new(config: &Path, rules: &[RulesFile]) -> Self {
        let text = |path: &Path| path.display().to_string();
        let mut names: Vec<_> = rules.iter().map(|file| (text(&file.path), file.shown.clone())).collect();
        names.push((text(config), "falco.yaml".to_owned()));
        let folder = config.parent().map(text).filter(|folder| folder.len() > 1);
        names.extend(folder.map(|folder| (format!("{folder}/"), String::new())));
        // A path can be the beginning of another.
        names.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Self(names)
    }

    /// Text as one line, with names instead of paths and without credentials.
    pub fn clean(&self, text: &str) -> String {
        self.line(text, LONGEST)
    }

    /// The same, so short that others fit beside it.
    pub fn remark(&self, text: &str) -> String {
        self.line(text, LONGEST_REMARK)
    }

    fn line(&self, text: &str, longest: usize) -> String {
        let raw = one_line(text, LONGEST_RAW);
        let named = self.0.iter().fold(raw, |text, (path, name)| text.replace(path, name));
        one_line(&without_credentials(&named), longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, shown: &str) -> RulesFile {
        RulesFile { path: path.into(), shown: shown.into() }
    }

    #[test]
    fn the_last_words_are_the_error_or_else_the_last_line() {
        let lines = ["x: Error: bad rule", "Syscall event drop monitoring:"];
        assert_eq!(last_words(&lines).as_deref(), Some("bad rule"));
        assert_eq!(last_words(&lines[1..]).as_deref(), Some("Syscall event drop monitoring:"));
        assert_eq!(last_words::<String>(&[]), None);
    }

    #[test]
    fn a_quoted_rule_with_the_same_word_is_not_the_error() {
        let lines =
            ["Error: /r.yaml: Invalid", "    rule 'x': (/r.yaml:6:2)", "  output: Error: x", "LOAD_ERR_X (y): z"];
        assert_eq!(last_words(&lines).as_deref(), Some("/r.yaml: line 7: rule 'x': z"));
    }

    #[test]
    fn a_path_that_begins_like_another_is_not_taken_for_it() {
        let names =
            Names::new("/s/falco.yaml".as_ref(), &[file("/s/a.yaml", "rules"), file("/s/a.yaml.yaml", "other")]);
        assert_eq!(names.clean("/s/a.yaml.yaml, /s/a.yaml, /s/falco.yaml, /s/b"), "other, rules, falco.yaml, b");
    }

    #[test]
    fn control_bytes_and_credentials_do_not_get_through() {
        let names = Names::new("/s/falco.yaml".as_ref(), &[]);
        let raw = format!("bad\u{1b}[31m\n {}http://user:hunter2@host/x", "y".repeat(LONGEST - 15));
        let clean = names.clean(&raw);
        assert!(!clean.contains("hunter2") && !clean.contains("user") && !clean.contains('\u{1b}'), "{clean}");
        assert_eq!(clean.chars().count(), LONGEST + 1, "{clean}");
    }
}
