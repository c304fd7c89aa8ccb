//! An event: what is accepted, what is added to it, and how it is written.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::json;
use super::priority::Priority;

/// An event as it goes to the outputs.
#[derive(Clone, Debug)]
pub struct Event {
    /// Made by Falcosidekick.
    pub uuid: String,
    /// The text.
    pub output: String,
    /// How severe; `None` when the word is unknown.
    pub priority: Option<Priority>,
    /// The rule.
    pub rule: String,
    /// When.
    pub time: Option<Timestamp>,
    /// The time as it came.
    pub time_text: String,
    /// Fields, sorted.
    pub fields: BTreeMap<String, Value>,
    /// Where from.
    pub source: String,
    /// Tags, sorted.
    pub tags: Vec<String>,
    /// Machine.
    pub hostname: String,
}

impl Event {
    /// Reads the first JSON value of a body; what follows is ignored. `None`: it cannot be an event.
    pub fn decode(body: &[u8]) -> Option<Self> {
        let value = serde_json::Deserializer::from_slice(body).into_iter::<Value>().next()?.ok()?;
        let entries = match value {
            Value::Object(entries) => entries,
            Value::Null => Map::new(),
            _ => return None,
        };
        let get = |key: &str| {
            let exact = entries.get(key);
            exact.or_else(|| entries.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value))
        };
        let string = |key: &str| match get(key) {
            None | Some(Value::Null) => Some(String::new()),
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => None,
        };
        let fields = match get("output_fields") {
            None | Some(Value::Null) => BTreeMap::new(),
            Some(Value::Object(fields)) => fields.clone().into_iter().collect(),
            Some(_) => return None,
        };
        let tags = match get("tags") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(tags)) => {
                tags.iter().map(|tag| tag.as_str().map(str::to_owned)).collect::<Option<_>>()?
            }
            Some(_) => return None,
        };
        let time_text = string("time")?;
        let time = if time_text.is_empty() { None } else { Some(time_text.parse::<Timestamp>().ok()?) };
        let source = string("source")?;
        Some(Self {
            uuid: uuid::Uuid::new_v4().to_string(),
            output: string("output")?,
            priority: Priority::parse(&string("priority")?),
            rule: string("rule")?,
            time,
            time_text,
            fields,
            source: if source.is_empty() { "syscalls".to_owned() } else { source },
            tags,
            hostname: string("hostname")?,
        })
    }

    /// The event that `/test` makes.
    pub fn test() -> Self {
        let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
        let own = || Value::from("falcosidekick");
        Self {
            uuid: uuid::Uuid::new_v4().to_string(),
            output: "This is a test from falcosidekick".into(),
            priority: Priority::parse("debug"),
            rule: "Test rule".into(),
            time: Some(now),
            time_text: now.to_string(),
            fields: BTreeMap::from([("proc.name".into(), own()), ("user.name".into(), own())]),
            source: "internal".into(),
            tags: vec!["test".into(), "example".into()],
            hostname: "falcosidekick".into(),
        }
    }

    /// Whether it may go on. The zero time of Go counts as none.
    pub fn is_complete(&self) -> bool {
        let has_time = self.time.is_some_and(|_| !self.time_text.starts_with("0001-01-01T00:00:00Z"));
        self.priority.is_some() && !self.rule.is_empty() && has_time && !self.fields.is_empty()
    }

    /// Written as JSON, without a line end.
    pub fn json(&self) -> String {
        let fields = self.fields.iter().map(|(key, value)| format!("{}:{}", json::text(key), json::value(value)));
        let mut parts = vec![
            format!("\"uuid\":{}", json::text(&self.uuid)),
            format!("\"output\":{}", json::text(&self.output)),
            format!("\"priority\":{}", json::text(self.priority.map_or("", Priority::title))),
            format!("\"rule\":{}", json::text(&self.rule)),
            format!("\"time\":{}", json::text(&self.time_text)),
            format!("\"output_fields\":{{{}}}", fields.collect::<Vec<_>>().join(",")),
            format!("\"source\":{}", json::text(&self.source)),
        ];
        if !self.tags.is_empty() {
            let tags: Vec<String> = self.tags.iter().map(|tag| json::text(tag)).collect();
            parts.push(format!("\"tags\":[{}]", tags.join(",")));
        }
        if !self.hostname.is_empty() {
            parts.push(format!("\"hostname\":{}", json::text(&self.hostname)));
        }
        format!("{{{}}}", parts.join(","))
    }

    /// The time as Go prints it.
    pub fn shown_time(&self) -> String {
        self.time.unwrap_or_default().strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string()
    }

    /// The text of a field, if it is text.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.as_str()
    }
}
