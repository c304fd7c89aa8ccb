//! Tokens of a condition, with their places.

/// A word, number, operator or text in quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The text, without quotes and escapes.
    pub text: String,
    /// Stood in quotes.
    pub quoted: bool,
    /// Offset in characters.
    pub offset: usize,
}

/// Reads tokens one after the other.
pub struct Lexer {
    characters: Vec<char>,
    position: usize,
}

const SYMBOLS: &[&str] = &["==", "!=", "<=", ">=", "=", "<", ">", "(", ")", ","];

impl Lexer {
    /// Starts at the beginning.
    pub fn new(text: &str) -> Self {
        Self { characters: text.chars().collect(), position: 0 }
    }

    /// Length of the text.
    pub fn length(&self) -> usize {
        self.characters.len()
    }

    /// The next token, which stays.
    pub fn peek(&self) -> Option<Token> {
        self.read(self.position, false).map(|(token, _)| token)
    }

    /// The next token.
    pub fn next_token(&mut self) -> Option<Token> {
        let (token, end) = self.read(self.position, false)?;
        self.position = end;
        Some(token)
    }

    /// The next value: as a token, but `=`, `<`, `>` and `!` are part of it.
    pub fn next_value(&mut self) -> Option<Token> {
        let (token, end) = self.read(self.position, true)?;
        self.position = end;
        Some(token)
    }

    fn read(&self, from: usize, value: bool) -> Option<(Token, usize)> {
        let start = (from..self.characters.len()).find(|at| !self.characters[*at].is_whitespace())?;
        let first = self.characters[start];
        if first == '"' || first == '\'' {
            return self.quoted(start, first);
        }
        if !value {
            let symbol = SYMBOLS.iter().find(|symbol| self.has(start, symbol));
            if let Some(symbol) = symbol {
                let token = Token { text: (*symbol).to_owned(), quoted: false, offset: start };
                return Some((token, start + symbol.len()));
            }
        }
        let end = self.end_of_word(start, value);
        if end == start {
            return None;
        }
        let text: String = self.characters[start..end].iter().collect();
        Some((Token { text, quoted: false, offset: start }, end))
    }

    fn has(&self, at: usize, symbol: &str) -> bool {
        symbol.chars().enumerate().all(|(number, wanted)| self.characters.get(at + number) == Some(&wanted))
    }

    /// Brackets hold the argument of a field and may hold anything.
    fn end_of_word(&self, start: usize, value: bool) -> usize {
        let mut in_brackets = false;
        for at in start..self.characters.len() {
            match self.characters[at] {
                '[' if !value => in_brackets = true,
                ']' if in_brackets => in_brackets = false,
                _ if in_brackets => {}
                '(' | ')' | ',' => return at,
                '=' | '<' | '>' | '!' if !value => return at,
                other if other.is_whitespace() => return at,
                _ => {}
            }
        }
        self.characters.len()
    }

    fn quoted(&self, start: usize, quote: char) -> Option<(Token, usize)> {
        let mut text = String::new();
        let mut at = start + 1;
        loop {
            match *self.characters.get(at)? {
                end if end == quote => return Some((Token { text, quoted: true, offset: start }, at + 1)),
                '\\' => {
                    at += 1;
                    text.push(*self.characters.get(at)?);
                }
                other => text.push(other),
            }
            at += 1;
        }
    }
}
