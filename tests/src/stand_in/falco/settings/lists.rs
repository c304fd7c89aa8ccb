//! The lists of `falco.yaml` whose entries have a shape of their own.

use std::path::Path;

use super::{AppendOutput, PluginConfig, Selector};
use crate::stand_in::falco::configuration::bad_conversion;
use crate::stand_in::falco::schema::as_switch;
use crate::stand_in::yaml::{Node, Value};

/// The texts of a list; one text is a list of one.
pub fn texts(node: Option<&Node>) -> Vec<String> {
    match node.map(|node| &node.value) {
        Some(Value::Sequence(items)) => items.iter().filter_map(|item| item.text().map(str::to_owned)).collect(),
        Some(Value::Scalar { text, .. }) if !text.is_empty() => vec![text.clone()],
        _ => Vec::new(),
    }
}

/// The texts of a map.
pub fn pairs(node: Option<&Node>) -> Vec<(String, String)> {
    let entries = node.map(Node::entries).unwrap_or_default();
    entries.iter().filter_map(|(key, value)| Some((key.text()?.to_owned(), value.text()?.to_owned()))).collect()
}

/// `rules`.
pub fn selectors(root: &Node) -> Result<Vec<Selector>, String> {
    let items = root.get("rules").map(Node::items).unwrap_or_default();
    items
        .iter()
        .map(|item| {
            let (enable, inner) = match (item.get("enable"), item.get("disable")) {
                (Some(inner), _) => (true, inner),
                (None, Some(inner)) => (false, inner),
                (None, None) => return Err(bad_conversion(item.mark)),
            };
            let by_rule = inner.get("rule").is_some();
            let text = inner.get("rule").or_else(|| inner.get("tag")).and_then(Node::text);
            let text = text.ok_or_else(|| bad_conversion(item.mark))?.to_owned();
            Ok(Selector { enable, by_rule, text })
        })
        .collect()
}

/// `plugins`, as far as `load_plugins` asks for them.
pub fn plugins(root: &Node, folder: &Path) -> Result<Vec<PluginConfig>, String> {
    let all: Vec<PluginConfig> = root
        .get("plugins")
        .map(Node::items)
        .unwrap_or_default()
        .iter()
        .filter_map(|item| {
            let name = item.get("name")?.text()?.to_owned();
            // Joining an absolute path replaces the folder.
            let library = folder.join(item.get("library_path")?.text()?);
            let init = item.get("init_config").map(Node::entries).unwrap_or_default().iter();
            let init = init.filter_map(|(key, value)| Some((key.text()?.to_owned(), value.clone()))).collect();
            let open = item.get("open_params").and_then(Node::text).unwrap_or_default().to_owned();
            Some(PluginConfig { name, library, init, open })
        })
        .collect();
    let Some(wanted) = root.get("load_plugins") else { return Ok(all) };
    texts(Some(wanted))
        .into_iter()
        .map(|name| {
            all.iter()
                .find(|plugin| plugin.name == name)
                .cloned()
                .ok_or_else(|| format!("Cannot load plugin '{name}': plugin config not found for given name"))
        })
        .collect()
}

/// `append_output`.
pub fn append_output(root: &Node) -> Result<Vec<AppendOutput>, String> {
    let items = root.get("append_output").map(Node::items).unwrap_or_default();
    items
        .iter()
        .map(|item| {
            let text = |path: &[&str]| item.path(path).and_then(Node::text).map(str::to_owned);
            let mut append = AppendOutput {
                rule: text(&["match", "rule"]),
                source: text(&["match", "source"]),
                tags: texts(item.path(&["match", "tags"])),
                text: text(&["extra_output"]),
                fields: Vec::new(),
                suggested: item.get("suggested_output").and_then(Node::text).and_then(as_switch).unwrap_or(false),
            };
            for field in item.get("extra_fields").map(Node::items).unwrap_or_default() {
                let named = match &field.value {
                    Value::Scalar { text, .. } => vec![(text.clone(), format!("%{text}"))],
                    Value::Mapping(_) => pairs(Some(field)),
                    Value::Sequence(_) => return Err(bad_conversion(item.mark)),
                };
                for (name, format) in named {
                    if append.fields.iter().any(|(other, _)| *other == name) {
                        return Err(bad_conversion(item.mark));
                    }
                    append.fields.push((name, format));
                }
            }
            Ok(append)
        })
        .collect()
}
