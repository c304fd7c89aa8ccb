//! One event of the stand-in: a file was opened, or an audit event of Kubernetes came. Nothing else ever happens.

use std::path::Path;

use jiff::Timestamp;
use serde_json::Value as Json;

use super::audit;

/// A file was opened, or an audit event came.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub time: Timestamp,
    /// The audit event; there is no file then.
    pub audit: Option<Json>,
    /// Full path of the file.
    pub path: String,
    /// Opened for reading, or else for writing.
    pub read: bool,
    /// Who opened it, if that could be seen.
    pub opener: Option<Opener>,
    /// Name and value of the static fields.
    pub statics: Vec<(String, String)>,
    /// How many events there were before.
    pub number: u64,
    /// Whether the container plugin is loaded: then every event is one of the host.
    pub container_plugin: bool,
    /// `time_format_iso_8601`.
    pub iso_8601: bool,
}

/// The process that opened a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opener {
    /// Process.
    pub pid: i32,
    /// Parent process.
    pub parent: i32,
    /// User.
    pub uid: u32,
    /// Name of the user.
    pub user: Option<String>,
    /// Name of the process.
    pub name: String,
    /// Name of the parent.
    pub parent_name: Option<String>,
    /// Command line.
    pub command: Vec<String>,
    /// Path of the executable.
    pub executable: Option<String>,
}

/// A value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldValue {
    /// Text.
    Text(String),
    /// A number.
    Number(i64),
    /// A switch.
    Switch(bool),
    /// Several texts.
    Many(Vec<String>),
}

impl FieldValue {
    /// As text.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Switch(switch) => switch.to_string(),
            Self::Many(texts) => format!("({})", texts.join(",")),
        }
    }

    /// Each of its texts.
    pub fn texts(&self) -> Vec<String> {
        match self {
            Self::Many(texts) => texts.clone(),
            one => vec![one.text()],
        }
    }

    /// As JSON.
    pub fn json(&self) -> Json {
        match self {
            Self::Text(text) => Json::from(text.clone()),
            Self::Number(number) => Json::from(*number),
            Self::Switch(switch) => Json::from(*switch),
            Self::Many(texts) => Json::from(texts.clone()),
        }
    }
}

impl Event {
    /// The value of a field, if this event has one.
    pub fn field(&self, name: &str) -> Option<FieldValue> {
        if let Some(own) = name.strip_prefix("static.") {
            let value = self.statics.iter().find(|(other, _)| other == own).map(|(_, value)| value.clone());
            return value.map(FieldValue::Text);
        }
        if let Some(event) = &self.audit {
            let general = ["num", "time", "time.iso8601", "rawtime", "hostname", "source"];
            return match name.split_once('.')? {
                ("evt", field) if general.contains(&field) => self.event_field(field),
                _ => audit::field(event, name.split('[').next().unwrap_or(name)),
            };
        }
        match name.split_once('.')? {
            ("evt", field) => self.event_field(field),
            ("fd", field) => self.file_field(field),
            ("proc" | "user", _) => self.opener.as_ref()?.field(name),
            ("container", "id") if self.container_plugin => Some(FieldValue::Text("host".into())),
            _ => None,
        }
    }

    /// Where it comes from.
    pub fn source(&self) -> &'static str {
        if self.audit.is_some() { audit::SOURCE } else { "syscall" }
    }

    /// Nanoseconds since 1970.
    pub fn nanoseconds(&self) -> i64 {
        i64::try_from(self.time.as_nanosecond()).unwrap_or(i64::MAX)
    }

    /// The time at the start of the text of an alert; Falco uses local time, the stand-in UTC.
    pub fn clock(&self) -> String {
        let format = if self.iso_8601 { "%Y-%m-%dT%H:%M:%S.%9f+0000" } else { "%H:%M:%S.%9f" };
        self.time.strftime(format).to_string()
    }

    fn event_field(&self, field: &str) -> Option<FieldValue> {
        let text = |text: &str| Some(FieldValue::Text(text.to_owned()));
        match field {
            "type" => text("openat"),
            "category" => text("file"),
            "source" => text(self.source()),
            "dir" => text("<"),
            "is_open_read" => Some(FieldValue::Switch(self.read)),
            "is_open_write" => Some(FieldValue::Switch(!self.read)),
            "is_async" | "failed" => Some(FieldValue::Switch(false)),
            "num" => Some(FieldValue::Number(i64::try_from(self.number).unwrap_or(i64::MAX))),
            "count" => Some(FieldValue::Number(1)),
            "time" => Some(FieldValue::Text(self.clock())),
            "time.iso8601" => Some(FieldValue::Text(iso(self.time))),
            "rawtime" => Some(FieldValue::Number(self.nanoseconds())),
            "hostname" => Some(FieldValue::Text(host_name())),
            _ => None,
        }
    }

    fn file_field(&self, field: &str) -> Option<FieldValue> {
        let path = Path::new(&self.path);
        let text = match field {
            "name" | "nameraw" => self.path.clone(),
            "filename" => path.file_name()?.to_string_lossy().into_owned(),
            "directory" => path.parent()?.to_string_lossy().into_owned(),
            "type" => "file".to_owned(),
            "typechar" => "f".to_owned(),
            _ => return None,
        };
        Some(FieldValue::Text(text))
    }
}

impl Opener {
    fn field(&self, name: &str) -> Option<FieldValue> {
        let text = match name {
            "proc.pid" => return Some(FieldValue::Number(self.pid.into())),
            "proc.ppid" => return Some(FieldValue::Number(self.parent.into())),
            "user.uid" => return Some(FieldValue::Number(self.uid.into())),
            "user.name" => self.user.clone()?,
            "proc.name" => self.name.clone(),
            "proc.pname" => self.parent_name.clone()?,
            "proc.exe" => self.command.first()?.clone(),
            "proc.exepath" => self.executable.clone()?,
            "proc.args" => self.command.get(1..)?.join(" "),
            "proc.cmdline" => {
                let arguments = self.command.iter().skip(1).map(String::as_str);
                std::iter::once(self.name.as_str()).chain(arguments).collect::<Vec<_>>().join(" ")
            }
            _ => return None,
        };
        Some(FieldValue::Text(text))
    }
}

/// The time in JSON: always UTC, with nanoseconds.
pub fn iso(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string()
}

/// `FALCO_HOSTNAME`, or the name of the machine.
pub fn host_name() -> String {
    std::env::var("FALCO_HOSTNAME")
        .ok()
        .filter(|name| !name.is_empty())
        .or_else(|| nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()))
        .unwrap_or_default()
}
