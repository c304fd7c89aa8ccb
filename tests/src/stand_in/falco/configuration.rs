//! Reading `falco.yaml`: files and their order, substitution of variables, overrides of the command line.
//!
//! The result is still a tree; `settings` gives its values types. Scalars stay text, as in yaml-cpp: whoever reads one
//! decides.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::disk::on_disk;
use super::schema;
use crate::stand_in::yaml::{self, Mark, Node, SyntaxError, Value};

/// The merged configuration and where it came from.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// The effective values.
    pub root: Node,
    /// The main file.
    pub main: PathBuf,
    /// Path and result of the schema check, by path, as Falco lists them.
    pub files: Vec<(PathBuf, String)>,
    /// Files that `config_files` names one by one.
    pub named_includes: Vec<PathBuf>,
    /// Folders that `config_files` names.
    pub include_folders: Vec<PathBuf>,
}

/// Why the configuration cannot be read: what Falco prints without a time, and after `Error: `.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// A line of its own, before the error.
    pub line: Option<String>,
    /// The error.
    pub error: String,
}

impl From<String> for Failure {
    fn from(error: String) -> Self {
        Self { line: None, error }
    }
}

/// Reads the main file, what it includes, and the overrides. A file that is not there has other words when it was there
/// before.
pub fn load(
    main: &Path,
    again: bool,
    overrides: &[String],
    environment: &BTreeMap<String, String>,
) -> Result<Configuration, Failure> {
    let text = std::fs::read_to_string(on_disk(main)).map_err(|_| {
        let path = main.display();
        if again {
            let line = format!("Cannot read config file ({path}): bad file: {path}");
            Failure { line: Some(line), error: "std::exception".into() }
        } else {
            Failure::from(format!("Could not find configuration file at {path}"))
        }
    })?;
    let mut root = match yaml::parse(&text) {
        Ok(root) => root.unwrap_or_else(Node::mapping),
        Err(error) => {
            let line = format!("Cannot read config file ({}): {}", main.display(), yaml_cpp(&error));
            return Err(Failure { line: Some(line), error: "std::exception".into() });
        }
    };
    substitute(&mut root, environment);
    let main_schema = schema::check_config(&root);
    if !matches!(root.value, Value::Mapping(_)) {
        root = Node::mapping();
    }
    let mut configuration = Configuration {
        root,
        main: main.to_owned(),
        files: Vec::new(),
        named_includes: Vec::new(),
        include_folders: Vec::new(),
    };
    include_all(&mut configuration, environment)?;
    configuration.files.push((main.to_owned(), main_schema));
    configuration.files.sort();
    for pair in overrides {
        override_value(&mut configuration.root, pair)?;
    }
    Ok(configuration)
}

/// A syntax error in the words of yaml-cpp, where they are known; otherwise with the words of libyaml.
pub fn yaml_cpp(error: &SyntaxError) -> String {
    let SyntaxError { problem, context, line, column } = error;
    let words = if problem.contains("tab") || problem.contains("found character that cannot start any token") {
        "illegal tab when looking for indentation"
    } else if context.contains("flow sequence") || problem.contains("',' or ']'") || context.contains("flow node") {
        "end of sequence flow not found"
    } else if context.contains("flow mapping") || problem.contains("',' or '}'") {
        "end of map flow not found"
    } else {
        problem
    };
    format!("yaml-cpp: error at line {line}, column {column}: {words}")
}

/// The error for a value that does not fit where it stands.
pub fn bad_conversion(mark: Mark) -> String {
    format!("yaml-cpp: error at line {}, column {}: bad conversion", mark.line + 1, mark.column + 1)
}

fn include_all(configuration: &mut Configuration, environment: &BTreeMap<String, String>) -> Result<(), Failure> {
    let entries = configuration.root.get("config_files").map(|node| node.items().to_vec()).unwrap_or_default();
    for entry in entries {
        let path = entry.text().or_else(|| entry.get("path").and_then(Node::text)).unwrap_or_default();
        let strategy = entry.get("strategy").and_then(Node::text).unwrap_or("append").to_owned();
        let path = PathBuf::from(path);
        if on_disk(&path).is_dir() {
            for file in files_of(&path) {
                include(configuration, &file, &strategy, environment)?;
            }
            configuration.include_folders.push(path);
        } else if on_disk(&path).exists() {
            include(configuration, &path, &strategy, environment)?;
            configuration.named_includes.push(path);
        }
    }
    Ok(())
}

/// All regular files of a folder, in lexical order, whatever they are called.
fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(on_disk(folder)).into_iter().flatten().filter_map(Result::ok);
    let mut files: Vec<PathBuf> =
        entries.filter(|entry| entry.path().is_file()).map(|entry| folder.join(entry.file_name())).collect();
    files.sort();
    files
}

fn include(
    configuration: &mut Configuration,
    path: &Path,
    strategy: &str,
    environment: &BTreeMap<String, String>,
) -> Result<(), Failure> {
    if path == configuration.main {
        return Err(format!("Config error: '{}' tried to include itself.", path.display()).into());
    }
    let text = std::fs::read_to_string(on_disk(path)).map_err(|error| error.to_string())?;
    let parsed = yaml::parse(&text).map_err(|error| yaml_cpp(&error))?;
    let Some(mut root) = parsed else {
        configuration.files.push((path.to_owned(), schema::check_config(&Node::scalar(""))));
        return Ok(());
    };
    substitute(&mut root, environment);
    if !matches!(root.value, Value::Mapping(_)) {
        let words = "invalid node; this may result from using a map iterator as a sequence iterator, or vice-versa";
        return Err(words.to_owned().into());
    }
    if root.get("config_files").is_some() {
        let words = format!("Config error: 'config_files' directive in included config file {}.", path.display());
        return Err(words.into());
    }
    configuration.files.push((path.to_owned(), schema::check_config(&root)));
    for (key, value) in root.entries() {
        merge_key(&mut configuration.root, key.text().unwrap_or_default(), value, strategy);
    }
    Ok(())
}

/// Only whole top-level keys are merged: a map replaces a map.
fn merge_key(root: &mut Node, key: &str, value: &Node, strategy: &str) {
    let old = root.get(key);
    if strategy == "add-only" && old.is_some() {
        return;
    }
    let merged = match (strategy, old.map(|node| &node.value), &value.value) {
        ("append", Some(Value::Sequence(first)), Value::Sequence(second)) => {
            let all = first.iter().chain(second).cloned().collect();
            Node { value: Value::Sequence(all), mark: value.mark }
        }
        _ => value.clone(),
    };
    root.set(key, merged);
}

/// `${NAME}` becomes the value of the variable or nothing; `$${NAME}` stays as `${NAME}`.
fn substitute(node: &mut Node, environment: &BTreeMap<String, String>) {
    match &mut node.value {
        Value::Scalar { text, .. } => *text = expand(text, environment),
        Value::Sequence(items) => items.iter_mut().for_each(|item| substitute(item, environment)),
        Value::Mapping(entries) => entries.iter_mut().for_each(|(_, value)| substitute(value, environment)),
    }
}

fn expand(text: &str, environment: &BTreeMap<String, String>) -> String {
    let mut done = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else { break };
        let before = &rest[..start];
        let whole = &rest[start..=start + length];
        if let Some(before) = before.strip_suffix('$') {
            done.extend([before, whole]);
        } else {
            let value = environment.get(&whole[2..length]).map_or("", String::as_str);
            done.extend([before, value]);
        }
        rest = &rest[start + length + 1..];
    }
    done.push_str(rest);
    done
}

/// `-o key=value`: dots go down, `[n]` picks, `[]` appends.
fn override_value(root: &mut Node, pair: &str) -> Result<(), Failure> {
    let Some((key, text)) = pair.split_once('=') else {
        let words = format!("Error parsing config option \"{pair}\". Must be of the form key=val or key.subkey=val");
        return Err(words.into());
    };
    let value = if text.starts_with('{') {
        yaml::parse(text).map_err(|error| yaml_cpp(&error))?.unwrap_or_else(Node::mapping)
    } else {
        Node::scalar(text)
    };
    place(root, &steps(key), value);
    Ok(())
}

enum Step {
    Key(String),
    Index(usize),
    Append,
}

fn steps(key: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in key.split('.') {
        let (name, indices) = part.split_once('[').map_or((part, ""), |(name, rest)| (name, rest));
        if !name.is_empty() {
            steps.push(Step::Key(name.to_owned()));
        }
        for index in indices.split('[').map(|index| index.trim_end_matches(']')) {
            match index.parse() {
                Ok(number) => steps.push(Step::Index(number)),
                Err(_) if part.contains("[]") => steps.push(Step::Append),
                Err(_) => {}
            }
        }
    }
    steps
}

fn place(node: &mut Node, steps: &[Step], value: Node) {
    let Some((first, rest)) = steps.split_first() else {
        *node = value;
        return;
    };
    if let Step::Key(key) = first {
        let mut child = node.get(key).cloned().unwrap_or_else(Node::mapping);
        place(&mut child, rest, value);
        node.set(key, child);
        return;
    }
    if !matches!(node.value, Value::Sequence(_)) {
        node.value = Value::Sequence(Vec::new());
    }
    let Value::Sequence(items) = &mut node.value else { return };
    let position = match first {
        Step::Index(position) => *position,
        Step::Key(_) | Step::Append => items.len(),
    };
    if items.len() <= position {
        items.resize_with(position + 1, Node::mapping);
    }
    place(&mut items[position], rest, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> BTreeMap<String, String> {
        BTreeMap::from([("PRIO".to_owned(), "loud".to_owned())])
    }

    #[test]
    fn a_doubled_dollar_keeps_the_braces() {
        assert_eq!(expand("a ${PRIO} $${PRIO} ${UNSET}$ ${", &environment()), "a loud ${PRIO} $ ${");
    }

    #[test]
    fn an_override_reaches_into_maps_and_lists() {
        let mut root = yaml::parse("webserver: {listen_port: 1}\nrules_files: [a]\n").unwrap().unwrap();
        override_value(&mut root, "webserver.listen_port=2").unwrap();
        override_value(&mut root, "rules_files[]=b").unwrap();
        override_value(&mut root, "rules_files[0]=c").unwrap();
        assert_eq!(root.path(&["webserver", "listen_port"]).and_then(Node::text), Some("2"));
        let files: Vec<_> = root.get("rules_files").unwrap().items().iter().filter_map(Node::text).collect();
        assert_eq!(files, ["c", "b"]);
    }

    #[test]
    fn an_included_map_replaces_the_whole_map() {
        let mut root = yaml::parse("webserver: {enabled: true}\n").unwrap().unwrap();
        let included = yaml::parse("listen_port: 9\n").unwrap().unwrap();
        merge_key(&mut root, "webserver", &included, "append");
        assert_eq!(root.path(&["webserver", "enabled"]), None);
    }
}
