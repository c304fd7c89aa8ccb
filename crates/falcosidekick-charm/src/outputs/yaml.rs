//! What an operator wrote into an option, as a tree. Scalars keep their text, so that `007` is `007` wherever text is
//! wanted; nothing that could blow up is taken.

use std::collections::BTreeSet;
use std::fmt;

use charm_core::status::one_line;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// More than anybody writes by hand, and read in no time.
const LONGEST: usize = 64 * 1024;

/// Deeper than any key of Falcosidekick.
const DEEPEST: usize = 8;

/// How much of the parser's words about a mistake is shown, in characters.
const LONGEST_WORDS: usize = 100;

/// A value and the line, counted from 1, where it starts. It may hold secrets, so it does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Node {
    /// The value.
    pub value: Tree,
    /// The line.
    pub line: usize,
}

impl fmt::Debug for Tree {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Tree([redacted])")
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Node(line {})", self.line)
    }
}

/// What a node holds.
#[derive(Clone, PartialEq, Eq)]
pub enum Tree {
    /// Text as it was written, without quotes.
    Scalar(String),
    /// An empty value, or an unquoted `null` or `~`.
    Null,
    /// In the order of the text.
    List(Vec<Node>),
    /// In the order of the text. Keys are text, and no two are the same.
    Map(Vec<(String, Node)>),
}

/// Reads the one document of a text; `Ok(None)` when there is nothing but blanks and comments. The error follows the
/// name of the option.
pub fn parse(text: &str) -> Result<Option<Node>, String> {
    if text.len() > LONGEST {
        return Err(format!("is longer than {LONGEST} bytes"));
    }
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| {
            let words = one_line(error.info(), LONGEST_WORDS);
            format!("is not YAML: line {}, column {}: {words}", error.marker().line(), error.marker().col() + 1)
        })?;
        builder.take(event, span).map_err(|problem| format!("line {}: {problem}", span.start.line()))?;
    }
    Ok(builder.root.filter(|root| root.value != Tree::Null))
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
}

/// A list or a map whose end has not come yet.
struct Open {
    node: Node,
    key: Option<String>,
    names: BTreeSet<String>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), String> {
        let line = span.start.line();
        let (anchor, tag) = match &event {
            Event::Alias(_) => return Err("an alias (*name) is not taken".into()),
            Event::Scalar(_, _, anchor, tag) | Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => {
                (*anchor, tag.is_some())
            }
            _ => (0, false),
        };
        if anchor != 0 || tag {
            return Err("an anchor (&name) or a tag (!name) is not taken".into());
        }
        match event {
            Event::Scalar(text, style, _, _) => self.close(scalar(text.into_owned(), style, line)),
            Event::SequenceStart(..) => self.begin(Tree::List(Vec::new()), line),
            Event::MappingStart(..) => self.begin(Tree::Map(Vec::new()), line),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.close(open.node),
                None => Ok(()),
            },
            Event::DocumentStart(_) if self.root.is_some() => Err("there is a second document".into()),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, value: Tree, line: usize) -> Result<(), String> {
        if self.open.len() == DEEPEST {
            return Err(format!("is nested more than {DEEPEST} deep"));
        }
        if self.open.last().is_some_and(|open| matches!(open.node.value, Tree::Map(_)) && open.key.is_none()) {
            return Err("a key has to be text".into());
        }
        self.open.push(Open { node: Node { value, line }, key: None, names: BTreeSet::new() });
        Ok(())
    }

    fn close(&mut self, node: Node) -> Result<(), String> {
        let Some(Open { node: parent, key, names }) = self.open.last_mut() else {
            self.root.get_or_insert(node);
            return Ok(());
        };
        match (&mut parent.value, key.take()) {
            (Tree::List(items), _) => items.push(node),
            (Tree::Map(entries), Some(name)) => entries.push((name, node)),
            (_, _) => {
                let Tree::Scalar(name) = node.value else { return Err("a key has to be text".into()) };
                // Falcosidekick does not tell capitals, so two that differ in them are the same.
                if !names.insert(name.to_lowercase()) {
                    return Err(format!("{:?} stands there twice", one_line(&name, LONGEST_WORDS)));
                }
                *key = Some(name);
            }
        }
        Ok(())
    }
}

fn scalar(text: String, style: ScalarStyle, line: usize) -> Node {
    let is_null = style == ScalarStyle::Plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
    Node { value: if is_null { Tree::Null } else { Tree::Scalar(text) }, line }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        parse(text).err().unwrap_or_else(|| panic!("taken: {text}"))
    }

    #[test]
    fn texts_stay_as_they_were_written() {
        let Some(Node { value: Tree::Map(entries), .. }) = parse("a: 007\nb: '1e3'\nc: no\nd: 2020-01-01\n").unwrap()
        else {
            panic!()
        };
        let texts = entries.iter().map(|(_, node)| match &node.value {
            Tree::Scalar(text) => text.as_str(),
            _ => panic!(),
        });
        assert_eq!(texts.collect::<Vec<_>>(), ["007", "1e3", "no", "2020-01-01"]);
    }

    #[test]
    fn nothing_but_comments_is_nothing() {
        for text in ["", " \n", "# nothing\n", "---\n", "~"] {
            assert!(parse(text).unwrap().is_none(), "{text}");
        }
    }

    #[test]
    fn what_could_blow_up_or_mean_two_things_is_refused_with_its_line() {
        assert_eq!(problem("a: &x [1]\nb: [*x, *x]\n"), "line 1: an anchor (&name) or a tag (!name) is not taken");
        assert_eq!(problem("a: 1\nb: !!str 1\n"), "line 2: an anchor (&name) or a tag (!name) is not taken");
        assert_eq!(problem("a: 1\nA: 2\n"), "line 2: \"A\" stands there twice");
        assert_eq!(problem("a: 1\n---\nb: 2\n"), "line 2: there is a second document");
        assert_eq!(problem("? [a]\n: 1\n"), "line 1: a key has to be text");
        assert_eq!(problem("? ~\n: 1\n"), "line 1: a key has to be text");
        assert_eq!(problem(&"[".repeat(100_000)), "is longer than 65536 bytes");
        assert_eq!(problem(&"[".repeat(9)), "line 1: is nested more than 8 deep");
        assert!(problem("a: [\n").starts_with("is not YAML: line 2"), "{}", problem("a: [\n"));
        assert!(problem("a:\tb: c").starts_with("is not YAML: line 1"));
    }
}
