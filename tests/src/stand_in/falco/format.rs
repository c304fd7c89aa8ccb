//! Output formats of rules: text with `%field` in it.

use super::event::{Event, FieldValue};
use super::fields::Fields;

/// Text with fields in it.
#[derive(Clone, Debug, Default)]
pub struct Format {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Field(String),
}

impl Format {
    /// Reads a format. The error is the message of `LOAD_ERR_COMPILE_OUTPUT`.
    pub fn parse(text: &str, fields: &Fields) -> Result<Self, String> {
        let mut pieces = Vec::new();
        // A leading star asks to resolve as much as possible, which is what always happens here.
        let mut rest = text.strip_prefix('*').unwrap_or(text);
        while let Some(start) = rest.find('%') {
            pieces.push(Piece::Text(rest[..start].to_owned()));
            rest = &rest[start + 1..];
            if rest.is_empty() {
                return Err("invalid formatting syntax: formatting cannot end with a %".into());
            }
            let length = field_length(rest);
            let name = rest[..length].trim_end_matches('.');
            if !fields.knows(name) {
                // Falco's message really ends here: what follows the quote is a control character.
                return Err("unknown filter: unexpected token after '".into());
            }
            pieces.push(Piece::Field(name.to_owned()));
            rest = &rest[name.len()..];
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self { pieces })
    }

    /// The text for an event; a field without a value is `<NA>`.
    pub fn text(&self, event: &Event) -> String {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Field(name) => event.field(name).map_or_else(|| "<NA>".to_owned(), |value| value.text()),
            })
            .collect()
    }

    /// Names and values of the fields in it.
    pub fn values(&self, event: &Event) -> Vec<(String, Option<FieldValue>)> {
        self.fields().map(|name| (name.to_owned(), event.field(name))).collect()
    }

    /// Names of the fields in it.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Field(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }
}

fn field_length(text: &str) -> usize {
    let bare = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.')).unwrap_or(text.len());
    if !text[bare..].starts_with('[') {
        return bare;
    }
    text[bare..].find(']').map_or(bare, |end| bare + end + 1)
}
