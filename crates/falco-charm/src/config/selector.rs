//! Which rules an option means: by name, in which `*` stands for anything, or by tag. Pure.

use std::fmt;
use std::str::FromStr;

/// Stands before the name of a tag.
const TAG: &str = "tag:";

/// Rules that an operator means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// By the whole name, in which `*` stands for anything. Blanks and colons may be in it.
    Name(String),
    /// By a tag, which has to be the same text.
    Tag(String),
}

impl fmt::Display for Selector {
    /// As in the option.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => out.write_str(name),
            Self::Tag(tag) => write!(out, "{TAG}{tag}"),
        }
    }
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.contains(char::is_control) {
            return Err("has a control character in a name".to_owned());
        }
        let Some(tag) = text.strip_prefix(TAG).map(str::trim) else {
            return if text.is_empty() { Err("has an empty name".to_owned()) } else { Ok(Self::Name(text.to_owned())) };
        };
        if tag.is_empty() {
            return Err("has `tag:` without the name of a tag behind it".to_owned());
        }
        // Falco compares tags as they are, so that a star would silently mean no rule at all.
        if tag.contains('*') {
            return Err(format!("has a * in {text:?}, which means something in names of rules only"));
        }
        Ok(Self::Tag(tag.to_owned()))
    }
}

/// Selectors that stand in one option, parted by commas or ends of lines. The order means nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selectors(pub Vec<Selector>);

impl FromStr for Selectors {
    type Err = String;

    /// The error follows the quoted text.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut selectors = Vec::new();
        for entry in text.split([',', '\n']).filter(|entry| !entry.trim().is_empty()) {
            let selector = entry.parse()?;
            if !selectors.contains(&selector) {
                selectors.push(selector);
            }
        }
        Ok(Self(selectors))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Vec<Selector> {
        text.parse::<Selectors>().unwrap().0
    }

    #[test]
    fn names_with_blanks_and_stars_and_tags_are_parted_by_commas_and_lines() {
        let wanted = [
            Selector::Name("Read sensitive file untrusted".into()),
            Selector::Name("Launch * Container".into()),
            Selector::Tag("network".into()),
            Selector::Tag("mitre_t1059".into()),
        ];
        let text = "Read sensitive file untrusted, Launch * Container\r\n tag:network ,\n\n,tag: mitre_t1059,";
        assert_eq!(parse(text), wanted);
        let again: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        assert_eq!(parse(&again.join("\n")), wanted, "what is shown can be written");
    }

    #[test]
    fn nothing_means_no_rule_and_a_repetition_means_nothing() {
        for text in ["", " ", ",\n,"] {
            assert_eq!(parse(text), []);
        }
        assert_eq!(parse("a, tag:a, a ,tag:a").len(), 2);
    }

    #[test]
    fn other_prefixes_belong_to_the_name() {
        assert_eq!(parse("CVE: something, Tag:x"), ["CVE: something", "Tag:x"].map(|name| Selector::Name(name.into())));
    }

    #[test]
    fn what_would_match_nothing_in_silence_is_refused() {
        for (text, words) in
            [("tag:", "without the name"), ("a, tag: ", "without"), ("tag:net*", "in names"), ("a\tb", "control")]
        {
            let error = text.parse::<Selectors>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
