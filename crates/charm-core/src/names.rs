//! Names that Juju gives out, as types that cannot be confused with each other.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is not a name of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError {
    kind: &'static str,
    text: String,
}

impl fmt::Display for NameError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?} is not {}", self.text, self.kind)
    }
}

impl std::error::Error for NameError {}

/// The name of an application: `falco`. Never empty, never with a slash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppName(String);

impl AppName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AppName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || text.contains(['/', ' ', '\n']) {
            return Err(NameError { kind: "the name of an application", text: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The name of a unit: `falco/0`. Ordered by application, then by **number**, so that `loki/2` comes before `loki/10`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitName {
    /// The application the unit belongs to.
    pub app: AppName,
    /// The number that Juju gave it.
    pub number: u32,
}

impl FromStr for UnitName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let error = || NameError { kind: "the name of a unit", text: text.to_owned() };
        let (app, number) = text.split_once('/').ok_or_else(error)?;
        Ok(Self { app: app.parse().map_err(|_| error())?, number: number.parse().map_err(|_| error())? })
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.app, self.number)
    }
}

/// The number of a relation, unique in its model. Juju writes it with the endpoint in front: `http-endpoint:7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelationId(u32);

impl FromStr for RelationId {
    type Err = NameError;

    /// Takes `http-endpoint:7` and `7`; Juju, too, looks only behind the last colon.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let number = text.rsplit(':').next().unwrap_or(text);
        number.parse().map(Self).map_err(|_| NameError { kind: "the id of a relation", text: text.to_owned() })
    }
}

impl fmt::Display for RelationId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

impl Serialize for RelationId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<'de> Deserialize<'de> for RelationId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u32::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_ordered_by_number_and_not_by_text() {
        let mut units: Vec<UnitName> = ["loki/10", "loki/2"].map(|name| name.parse().unwrap()).into();
        units.sort();
        assert_eq!(units[0].to_string(), "loki/2");
    }

    #[test]
    fn a_relation_id_is_read_with_and_without_its_endpoint() {
        assert_eq!("http-endpoint:7".parse(), "7".parse::<RelationId>());
        assert!("http-endpoint:".parse::<RelationId>().is_err());
    }

    #[test]
    fn a_text_that_is_no_unit_is_refused() {
        for text in ["", "falco", "falco/", "/0", "falco/x", "falco/0/1"] {
            assert!(text.parse::<UnitName>().is_err(), "{text}");
        }
    }
}
