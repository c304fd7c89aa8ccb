//! What Falco's own schemas find in a file that it uses all the same: keys that mean nothing, values of a wrong type.
//! Pure.

use super::words::Names;

/// A value that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The way to it: keys, and positions in lists from 0.
    pub path: Vec<String>,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Nothing is called so.
    UnknownKey(String),
    /// Text where a number is wanted, and the like.
    WrongType,
    /// Not one of the words that are possible.
    UnknownWord,
    /// Something in it does not fit, which is told apart.
    Within,
    /// Anything else, in Falco's words.
    Other(String),
}

impl Misfit {
    /// Reads what Falco prints, such as `failed for <root>[webserver][enabled]: Value type not …`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim().strip_prefix("failed for <root>")?;
        let mut path = Vec::new();
        while let Some(inside) = rest.strip_prefix('[') {
            let (key, after) = inside.split_once(']')?;
            path.push(key.to_owned());
            rest = after;
        }
        let words = rest.strip_prefix(": ")?.trim_end_matches('.');
        let problem = if words.contains("using 'properties' or 'additionalProperties'") {
            let key = words.strip_suffix('\'').and_then(|words| words.rsplit_once(": '"));
            key.map_or_else(|| Problem::Other(words.to_owned()), |(_, key)| Problem::UnknownKey(key.to_owned()))
        } else if words.starts_with("Value type not permitted") {
            Problem::WrongType
        } else if words.starts_with("Failed to match against any enum values") {
            Problem::UnknownWord
        } else if words.starts_with("Failed to validate ") {
            Problem::Within
        } else {
            Problem::Other(words.to_owned())
        };
        Some(Self { path, problem })
    }

    /// Names the place and says what Falco makes of it. `start` is where the path begins to mean something.
    fn words(&self, start: usize) -> String {
        let path = self.path.get(start..).unwrap_or_default().join(".");
        let at = if path.is_empty() { "it".to_owned() } else { path.clone() };
        match &self.problem {
            Problem::UnknownKey(key) if path.is_empty() => format!("unknown key {key} is ignored"),
            Problem::UnknownKey(key) => format!("unknown key {path}.{key} is ignored"),
            Problem::WrongType => format!("{at} has a value of a wrong type, which is ignored"),
            Problem::UnknownWord => format!("{at} has a value that Falco does not know"),
            Problem::Within => format!("{at} does not fit Falco's schema"),
            Problem::Other(words) => format!("{at}: {words}"),
        }
    }

    /// The remark on a rules file, which is a list of items.
    pub fn in_rules(&self) -> String {
        match self.path.first().and_then(|item| item.parse::<u64>().ok()) {
            Some(item) => format!("item {}: {}", item.saturating_add(1), self.words(1)),
            None => self.words(0),
        }
    }
}

/// Remarks on the configuration, from the log of a start or a dry run. Falco tells only the first misfit of each file.
pub fn of_configuration(log: &str, names: &Names) -> Vec<String> {
    // Rules files are listed in the same way further down, and looked at elsewhere.
    let configuration = log.lines().take_while(|line| !line.ends_with(": Loading rules from:"));
    let failed = configuration.filter_map(|line| line.split_once(" | schema validation: "));
    failed
        .filter_map(|(file, result)| {
            let misfit = Misfit::parse(result)?;
            // The time stands in front, in one of several forms, but none with three blanks.
            let file = file.rsplit_once(":    ").map_or(file, |(_, file)| file);
            Some(names.remark(&format!("{file}: {}", misfit.words(0))))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        Misfit::parse(text).unwrap().words(0)
    }

    #[test]
    fn the_whole_path_is_named() {
        let unknown = "Object contains a property that could not be validated using 'properties' or \
                       'additionalProperties' constraints: 'it's'.";
        assert_eq!(words(&format!("failed for <root>[a][0]: {unknown}")), "unknown key a.0.it's is ignored");
        let wrong = words("failed for <root>[x]: Value type not permitted by 'type' constraint.");
        assert_eq!(wrong, "x has a value of a wrong type, which is ignored");
        assert_eq!(words("failed for <root>[x]: Number too big: 3."), "x: Number too big: 3");
        let whole = words("failed for <root>: Value type not permitted by 'type' constraint.");
        assert_eq!(whole, "it has a value of a wrong type, which is ignored");
    }

    #[test]
    fn what_is_no_misfit_is_none() {
        for text in ["ok", "none", "", "failed for <root>", "failed for <root>[a"] {
            assert_eq!(Misfit::parse(text), None, "{text}");
        }
    }
}
