//! Taking the items of a rules file, and what `append` and `override` do to items that were there before.

use super::{ENGINE_VERSION, File, List, Macro, Origin, Rule, Rules, Source, Surroundings, numbers};
use crate::stand_in::falco::format::Format;
use crate::stand_in::falco::priority::Priority;
use crate::stand_in::falco::report::{Code, Problem};
use crate::stand_in::falco::schema::{as_switch, is_rules_key};
use crate::stand_in::yaml::{Mark, Node, Value};

/// Boxed because a problem is large and most results are good.
type Result<T> = std::result::Result<T, Box<Problem>>;

/// One item and what is known about it.
struct Item<'a> {
    node: &'a Node,
    kind: &'static str,
    name: String,
    origin: Origin,
}

impl Rules {
    pub(super) fn read(
        &mut self,
        file: &File,
        root: &Node,
        surroundings: &Surroundings,
        warnings: &mut Vec<Problem>,
    ) -> Result<()> {
        let Value::Sequence(items) = &root.value else {
            let mut problem = file.origin(root.mark).problem(
                Code::YamlValidate,
                "rules content",
                "",
                "Rules content is not yaml array of objects".into(),
            );
            problem.locations.truncate(1);
            return Err(Box::new(problem));
        };
        for node in items {
            let Some(item) = Item::new(file, node) else { continue };
            match item.kind {
                "required_engine_version" => self.read_engine(&item)?,
                "required_plugin_versions" => self.read_plugins(node),
                "list" => self.read_list(&item)?,
                "macro" => self.read_macro(&item)?,
                _ => self.read_rule(&item, surroundings, warnings)?,
            }
            item.warn_unknown_keys(warnings);
        }
        Ok(())
    }

    fn read_engine(&mut self, item: &Item<'_>) -> Result<()> {
        let wanted = &item.name;
        // A plain number is the middle part of the version.
        let wanted_numbers = if wanted.contains('.') { numbers(wanted) } else { numbers(&format!("0.{wanted}.0")) };
        if wanted_numbers > numbers(ENGINE_VERSION) {
            let words = format!("Rules require engine version {wanted}, but engine version is {ENGINE_VERSION}");
            return Err(Box::new(item.origin.problem(Code::Validate, item.kind, "", words)));
        }
        if self.required_engine.as_deref().is_none_or(|old| numbers(old) < wanted_numbers) {
            self.required_engine = Some(wanted.clone());
        }
        Ok(())
    }

    fn read_plugins(&mut self, node: &Node) {
        let pair = |node: &Node| Some((node.get("name")?.text()?.to_owned(), node.get("version")?.text()?.to_owned()));
        for entry in node.get("required_plugin_versions").map(Node::items).unwrap_or_default() {
            let others = entry.get("alternatives").map(Node::items).unwrap_or_default();
            let alternatives = std::iter::once(entry).chain(others).filter_map(pair).collect();
            self.required_plugins.push(alternatives);
        }
    }

    fn read_list(&mut self, item: &Item<'_>) -> Result<()> {
        let items = item.require("items")?.items().iter().filter_map(|node| node.text().map(str::to_owned));
        let items: Vec<String> = items.collect();
        let old = self.lists.iter_mut().find(|list| list.name == item.name);
        match (old, item.mode("items")) {
            (Some(list), Mode::Append) => list.items.extend(items),
            (Some(list), Mode::Replace) => list.items = items,
            (None, Mode::Append | Mode::Replace) => return Err(Box::new(item.unknown_target())),
            (old, Mode::Define) => {
                let list = List {
                    name: item.name.clone(),
                    items,
                    compiled: Vec::new(),
                    lists: Vec::new(),
                    used: false,
                    origin: item.origin.clone(),
                };
                if let Some(list) = replace(old, list) {
                    self.lists.push(list);
                }
            }
        }
        Ok(())
    }

    fn read_macro(&mut self, item: &Item<'_>) -> Result<()> {
        let condition = item.source("condition")?;
        let old = self.macros.iter_mut().find(|other| other.name == item.name);
        match (old, item.mode("condition")) {
            (Some(found), Mode::Append) => found.condition.append(&condition),
            (Some(found), Mode::Replace) => found.condition = condition,
            (None, Mode::Append | Mode::Replace) => return Err(Box::new(item.unknown_target())),
            (old, Mode::Define) => {
                let new = Macro {
                    name: item.name.clone(),
                    condition,
                    compiled: None,
                    used: false,
                    origin: item.origin.clone(),
                };
                if let Some(new) = replace(old, new) {
                    self.macros.push(new);
                }
            }
        }
        Ok(())
    }

    fn read_rule(&mut self, item: &Item<'_>, surroundings: &Surroundings, warnings: &mut Vec<Problem>) -> Result<()> {
        let has_override = item.node.get("override").is_some() || item.switch("append") == Some(true);
        let only_enabled = item.node.get("enabled").is_some() && item.node.get("condition").is_none();
        let old = self.rules.iter_mut().find(|rule| rule.name == item.name);
        if has_override || only_enabled {
            let Some(rule) = old else { return Err(Box::new(item.unknown_target())) };
            return change_rule(rule, item);
        }
        let condition = item.source("condition")?;
        let output = item.source("output")?;
        let description = item.source("desc")?.text;
        let priority = item.priority()?;
        let source = item.text("source").unwrap_or_else(|| "syscall".into());
        if !surroundings.sources.contains(&source) {
            let words = format!("Unknown source {source}, skipping");
            warnings.push(item.origin.problem(Code::UnknownSource, item.kind, &item.name, words));
            return Ok(());
        }
        let rule = Rule {
            name: item.name.clone(),
            description,
            condition,
            output,
            priority,
            source,
            enabled: item.switch("enabled").unwrap_or(true),
            selected: None,
            tags: item.texts("tags"),
            exceptions: item.has_exceptions(),
            compiled: None,
            format: Format::default(),
            format_text: String::new(),
            extra: Vec::new(),
            origin: item.origin.clone(),
        };
        if let Some(rule) = replace(old, rule) {
            self.rules.push(rule);
        }
        Ok(())
    }
}

/// How a key changes what was there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Define,
    Append,
    Replace,
}

fn change_rule(rule: &mut Rule, item: &Item<'_>) -> Result<()> {
    for (key, value) in item.node.entries() {
        let key = key.text().unwrap_or_default();
        let append = item.mode(key) == Mode::Append;
        match key {
            "condition" if append => rule.condition.append(&item.source(key)?),
            "condition" => rule.condition = item.source(key)?,
            "output" if append => rule.output.append(&item.source(key)?),
            "output" => rule.output = item.source(key)?,
            "desc" if append => rule.description = format!("{} {}", rule.description, item.source(key)?.text),
            "desc" => rule.description = item.source(key)?.text,
            "priority" => rule.priority = item.priority()?,
            "tags" if append => rule.tags.extend(item.texts(key)),
            "tags" => rule.tags = item.texts(key),
            "enabled" => rule.enabled = value.text().and_then(as_switch).unwrap_or(true),
            "exceptions" => rule.exceptions |= item.has_exceptions(),
            _ => {}
        }
    }
    Ok(())
}

/// Puts `new` in the place of `old`, or hands it back to be added.
fn replace<T>(old: Option<&mut T>, new: T) -> Option<T> {
    match old {
        Some(old) => {
            *old = new;
            None
        }
        None => Some(new),
    }
}

impl Source {
    fn append(&mut self, other: &Self) {
        self.text = format!("{} {}", self.text, other.text);
    }
}

impl<'a> Item<'a> {
    /// `None` for items that are none of ours; Falco skips them with a warning that nobody relies on.
    fn new(file: &File, node: &'a Node) -> Option<Self> {
        let kinds = ["required_engine_version", "required_plugin_versions", "list", "macro", "rule"];
        let kind = kinds.into_iter().find(|kind| node.get(kind).is_some())?;
        let name = node.get(kind)?.text().unwrap_or_default().to_owned();
        Some(Self { node, kind, name, origin: file.origin(node.mark) })
    }

    fn require(&self, key: &str) -> Result<&'a Node> {
        self.node.get(key).ok_or_else(|| {
            let words = format!("Item has no mapping for key '{key}'");
            Box::new(self.origin.problem(Code::YamlValidate, self.kind, &self.name, words))
        })
    }

    fn source(&self, key: &str) -> Result<Source> {
        let node = self.require(key)?;
        Ok(Source { text: node.text().unwrap_or_default().trim_end().to_owned(), mark: node.mark })
    }

    fn text(&self, key: &str) -> Option<String> {
        self.node.get(key)?.text().map(str::to_owned)
    }

    fn switch(&self, key: &str) -> Option<bool> {
        self.node.get(key)?.text().and_then(as_switch)
    }

    fn texts(&self, key: &str) -> Vec<String> {
        let items = self.node.get(key).map(Node::items).unwrap_or_default();
        let mut texts: Vec<String> = items.iter().filter_map(|item| item.text().map(str::to_owned)).collect();
        // Falco keeps tags as a set.
        texts.sort();
        texts.dedup();
        texts
    }

    fn priority(&self) -> Result<Priority> {
        let node = self.require("priority")?;
        node.text().and_then(Priority::parse).ok_or_else(|| {
            Box::new(self.part(Code::YamlValidate, ("rule priority", node.mark), "Invalid priority".into()))
        })
    }

    fn part(&self, code: Code, part: (&'static str, Mark), words: String) -> Problem {
        self.origin.part_problem(code, (self.kind, &self.name), part, words)
    }

    fn has_exceptions(&self) -> bool {
        let all = self.node.get("exceptions").map(Node::items).unwrap_or_default();
        all.iter().any(|exception| exception.get("values").is_some_and(|values| !values.items().is_empty()))
    }

    fn mode(&self, key: &str) -> Mode {
        match self.node.path(&["override", key]).and_then(Node::text) {
            Some("append") => Mode::Append,
            Some("replace") => Mode::Replace,
            _ if self.switch("append") == Some(true) => Mode::Append,
            _ => Mode::Define,
        }
    }

    fn unknown_target(&self) -> Problem {
        let kind = self.kind;
        let words = if self.node.get("override").is_some() {
            let replaces = self.node.get("override").map(Node::entries).unwrap_or_default();
            let mode =
                if replaces.iter().any(|(_, value)| value.text() == Some("replace")) { "replace" } else { "append" };
            format!("An 'override.<key>: {mode}' to a {kind} was requested but no {kind} by that name already exists")
        } else {
            format!(
                "{} has 'append' key or an append override but no {kind} by that name already exists",
                capital(kind)
            )
        };
        self.origin.problem(Code::Validate, kind, &self.name, words)
    }

    fn warn_unknown_keys(&self, warnings: &mut Vec<Problem>) {
        for key in self.node.entries().iter().filter_map(|(key, _)| key.text()).filter(|key| !is_rules_key(key)) {
            let words = format!("Unknown key '{key}'. The key will be ignored.");
            warnings.push(self.origin.problem(Code::UnknownKey, self.kind, &self.name, words));
        }
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
