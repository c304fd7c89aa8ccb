//! The condition language of rules: reading it into a tree, and writing the tree back in the form that `-L` shows.
//!
//! All of the grammar is read, so that a rule which Falco accepts is accepted here; `evaluate` knows less and says so.

mod lexer;

use std::collections::BTreeSet;

use lexer::{Lexer, Token};

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// All of them.
    And(Vec<Self>),
    /// Any of them.
    Or(Vec<Self>),
    /// Not it.
    Not(Box<Self>),
    /// A field against a value.
    Check(Check),
    /// A macro by name, until it is put in.
    Macro(Named),
}

/// A name and where it stands in the condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: String,
    /// Offset in characters.
    pub offset: usize,
}

/// A field against a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The field with its argument, and where it stands.
    pub field: Named,
    /// Functions around the field, outermost first.
    pub functions: Vec<String>,
    /// The operator.
    pub operator: String,
    /// What it is compared with.
    pub operand: Operand,
}

/// The right side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// Nothing: `exists`.
    None,
    /// One value.
    One(String),
    /// A list in parentheses; names of lists stay names until they are put in.
    Many(Vec<String>),
}

/// Why a condition is none, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// The words.
    pub words: String,
    /// Offset in characters.
    pub offset: usize,
}

const VALUE_OPERATORS: &[&str] = &[
    "=",
    "==",
    "!=",
    "<=",
    "<",
    ">=",
    ">",
    "contains",
    "icontains",
    "bcontains",
    "glob",
    "iglob",
    "startswith",
    "bstartswith",
    "endswith",
    "regex",
];
const LIST_OPERATORS: &[&str] = &["in", "intersects", "pmatch"];
const FUNCTIONS: &[&str] = &["tolower", "toupper", "b64", "basename", "len", "val", "join", "concat"];

impl Expression {
    /// Reads a condition.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut parser = Parser { lexer: Lexer::new(text), last: String::new() };
        let expression = parser.any()?;
        match parser.lexer.peek() {
            None => Ok(expression),
            Some(token) => Err(FilterError {
                words: format!("unexpected token after '{}', expecting 'or', 'and'", parser.last),
                offset: token.offset,
            }),
        }
    }

    /// Calls `each` on every part of the tree that has no parts itself.
    pub fn visit(&self, each: &mut impl FnMut(&Self)) {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.visit(each)),
            Self::Not(part) => part.visit(each),
            Self::Check(_) | Self::Macro(_) => each(self),
        }
    }

    /// Puts something in the place of every part that has no parts itself.
    pub fn replace(self, with: &mut impl FnMut(Self) -> Self) -> Self {
        match self {
            Self::And(parts) => Self::And(parts.into_iter().map(|part| part.replace(with)).collect()),
            Self::Or(parts) => Self::Or(parts.into_iter().map(|part| part.replace(with)).collect()),
            Self::Not(part) => Self::Not(Box::new(part.replace(with))),
            leaf @ (Self::Check(_) | Self::Macro(_)) => with(leaf),
        }
    }

    /// The event types that can fulfil it; `None` when any can.
    pub fn event_types(&self) -> Option<BTreeSet<String>> {
        match self {
            Self::And(parts) => {
                let mut sets = parts.iter().filter_map(Self::event_types);
                let first = sets.next()?;
                Some(sets.fold(first, |all, set| all.intersection(&set).cloned().collect()))
            }
            Self::Or(parts) => {
                let sets: Option<Vec<_>> = parts.iter().map(Self::event_types).collect();
                Some(sets?.into_iter().flatten().collect())
            }
            Self::Check(check) if check.field.name == "evt.type" && check.functions.is_empty() => {
                match &check.operand {
                    Operand::One(value) if check.operator == "=" || check.operator == "==" => {
                        Some(BTreeSet::from([value.clone()]))
                    }
                    Operand::Many(values) if check.operator == "in" => Some(values.iter().cloned().collect()),
                    _ => None,
                }
            }
            Self::Not(_) | Self::Check(_) | Self::Macro(_) => None,
        }
    }

    /// Writes the tree the way `-L` does.
    pub fn write(&self) -> String {
        let join = |parts: &[Self], word: &str| {
            let written: Vec<String> = parts.iter().map(Self::write).collect();
            format!("({})", written.join(word))
        };
        match self {
            Self::And(parts) => join(parts, " and "),
            Self::Or(parts) => join(parts, " or "),
            Self::Not(part) => format!("not {}", part.write()),
            Self::Macro(named) => named.name.clone(),
            Self::Check(check) => check.write(),
        }
    }
}

impl Check {
    fn write(&self) -> String {
        let open: String = self.functions.iter().flat_map(|name| [name, "("]).collect();
        let close = ")".repeat(self.functions.len());
        let field = format!("{open}{}{close}", self.field.name);
        match &self.operand {
            Operand::None => format!("{field} {}", self.operator),
            Operand::One(value) => format!("{field} {} {}", self.operator, quote(value)),
            Operand::Many(values) => {
                let values: Vec<String> = values.iter().map(|value| quote(value)).collect();
                format!("{field} {} ({})", self.operator, values.join(", "))
            }
        }
    }
}

fn quote(value: &str) -> String {
    let bare = !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || "()\"',=<>!".contains(c));
    if bare { value.to_owned() } else { format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")) }
}

struct Parser {
    lexer: Lexer,
    /// The last token that was understood, for error words.
    last: String,
}

impl Parser {
    fn any(&mut self) -> Result<Expression, FilterError> {
        let mut parts = vec![self.all()?];
        while self.accept("or") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::Or(parts) })
    }

    fn all(&mut self) -> Result<Expression, FilterError> {
        let mut parts = vec![self.negated()?];
        while self.accept("and") {
            parts.push(self.negated()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::And(parts) })
    }

    fn negated(&mut self) -> Result<Expression, FilterError> {
        if self.accept("not") {
            return Ok(Expression::Not(Box::new(self.negated()?)));
        }
        if self.accept("(") {
            let inner = self.any()?;
            self.require(")")?;
            return Ok(inner);
        }
        self.check()
    }

    fn check(&mut self) -> Result<Expression, FilterError> {
        let Some(token) = self.lexer.next_token() else { return Err(self.unexpected("a check")) };
        if token.quoted || !is_name(&token.text) || ["and", "or"].contains(&token.text.as_str()) {
            return Err(FilterError {
                words: format!("unexpected token after '{}', expecting 'or', 'and'", token.text),
                offset: token.offset + token.text.chars().count() + 1,
            });
        }
        self.last.clone_from(&token.text);
        let mut functions = Vec::new();
        let mut name = token.text.clone();
        let mut offset = token.offset;
        while FUNCTIONS.contains(&name.as_str()) && self.lexer.peek().is_some_and(|token| token.is("(")) {
            self.require("(")?;
            functions.push(name);
            let Some(inner) = self.lexer.next_token() else { return Err(self.unexpected("a field")) };
            name = inner.text;
            offset = inner.offset;
        }
        for _ in &functions {
            self.require(")")?;
        }
        let field = Named { name, offset };
        let Some(operator) = self.operator() else {
            if functions.is_empty() && !field.name.contains('.') {
                return Ok(Expression::Macro(field));
            }
            return Err(self.unexpected("an operator"));
        };
        self.last.clone_from(&operator);
        let operand = self.operand(&operator)?;
        Ok(Expression::Check(Check { field, functions, operator, operand }))
    }

    fn operator(&mut self) -> Option<String> {
        let next = self.lexer.peek()?;
        let known = |list: &[&str]| list.contains(&next.text.as_str());
        let is_operator = !next.quoted && (known(VALUE_OPERATORS) || known(LIST_OPERATORS) || next.text == "exists");
        if is_operator { self.lexer.next_token().map(|token| token.text) } else { None }
    }

    fn operand(&mut self, operator: &str) -> Result<Operand, FilterError> {
        if operator == "exists" {
            return Ok(Operand::None);
        }
        if !LIST_OPERATORS.contains(&operator) {
            let value = self.lexer.next_value().ok_or_else(|| self.unexpected("a value"))?;
            self.last.clone_from(&value.text);
            return Ok(Operand::One(value.text));
        }
        if !self.accept("(") {
            let value = self.lexer.next_value().ok_or_else(|| self.unexpected("a list"))?;
            return Ok(Operand::Many(vec![value.text]));
        }
        let mut values = Vec::new();
        while !self.accept(")") {
            let value = self.lexer.next_token().ok_or_else(|| self.unexpected("')'"))?;
            values.push(value.text);
            if !self.accept(",") {
                self.require(")")?;
                break;
            }
        }
        Ok(Operand::Many(values))
    }

    fn accept(&mut self, word: &str) -> bool {
        if !self.lexer.peek().is_some_and(|token| token.is(word)) {
            return false;
        }
        word.clone_into(&mut self.last);
        self.lexer.next_token().is_some()
    }

    fn require(&mut self, word: &str) -> Result<(), FilterError> {
        if self.accept(word) { Ok(()) } else { Err(self.unexpected(&format!("'{word}'"))) }
    }

    fn unexpected(&self, wanted: &str) -> FilterError {
        let offset = self.lexer.peek().map_or_else(|| self.lexer.length(), |token| token.offset);
        FilterError { words: format!("unexpected token after '{}', expecting {wanted}", self.last), offset }
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

impl Token {
    fn is(&self, word: &str) -> bool {
        !self.quoted && self.text == word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_written_back_as_falco_shows_it() {
        let text = "evt.type in (open, openat, openat2) and evt.is_open_read=true and not fd.name endswith /a.txt";
        assert_eq!(
            Expression::parse(text).unwrap().write(),
            "(evt.type in (open, openat, openat2) and evt.is_open_read = true and not fd.name endswith /a.txt)"
        );
        let text = "(a_macro or proc.aname[2]=\"x y\") and tolower(proc.name) in (b) and fd.name exists";
        assert_eq!(
            Expression::parse(text).unwrap().write(),
            "((a_macro or proc.aname[2] = \"x y\") and tolower(proc.name) in (b) and fd.name exists)"
        );
    }

    #[test]
    fn a_second_and_is_reported_behind_it() {
        let text = "evt.type in (open, openat, openat2) and evt.is_open_read=true and and fd.name endswith /canary.txt";
        let error = Expression::parse(text).unwrap_err();
        assert_eq!(error.words, "unexpected token after 'and', expecting 'or', 'and'");
        assert_eq!(error.offset, 70);
    }

    #[test]
    fn event_types_follow_and_and_or() {
        let types = |text: &str| Expression::parse(text).unwrap().event_types();
        assert_eq!(types("fd.name = a"), None);
        assert_eq!(types("evt.type = open and fd.name = a").unwrap().len(), 1);
        assert_eq!(types("evt.type = open or evt.type in (a, b)").unwrap().len(), 3);
        assert_eq!(types("evt.type = open or fd.name = a"), None);
    }
}
