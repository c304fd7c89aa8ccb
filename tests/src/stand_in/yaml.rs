//! YAML as a tree that keeps what both programs let through to their users: the position of every node, and whether a
//! scalar was quoted. Types are decided by the reader of a value, because the two programs decide them differently.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// A place in a text, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Line.
    pub line: usize,
    /// Column in characters.
    pub column: usize,
    /// Offset in characters.
    pub offset: usize,
}

/// A value and where it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it starts.
    pub mark: Mark,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text, and whether it stood there without quotes.
    Scalar {
        /// The text, unescaped.
        text: String,
        /// Written without quotes and not as a block.
        plain: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// A map in the order of the text, with duplicates.
    Mapping(Vec<(Node, Node)>),
}

/// Why a text is no YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The words of libyaml.
    pub problem: String,
    /// What was being read, in the words of libyaml, or nothing.
    pub context: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Column, counted from 1.
    pub column: usize,
}

impl Node {
    /// A plain scalar without a place, for values that come from elsewhere than a file.
    pub fn scalar(text: impl Into<String>) -> Self {
        Self { value: Value::Scalar { text: text.into(), plain: true }, mark: Mark::default() }
    }

    /// An empty map.
    pub fn mapping() -> Self {
        Self { value: Value::Mapping(Vec::new()), mark: Mark::default() }
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    /// Nothing was written, or an unquoted `null` or `~`.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The entries of a list, or none.
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::Sequence(items) => items,
            Value::Scalar { .. } | Value::Mapping(_) => &[],
        }
    }

    /// The entries of a map, or none.
    pub fn entries(&self) -> &[(Self, Self)] {
        match &self.value {
            Value::Mapping(entries) => entries,
            Value::Scalar { .. } | Value::Sequence(_) => &[],
        }
    }

    /// The value under `key`, the first if it stands there twice.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }

    /// The value under a path of keys.
    pub fn path(&self, keys: &[&str]) -> Option<&Self> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// Puts `value` under `key`, in place of what stood there.
    pub fn set(&mut self, key: &str, value: Self) {
        if !matches!(self.value, Value::Mapping(_)) {
            self.value = Value::Mapping(Vec::new());
        }
        let Value::Mapping(entries) = &mut self.value else { return };
        match entries.iter_mut().find(|(name, _)| name.text() == Some(key)) {
            Some((_, old)) => *old = value,
            None => entries.push((Self::scalar(key), value)),
        }
    }
}

/// Reads the first document of `text`; `None` when there is none.
pub fn parse(text: &str) -> Result<Option<Node>, SyntaxError> {
    check_syntax(text)?;
    let mut events = Parser::new_from_str(text);
    let mut builder = Builder::default();
    while let Some(next) = events.next_event() {
        let (event, span) = next.map_err(|error| SyntaxError {
            problem: error.info().to_owned(),
            context: String::new(),
            line: error.marker().line(),
            column: error.marker().col() + 1,
        })?;
        builder.take(&event, span);
        if matches!(event, Event::DocumentEnd) {
            break;
        }
    }
    Ok(builder.root)
}

/// libyaml decides what is YAML, because both programs speak in its words or in words that map to them.
fn check_syntax(text: &str) -> Result<(), SyntaxError> {
    let Err(error) = serde_yaml::from_str::<serde::de::IgnoredAny>(text) else { return Ok(()) };
    let Some(location) = error.location() else { return Ok(()) };
    let words = error.to_string();
    let (problem, rest) = words.split_once(" at line ").unwrap_or((&words, ""));
    let context = rest.split_once(", ").map_or("", |(_, context)| context);
    Err(SyntaxError {
        problem: problem.to_owned(),
        context: context.to_owned(),
        line: location.line(),
        column: location.column(),
    })
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    root: Option<Node>,
}

struct Open {
    node: Node,
    anchor: usize,
    key: Option<Node>,
}

impl Builder {
    fn take(&mut self, event: &Event<'_>, span: Span) {
        let mark = Mark { line: span.start.line() - 1, column: span.start.col(), offset: span.start.index() };
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = *style == ScalarStyle::Plain;
                self.close(Node { value: Value::Scalar { text: text.to_string(), plain }, mark }, *anchor);
            }
            Event::Alias(anchor) => {
                let mut node = self.anchors.get(anchor).cloned().unwrap_or_else(Node::mapping);
                node.mark = mark;
                self.close(node, 0);
            }
            Event::SequenceStart(anchor, _) => self.begin(Value::Sequence(Vec::new()), mark, *anchor),
            Event::MappingStart(anchor, _) => self.begin(Value::Mapping(Vec::new()), mark, *anchor),
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    self.close(open.node, open.anchor);
                }
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {}
        }
    }

    fn begin(&mut self, value: Value, mark: Mark, anchor: usize) {
        self.open.push(Open { node: Node { value, mark }, anchor, key: None });
    }

    fn close(&mut self, node: Node, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(parent) = self.open.last_mut() else {
            self.root.get_or_insert(node);
            return;
        };
        match &mut parent.node.value {
            Value::Sequence(items) => items.push(node),
            Value::Mapping(entries) => match parent.key.take() {
                None => parent.key = Some(node),
                Some(key) => entries.push((key, node)),
            },
            Value::Scalar { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_in_a_list_starts_at_its_first_key() {
        let node = parse("- rule: a\n  condition: b c\n- {x: 1}\n").unwrap().unwrap();
        let [first, second] = node.items() else { panic!("two items") };
        assert_eq!(first.mark, Mark { line: 0, column: 2, offset: 2 });
        assert_eq!(first.get("condition").unwrap().mark, Mark { line: 1, column: 13, offset: 23 });
        assert_eq!(second.mark, Mark { line: 2, column: 2, offset: 29 });
    }

    #[test]
    fn a_broken_text_is_reported_where_libyaml_stops() {
        let error = parse("a: 1\nwebserver: [\n").unwrap_err();
        assert_eq!((error.problem.as_str(), error.line, error.column), ("did not find expected node content", 3, 1));
        let error = parse("- rule: x\n  desc: [unclosed\n  condition: evt.type=open\n").unwrap_err();
        assert_eq!((error.line, error.column), (3, 12), "{error:?}");
    }

    #[test]
    fn a_text_of_comments_is_no_document() {
        assert_eq!(parse("# nothing\n").unwrap(), None);
        assert_eq!(parse("").unwrap(), None);
    }
}
