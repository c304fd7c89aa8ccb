//! What is added to every event before anybody looks at it: custom fields, templated fields and custom tags; and what is
//! rewritten: brackets in the names of fields, and the text.

use serde_json::Value;

use super::event::Event;
use super::log;
use super::priority::Priority;
use super::settings::Settings;

/// What to add.
#[derive(Clone, Debug, Default)]
pub struct Additions {
    /// `customfields`.
    pub fields: Vec<(String, String)>,
    /// `templatedfields`: name, and text between fields.
    pub templates: Vec<(String, Template)>,
    /// `customtags`.
    pub tags: Vec<String>,
    /// `bracketreplacer`, if it is set.
    bracket: String,
    /// `outputfieldformat`, if it is set.
    format: String,
}

/// A template that consists of texts and of fields by name.
#[derive(Clone, Debug)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Field(String),
}

impl Additions {
    /// Takes what the configuration says. Templates with more in them than fields are refused aloud.
    pub fn new(settings: &Settings) -> Self {
        let mut additions = Self {
            fields: settings.map("customfields").into_iter().collect(),
            templates: Vec::new(),
            tags: settings.list("customtags").to_vec(),
            bracket: settings.text("bracketreplacer").to_owned(),
            format: settings.text("outputfieldformat").to_owned(),
        };
        for (name, text) in settings.map("templatedfields") {
            match Template::parse(&text) {
                Some(template) => additions.templates.push((name, template)),
                None => log::stand_in(&format!(
                    "templated field '{name}' is left out: the stand-in only knows fields in it"
                )),
            }
        }
        additions
    }

    /// Adds everything to an event.
    pub fn apply(&self, event: &mut Event) {
        for (name, value) in &self.fields {
            event.fields.insert(name.clone(), Value::from(value.clone()));
        }
        let texts: Vec<String> = self.templates.iter().map(|(_, template)| template.text(event)).collect();
        for ((name, _), text) in self.templates.iter().zip(texts) {
            event.fields.insert(name.clone(), Value::from(text));
        }
        event.tags.extend(self.tags.iter().cloned());
        event.tags.sort();
        if !self.bracket.is_empty() {
            let fields = std::mem::take(&mut event.fields);
            let plain = |name: String| name.replace(']', "").replace('[', &self.bracket);
            event.fields = fields.into_iter().map(|(name, value)| (plain(name), value)).collect();
        }
        if !self.format.is_empty() {
            event.output = self.formatted(event);
        }
    }

    /// Falco's text begins with a time and a priority; what follows is the output of the rule. Another text stays as it
    /// is.
    fn formatted(&self, event: &Event) -> String {
        let mut words = event.output.splitn(3, ' ');
        let mut next = || words.next().unwrap_or_default();
        let (time, priority, text) = (next(), next(), next());
        let Some(time) = time.strip_suffix(':').filter(|_| Priority::parse(priority).is_some()) else {
            return event.output.clone();
        };
        let fields: Vec<String> = self.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        [
            ("<timestamp>", time),
            ("<priority>", priority),
            ("<output>", text),
            ("<custom_fields>", &fields.join(" ")),
            ("<tags>", &event.tags.join(",")),
        ]
        .iter()
        .fold(self.format.clone(), |format, (placeholder, value)| format.replace(placeholder, value))
    }
}

impl Template {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, after) = after.split_once("}}")?;
            let inside = inside.trim();
            let name = match inside.strip_prefix("index . ") {
                Some(quoted) => quoted.trim().strip_prefix('"')?.strip_suffix('"')?,
                None => {
                    inside.strip_prefix('.').filter(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_'))?
                }
            };
            parts.extend([Part::Text(before.to_owned()), Part::Field(name.to_owned())]);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Some(Self(parts))
    }

    fn text(&self, event: &Event) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Field(name) => match event.fields.get(name) {
                None | Some(Value::Null) => "<no value>".to_owned(),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            },
        };
        self.0.iter().map(part).collect()
    }
}
