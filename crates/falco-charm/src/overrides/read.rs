//! Reading YAML that somebody else wrote, into no more memory and in no more time than overrides are worth. Pure.
//!
//! The parser below has limits of its own, and they are not enough: it counts how often an alias is followed but not how
//! much that copies, and its time grows with the square of some things. So the text is looked over before it gets to the
//! parser, and what comes out is counted while it is built.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor};
use serde_yaml::{Mapping, Value};

/// The falco.yaml that Falco ships, remarks and all, is well within half of it.
const LARGEST_DOCUMENT: usize = 256 * 1024;

/// How many brackets may be opened. The parser walks through all that are open at each word.
const MOST_BRACKETS: usize = 4_000;

/// How deep lists and mappings may lie in each other. Falco's own lie five deep.
const DEEPEST: usize = 32;

/// How much may still be read.
#[derive(Debug)]
pub struct Budget {
    /// Bytes of a text to parse.
    document: usize,
    /// Opening brackets in it.
    brackets: usize,
    /// Keys and values.
    nodes: usize,
    /// Bytes in keys and values.
    bytes: usize,
}

impl Budget {
    /// For all documents together.
    pub fn of_documents() -> Self {
        Self { document: LARGEST_DOCUMENT, brackets: MOST_BRACKETS, nodes: 5_000, bytes: LARGEST_DOCUMENT }
    }

    /// For what was read within the above and written again: it is longer, with blanks before each line.
    pub fn of_our_own() -> Self {
        Self { document: 64 * LARGEST_DOCUMENT, brackets: LARGEST_DOCUMENT, ..Self::of_documents() }
    }

    /// For one more key or value.
    fn spend<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        match (self.nodes.checked_sub(1), self.bytes.checked_sub(bytes)) {
            (Some(nodes), Some(left)) => {
                (self.nodes, self.bytes) = (nodes, left);
                Ok(())
            }
            _ => Err(E::custom("all overrides together hold more than Falco's whole configuration could")),
        }
    }
}

/// The mapping in a text, which is empty when there is nothing in the text. The error follows the name of the document,
/// and quotes nothing of it but keys.
pub fn mapping(text: &[u8], budget: &mut Budget) -> Result<Mapping, String> {
    if text.len() > budget.document {
        return Err(format!("has {} bytes, and no more than {} are taken", text.len(), budget.document));
    }
    let text =
        std::str::from_utf8(text).map_err(|error| format!("is not UTF-8 behind its byte {}", error.valid_up_to()))?;
    if text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() > budget.brackets {
        return Err(format!("has more than {} opening brackets", budget.brackets));
    }
    // The parser keeps the directives in a list that it goes through for each of them.
    if text.lines().any(|line| line.starts_with('%')) {
        return Err("has a line that begins with %; overrides need no directive".to_owned());
    }
    let mut documents = serde_yaml::Deserializer::from_str(text);
    let value = match documents.next() {
        Some(document) => {
            Node { budget, depth: 0 }.deserialize(document).map_err(|error| format!("is not usable: {error}"))?
        }
        None => Value::Null,
    };
    if documents.next().is_some() {
        return Err("has more than one YAML document in it".to_owned());
    }
    match value {
        Value::Mapping(mapping) => Ok(mapping),
        Value::Null => Ok(Mapping::new()),
        _ => Err("is not a mapping of keys to values".to_owned()),
    }
}

/// A value at some depth.
struct Node<'a> {
    budget: &'a mut Budget,
    depth: usize,
}

impl Node<'_> {
    /// A value inside of this one.
    fn inner(&mut self) -> Node<'_> {
        Node { budget: self.budget, depth: self.depth + 1 }
    }

    fn check_depth<E: Error>(&self) -> Result<(), E> {
        if self.depth < DEEPEST { Ok(()) } else { Err(E::custom("lists or mappings lie too deep in each other")) }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text, a number of up to 64 bits, true, false, null, a list or a mapping")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.budget.spend(0)?;
        Ok(Value::Null)
    }

    /// What the parser calls a text without anything in it.
    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.budget.spend(0)?;
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        self.budget.spend(0)?;
        Ok(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        self.budget.spend(0)?;
        Ok(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        self.budget.spend(0)?;
        if number.is_finite() { Ok(number.into()) } else { Err(E::custom("a number is not finite")) }
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Value, E> {
        Err(E::custom("a number is too large"))
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Value, E> {
        Err(E::custom("a number is too small"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.budget.spend(text.len())?;
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        self.budget.spend(0)?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self.inner())? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        self.budget.spend(0)?;
        let mut values = Mapping::new();
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key_seed(Key { budget: self.budget })? {
            // Readers of YAML disagree on which of two counts, and so would the check and what is checked.
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format_args!("the key {key} is there twice")));
            }
            let value = map.next_value_seed(self.inner())?;
            values.insert(key.into(), value);
        }
        Ok(values.into())
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Err(A::Error::custom("a value has a tag, a word that begins with !; a text that does goes into quotes"))
    }
}

/// A key of a mapping.
struct Key<'a> {
    budget: &'a mut Budget,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = String;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text as a key; a number or a word such as true or null goes into quotes")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<String, E> {
        self.budget.spend(key.len())?;
        if key == "<<" {
            return Err(E::custom("the key << merges nothing in Falco; write out what it stands for"));
        }
        if key.contains(char::is_control) {
            return Err(E::custom("a key has a control character in it"));
        }
        Ok(key.to_owned())
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<String, A::Error> {
        Err(A::Error::custom("a key has a tag, a word that begins with !"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: impl AsRef<[u8]>) -> Result<Mapping, String> {
        mapping(text.as_ref(), &mut Budget::of_documents())
    }

    fn refused(text: impl AsRef<[u8]>) -> String {
        read(text).unwrap_err()
    }

    #[test]
    fn what_falco_has_in_its_file_is_read_as_it_is() {
        let text = "\u{feff}# a remark\r\na: {b: [1, -2, .5, true, ~, 'x']}\r\nc: yes\nd: 1h\ne: |\n  two\n  lines\n";
        let read = read(text).unwrap();
        let list = serde_yaml::to_string(&read["a"]["b"]).unwrap();
        assert_eq!(list, "- 1\n- -2\n- 0.5\n- true\n- null\n- x\n");
        assert_eq!((&read["c"], &read["d"], &read["e"]), (&"yes".into(), &"1h".into(), &"two\nlines\n".into()));
    }

    #[test]
    fn nothing_is_an_empty_mapping() {
        for text in ["", "\n", "# only a remark\n", "---\n", "---\n...\n", "~", "{}"] {
            assert_eq!(read(text), Ok(Mapping::new()), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_one_plain_mapping_is_refused_and_said_so() {
        for (text, words) in [
            ("- a", "not a mapping"),
            ("text", "not a mapping"),
            ("a: 1\n---\nb: 2\n", "more than one YAML document"),
            ("---\n---\na: 1\n", "more than one YAML document"),
            ("a: 1\na: 2\n", "key a is there twice"),
            ("a: {b: 1, \"b\": 2}", "key b is there twice"),
            ("a: !x 1", "a: a value has a tag"),
            ("!x {a: 1}", "has a tag"),
            ("a: [!x [1]]", "has a tag"),
            ("1: a", "a text as a key"),
            ("true: a", "a text as a key"),
            ("~: a", "a text as a key"),
            ("? [a]\n: b", "a text as a key"),
            ("!x a: b", "a key has a tag"),
            ("\"a\\nb\": c", "control character"),
            ("a: &a {x: 1}\nb: {<<: *a}", "the key << merges nothing"),
            ("a: *b", "unknown anchor"),
            ("a: &a [*a]", "too deep"),
            ("a: [1, 2", "did not find"),
            ("a: b: c", "not allowed"),
            ("\ta: 1", "cannot start any token"),
            ("a: \u{0}", "control characters"),
            ("%YAML 1.1\n---\na: 1", "begins with %"),
            ("a: .inf", "not finite"),
            ("a: .nan", "not finite"),
            ("a: 99999999999999999999999", "too large"),
            ("a: -99999999999999999999999", "too small"),
        ] {
            let problem = refused(text);
            assert!(problem.contains(words), "{text:?}: {problem}");
        }
        assert!(refused(b"a: \xff").contains("is not UTF-8 behind its byte 3"));
    }

    #[test]
    fn a_problem_quotes_no_value() {
        for text in [
            "- hunter2",
            "hunter2",
            "a: [hunter2",
            "a: !hunter2 hunter2",
            "a: *hunter2",
            "a: \"hunter2",
            "a: b: hunter2",
        ] {
            let problem = refused(text);
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }

    #[test]
    fn an_alias_is_followed_and_counts_as_what_it_stands_for() {
        assert_eq!(read("a: &a [x]\nb: *a").unwrap()["b"][0], "x");
        let list = |of: &str, times| format!("[{}]", vec![of; times].join(", "));
        let level = |name: char, of: &str| format!("{name}{name}: &{name} {}\n", list(of, 10));
        let levels = ('b'..='j').zip('a'..).map(|(name, of)| level(name, &format!("*{of}")));
        let bomb: Vec<String> = std::iter::once(level('a', "x")).chain(levels).collect();
        assert!(refused(bomb.concat()).contains("more than Falco's whole"));
        let wide = format!("a: &a {}\nb: {}", list("x", 2_000), list("*a", 2_000));
        assert!(refused(wide).contains("more than Falco's whole"));
        let long = format!("a: &a {}\nb: {}", "x".repeat(200_000), list("*a", 2));
        assert!(refused(long).contains("more than Falco's whole"));
    }

    #[test]
    fn depth_is_bounded_in_every_notation() {
        for text in
            ["[".repeat(40) + &"]".repeat(40), "{a: ".repeat(40) + &"}".repeat(40), "- ".repeat(40), "? ".repeat(40)]
        {
            let problem = refused(format!("a:\n  {text}"));
            assert!(problem.contains("too deep") || problem.contains("a text as a key"), "{problem}");
        }
        let deepest = "{a: ".repeat(32) + &"}".repeat(32);
        assert!(read(deepest).is_ok());
    }

    #[test]
    fn what_costs_the_parser_a_lot_is_refused_before_it_gets_there() {
        assert!(refused(vec![b' '; 256 * 1024 + 1]).contains("262145 bytes"));
        for text in ["[".repeat(5_000), "{a: ".repeat(60_000)] {
            assert!(refused(text).contains("opening brackets"));
        }
        let directives: Vec<String> = (0..10_000).map(|number| format!("%TAG !{number}! tag:x\n")).collect();
        assert!(refused(directives.concat()).contains("begins with %"));
        // The worst that is left, at its bounds. Without them the first took more than a minute.
        for text in [
            "{a: ".repeat(4_000),
            "[".repeat(4_000) + &"x,".repeat(100_000),
            "- ".repeat(130_000),
            "? ".repeat(130_000),
            (0..20_000).map(|number| format!("- &a{number} x\n")).collect::<Vec<_>>().concat(),
            "- !!str &a x\n".repeat(20_000),
        ] {
            read(text).unwrap_err();
        }
    }
}
