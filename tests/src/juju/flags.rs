//! Command lines as Juju's flag library reads them: options may stand after words, `--` ends them, the last of a kind
//! wins.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One option of a command.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Its names without dashes; the first is the one code asks for.
    pub names: &'static [&'static str],
    /// What it takes.
    pub kind: Kind,
}

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing, or `=true` and the like.
    Switch,
    /// Any text.
    Text,
    /// A number.
    Number,
    /// A value the command checks at once, by its first name.
    Checked,
}

impl Flag {
    /// An option without a value.
    pub const fn switch(names: &'static [&'static str]) -> Self {
        Self { names, kind: Kind::Switch }
    }

    /// An option with a text.
    pub const fn text(names: &'static [&'static str]) -> Self {
        Self { names, kind: Kind::Text }
    }

    /// An option with a number.
    pub const fn number(names: &'static [&'static str]) -> Self {
        Self { names, kind: Kind::Number }
    }

    /// An option whose value the command checks while it reads the line.
    pub const fn checked(names: &'static [&'static str]) -> Self {
        Self { names, kind: Kind::Checked }
    }
}

/// A command line that has been read.
#[derive(Clone, Debug, Default)]
pub struct Line {
    values: BTreeMap<&'static str, String>,
    /// The words that are no options.
    pub words: Vec<String>,
}

/// Why reading ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// `--help` or `-h`.
    Help,
    /// A wrong command line.
    Usage(String),
}

impl Line {
    /// The value of an option, if given.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The value of an option, empty if not given.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Whether a switch is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    /// A word, if there are so many.
    pub fn word(&self, index: usize) -> Option<&str> {
        self.words.get(index).map(String::as_str)
    }

    /// Refuses words beyond the first few.
    pub fn at_most(&self, count: usize) -> Result<(), Stop> {
        match self.words.get(count..) {
            None | Some([]) => Ok(()),
            Some(rest) => {
                let quoted: Vec<String> = rest.iter().map(|word| quote(word)).collect();
                Err(Stop::Usage(format!("unrecognized args: [{}]", quoted.join(" "))))
            }
        }
    }
}

/// Reads a command line. `check` looks at the values of checked options, by first name.
pub fn read(args: &[String], flags: &[Flag], check: &dyn Fn(&str, &str) -> Result<(), String>) -> Result<Line, Stop> {
    let mut line = Line::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            line.words.extend(args.cloned());
            break;
        }
        if let Some(long) = arg.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            if name.is_empty() {
                return Err(Stop::Usage(format!("empty option in argument {}", quote(arg))));
            }
            let flag = find(flags, name)?;
            let value = match (flag.kind, value) {
                (_, Some(value)) => value.to_owned(),
                (Kind::Switch, None) => "true".to_owned(),
                (_, None) => next(&mut args, name)?,
            };
            set(&mut line, flag, name, value, check)?;
        } else if let Some(cluster) = arg.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            short(&mut line, &mut args, flags, cluster, check)?;
        } else {
            line.words.push(arg.clone());
        }
    }
    Ok(line)
}

/// Reads `-abc`: switches, up to the first option with a value, which takes the rest.
fn short(
    line: &mut Line,
    args: &mut std::slice::Iter<'_, String>,
    flags: &[Flag],
    cluster: &str,
    check: &dyn Fn(&str, &str) -> Result<(), String>,
) -> Result<(), Stop> {
    let mut rest = cluster;
    while let Some(letter) = rest.chars().next() {
        let (name, after) = rest.split_at(letter.len_utf8());
        let flag = find(flags, name)?;
        if flag.kind == Kind::Switch && !after.starts_with('=') {
            set(line, flag, name, "true".to_owned(), check)?;
            rest = after;
            continue;
        }
        let value = if after.is_empty() { next(args, name)? } else { after.to_owned() };
        return set(line, flag, name, value, check);
    }
    Ok(())
}

fn find<'a>(flags: &'a [Flag], name: &str) -> Result<&'a Flag, Stop> {
    match flags.iter().find(|flag| flag.names.contains(&name)) {
        Some(flag) => Ok(flag),
        None if name == "help" || name == "h" => Err(Stop::Help),
        None => Err(Stop::Usage(format!("option provided but not defined: {}", dashed(name)))),
    }
}

fn next(args: &mut std::slice::Iter<'_, String>, name: &str) -> Result<String, Stop> {
    args.next().cloned().ok_or_else(|| Stop::Usage(format!("option needs an argument: {}", dashed(name))))
}

fn set(
    line: &mut Line,
    flag: &Flag,
    name: &str,
    value: String,
    check: &dyn Fn(&str, &str) -> Result<(), String>,
) -> Result<(), Stop> {
    let refused =
        |why: String| Stop::Usage(format!("invalid value {} for option {}: {why}", quote(&value), dashed(name)));
    let value = match flag.kind {
        Kind::Switch => match value.as_str() {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => "true".to_owned(),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => "false".to_owned(),
            _ => {
                return Err(refused(format!("strconv.ParseBool: parsing {}: invalid syntax", quote(&value))));
            }
        },
        Kind::Number => match value.parse::<i64>() {
            Ok(number) => number.to_string(),
            Err(_) => {
                return Err(refused(format!("strconv.ParseInt: parsing {}: invalid syntax", quote(&value))));
            }
        },
        Kind::Checked => {
            check(flag.names[0], &value).map_err(refused)?;
            value
        }
        Kind::Text => value,
    };
    line.values.insert(flag.names[0], value);
    Ok(())
}

fn dashed(name: &str) -> String {
    if name.chars().count() == 1 { format!("-{name}") } else { format!("--{name}") }
}

/// A text in Go's quotes.
pub fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            other if other.is_control() && other.is_ascii() => push_code(&mut out, "\\x", 2, other),
            other if other.is_control() => push_code(&mut out, "\\u", 4, other),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

fn push_code(out: &mut String, prefix: &str, digits: usize, letter: char) {
    write!(out, "{prefix}{:0digits$x}", u32::from(letter)).expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] = &[Flag::switch(&["a", "all"]), Flag::text(&["o", "output"])];

    fn line(args: &[&str]) -> Result<Line, Stop> {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        read(&args, FLAGS, &|_, _| Ok(()))
    }

    #[test]
    fn options_may_stand_after_words() {
        let line = line(&["key", "-ao", "file", "-", "--", "-x"]).unwrap();
        assert!(line.is_on("a"));
        assert_eq!(line.get("o"), Some("file"));
        assert_eq!(line.words, ["key", "-", "-x"]);
    }

    #[test]
    fn an_unknown_option_is_named_with_its_dashes() {
        assert_eq!(line(&["-dash"]).unwrap_err(), Stop::Usage("option provided but not defined: -d".into()));
    }
}
