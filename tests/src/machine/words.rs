//! The three small languages inside a unit file: quoted words, `$` variables and environment files.
//!
//! They differ from the shell and from one another, and a charm that writes a URL or a path into a unit file has to
//! escape for the right one. The rules are those of systemd 252; where it is lenient (an unknown `\d` or `%!` stays as
//! it is), so is this.

use std::collections::BTreeMap;

/// A part of an environment, in the order in which systemd hands it over.
pub type Variables = Vec<(String, String)>;

/// Why a line is unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unbalanced;

/// A word of a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// What it says.
    pub text: String,
    /// It is a bare `;`, which separates commands.
    pub separator: bool,
    /// It has an escape that is none.
    pub odd: bool,
}

/// Splits at white space, takes off quotes and resolves C escapes, as `ExecStart=` and `Environment=` do.
pub fn split(line: &str) -> Result<Vec<Word>, Unbalanced> {
    let mut words = Vec::new();
    let mut rest = line.chars().peekable();
    loop {
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        if rest.peek().is_none() {
            return Ok(words);
        }
        let mut word = Word::default();
        let mut quote = None;
        let mut bare = true;
        while let Some(&c) = rest.peek() {
            if quote.is_none() && c.is_whitespace() {
                break;
            }
            rest.next();
            match c {
                '\\' => {
                    bare = false;
                    word.odd |= !unescape(&mut rest, &mut word.text);
                }
                '\'' | '"' if quote.is_none() => {
                    bare = false;
                    quote = Some(c);
                }
                c if quote == Some(c) => quote = None,
                c => word.text.push(c),
            }
        }
        if quote.is_some() {
            return Err(Unbalanced);
        }
        word.separator = bare && word.text == ";";
        if word.text == "\\;" {
            // How a unit file writes a semicolon that separates nothing.
            word = Word { text: ";".into(), ..Word::default() };
        }
        words.push(word);
    }
}

/// Resolves one escape; one that is none stays as it is.
fn unescape(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, word: &mut String) -> bool {
    let Some(c) = rest.next() else {
        word.push('\\');
        return false;
    };
    let simple = match c {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        's' => ' ',
        '\\' | '"' | '\'' => c,
        'x' | '0'..='7' => {
            let (mut digits, radix, length) = if c == 'x' { (String::new(), 16, 2) } else { (String::from(c), 8, 3) };
            while digits.len() < length
                && let Some(digit) = rest.next_if(|c| c.is_digit(radix))
            {
                digits.push(digit);
            }
            if let Some(c) = u32::from_str_radix(&digits, radix).ok().and_then(char::from_u32) {
                word.push(c);
            }
            return true;
        }
        other => {
            word.extend(['\\', other]);
            return false;
        }
    };
    word.push(simple);
    true
}

/// Resolves the `%` specifiers that name the unit; `%%` is a percent sign.
pub fn specifiers(text: &str, unit: &str) -> String {
    let prefix = unit.rsplit_once('.').map_or(unit, |(prefix, _)| prefix);
    let mut resolved = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let value = match (c, rest.peek()) {
            ('%', Some('%')) => "%",
            ('%', Some('n')) => unit,
            ('%', Some('N' | 'p')) => prefix,
            ('%', Some('i')) => "",
            ('%', Some('t')) => "/run",
            ('%', Some('h')) => "/root",
            ('%', Some('S')) => "/var/lib",
            (c, _) => {
                resolved.push(c);
                continue;
            }
        };
        rest.next();
        resolved.push_str(value);
    }
    resolved
}

/// Resolves `$NAME` (a whole word, split at white space), `${NAME}` (part of a word) and `$$`.
pub fn expand(words: &[String], variables: &Variables) -> Vec<String> {
    let values: BTreeMap<&str, &str> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut expanded = Vec::new();
    for word in words {
        match word.strip_prefix('$') {
            Some(name) if !name.starts_with(['{', '$']) => {
                let value = values.get(name).copied().unwrap_or_default();
                match split(value) {
                    Ok(parts) => expanded.extend(parts.into_iter().map(|part| part.text)),
                    Err(Unbalanced) => expanded.push(value.to_owned()),
                }
            }
            _ => expanded.push(braces(word, &values)),
        }
    }
    expanded
}

fn braces(word: &str, values: &BTreeMap<&str, &str>) -> String {
    let mut expanded = String::new();
    let mut rest = word;
    while let Some(start) = rest.find('$') {
        expanded.push_str(&rest[..start]);
        let after = &rest[start + 1..];
        if let Some(after) = after.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            expanded.push_str(values.get(name).copied().unwrap_or_default());
            rest = after;
        } else {
            expanded.push('$');
            rest = after;
        }
    }
    expanded.push_str(rest);
    expanded
}

/// Reads the assignments of one `Environment=` line, and the words in it that are none.
pub fn assignments(line: &str, unit: &str) -> Result<(Variables, Vec<String>), Unbalanced> {
    let mut read = (Variables::new(), Vec::new());
    for Word { text, .. } in split(line)? {
        let word = specifiers(&text, unit);
        match assignment(&word) {
            Some(variable) => read.0.push(variable),
            None => read.1.push(word),
        }
    }
    Ok(read)
}

fn assignment(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    valid.then(|| (name.to_owned(), value.to_owned()))
}

/// Sets a variable in place, so that a later assignment wins and the order stays.
pub fn set(variables: &mut Variables, name: &str, value: &str) {
    match variables.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => value.clone_into(old),
        None => variables.push((name.to_owned(), value.to_owned())),
    }
}

/// Reads an `EnvironmentFile=`, whose quoting is neither the shell's nor that of `Environment=`.
pub fn environment_file(text: &str) -> Variables {
    let mut variables = Variables::new();
    let mut rest = text.chars().peekable();
    loop {
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        match rest.peek() {
            None => return variables,
            Some('#' | ';') => while rest.next_if(|c| *c != '\n').is_some() {},
            Some(_) => {
                let mut name = String::new();
                while let Some(c) = rest.next_if(|c| !matches!(c, '=' | '\n')) {
                    name.push(c);
                }
                if rest.next_if_eq(&'=').is_some() {
                    let value = file_value(&mut rest);
                    if let Some((name, value)) = assignment(&format!("{}={value}", name.trim())) {
                        set(&mut variables, &name, &value);
                    }
                }
            }
        }
    }
}

fn file_value(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    let mut value = String::new();
    // Quotes count only where no plain text stands before them, and blanks at the end only if they were quoted or
    // escaped.
    let mut plain = false;
    let mut keep = 0;
    while let Some(c) = rest.next() {
        match c {
            '\n' => break,
            '\\' => {
                match rest.next() {
                    None | Some('\n') => {}
                    Some(c) => value.push(c),
                }
                plain = true;
                keep = value.len();
            }
            '\'' | '"' if !plain => {
                while let Some(inner) = rest.next_if(|inner| *inner != c) {
                    match (c, inner) {
                        ('"', '\\') => match rest.next() {
                            Some(escaped @ ('"' | '\\' | '`' | '$')) => value.push(escaped),
                            None | Some('\n') => {}
                            Some(other) => value.extend(['\\', other]),
                        },
                        _ => value.push(inner),
                    }
                }
                rest.next();
                keep = value.len();
            }
            c if c.is_whitespace() => {
                if plain {
                    value.push(c);
                }
            }
            c => {
                plain = true;
                value.push(c);
                keep = value.len();
            }
        }
    }
    value.truncate(keep);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn command(line: &str) -> Vec<String> {
        let words: Vec<String> = split(line).unwrap().iter().map(|word| specifiers(&word.text, "w.service")).collect();
        expand(&words, &variables(&[("ONE", "a b"), ("TWO", "c")]))
    }

    #[test]
    fn variables_are_words_of_their_own_or_stand_in_braces() {
        assert_eq!(command("$ONE ${ONE} x${TWO}y x$TWO"), ["a", "b", "a b", "xcy", "x$TWO"]);
        assert_eq!(command("$NOPE ${NOPE} end"), ["", "end"]);
        assert_eq!(command("$$TWO 5$"), ["$TWO", "5$"]);
    }

    #[test]
    fn percent_signs_are_doubled_and_unknown_ones_stay() {
        assert_eq!(command("100%% %n %N 50% %!x"), ["100%", "w.service", "w", "50%", "%!x"]);
    }

    #[test]
    fn quotes_and_escapes_are_those_of_c() {
        assert_eq!(command(r#""a b" 'c d' e\x41f "q\"q" a\db"#), ["a b", "c d", "eAf", "q\"q", "a\\db"]);
        assert_eq!(split("\"open"), Err(Unbalanced));
    }

    #[test]
    fn only_a_bare_semicolon_separates_commands() {
        let words = split(r#"a ; b \; c ";""#).unwrap();
        let seen: Vec<(&str, bool)> = words.iter().map(|word| (&*word.text, word.separator)).collect();
        assert_eq!(seen, [("a", false), (";", true), ("b", false), (";", false), ("c", false), (";", false)]);
    }

    #[test]
    fn environment_files_have_their_own_quoting() {
        let text = "# c\nX=plain value  \nY=\"quoted # v\"\nZ='sq'\nW=a\\\n b\nQ=a\"b\"c\n; c\nexport R=3\nS=x\\ny\nT=\"x\\ny\\$z\"\n";
        let expected = [
            ("X", "plain value"),
            ("Y", "quoted # v"),
            ("Z", "sq"),
            ("W", "a b"),
            ("Q", "a\"b\"c"),
            ("S", "xny"),
            ("T", "x\\ny$z"),
        ];
        assert_eq!(environment_file(text), variables(&expected));
    }

    #[test]
    fn words_that_assign_nothing_are_left_out_of_the_environment() {
        let (read, others) = assignments("A=1 bad B=\"x y\" =z 1E=3 F=$A I=a\"b\"", "w.service").unwrap();
        assert_eq!(read, variables(&[("A", "1"), ("B", "x y"), ("F", "$A"), ("I", "ab")]));
        assert_eq!(others, ["bad", "=z", "1E=3"]);
    }
}
