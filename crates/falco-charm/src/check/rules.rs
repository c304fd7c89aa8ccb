//! The rules that Falco has, and what options and configuration make of them. Pure.

use serde::{Deserialize, Serialize};

use crate::config::{Priority, Selector};

/// A rule as Falco has loaded it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Falco's word for its severity.
    pub priority: String,
    /// Where its events come from.
    pub source: String,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Whether it is on. Falco lists what the rules file says; [`apply`] makes it what the configuration says.
    pub enabled: bool,
    /// Whether it is severe enough for the `priority` of the configuration; a rule that is not stays silent. It is
    /// listed all the same, and [`apply`] sets this.
    #[serde(default = "yes")]
    pub severe_enough: bool,
}

/// Reads the list that Falco prints. It holds the rules of all severities and those that are off, but not those whose
/// source nothing provides.
pub fn parse(stdout: &[u8]) -> serde_json::Result<Vec<Rule>> {
    #[derive(Deserialize)]
    struct Listing {
        rules: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        info: Rule,
    }
    let listing: Listing = serde_json::from_str(&String::from_utf8_lossy(stdout))?;
    Ok(listing.rules.into_iter().map(|entry| entry.info).collect())
}

/// A remark for each selector that means no rule, which Falco itself lets pass in silence.
pub fn unmatched(selectors: &[(&'static str, Selector)], rules: &[Rule]) -> Vec<String> {
    let missed = selectors.iter().filter(|(_, selector)| !rules.iter().any(|rule| is_meant(selector, rule)));
    missed.map(|(option, selector)| format!("{option}: \"{selector}\" matches no rule")).collect()
}

fn is_meant(selector: &Selector, rule: &Rule) -> bool {
    match selector {
        Selector::Name(pattern) => matches_wildcard(pattern, &rule.name),
        Selector::Tag(tag) => rule.tags.contains(tag),
    }
}

/// Sets what a falco.yaml makes of the rules: its `rules` turn them on and off, one after the other, and those below
/// its `priority` are silent.
pub fn apply(rules: &mut [Rule], falco_yaml: &[u8]) -> Result<(), serde_yaml::Error> {
    #[derive(Deserialize)]
    struct Settings {
        rules: Option<Vec<Switch>>,
        priority: Option<String>,
    }
    #[derive(Deserialize)]
    struct Switch {
        enable: Option<Target>,
        disable: Option<Target>,
    }
    #[derive(Deserialize)]
    struct Target {
        rule: Option<String>,
        tag: Option<String>,
    }

    let settings: Settings = serde_yaml::from_slice(falco_yaml)?;
    for Switch { enable, disable } in settings.rules.into_iter().flatten() {
        for (target, enabled) in [(enable, true), (disable, false)] {
            let Some(Target { rule, tag }) = target else { continue };
            let selectors: Vec<_> = rule.map(Selector::Name).into_iter().chain(tag.map(Selector::Tag)).collect();
            for rule in rules.iter_mut().filter(|rule| selectors.iter().any(|selector| is_meant(selector, rule))) {
                rule.enabled = enabled;
            }
        }
    }
    let least = settings.priority.as_deref().and_then(priority).unwrap_or_default();
    for rule in rules {
        rule.severe_enough = priority(&rule.priority).is_none_or(|priority| priority >= least);
    }
    Ok(())
}

/// Falco writes it in any case.
fn priority(word: &str) -> Option<Priority> {
    match word.to_lowercase().as_str() {
        // Both forms of this one word are in use.
        "info" => Some(Priority::Informational),
        word => word.parse().ok(),
    }
}

/// Every star stands for any run of characters, also for none.
fn matches_wildcard(pattern: &str, text: &str) -> bool {
    let Some((first, others)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let (middle, last) = others.rsplit_once('*').unwrap_or(("", others));
    for part in middle.split('*') {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, priority: &str, tags: &[&str], enabled: bool) -> Rule {
        Rule {
            name: name.into(),
            description: String::new(),
            priority: priority.into(),
            source: "syscall".into(),
            tags: tags.iter().map(ToString::to_string).collect(),
            enabled,
            severe_enough: true,
        }
    }

    #[test]
    fn a_star_stands_for_anything_and_the_rest_for_itself() {
        for (pattern, text) in
            [("a", "a"), ("*", ""), ("a*", "a"), ("*b", "ab"), ("a*c", "abc"), ("a*b*c", "a-b-c"), ("*a*a*", "aa")]
        {
            assert!(matches_wildcard(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("a", "A"), ("a", "ab"), ("", "a"), ("a*", "xa"), ("ax*xa", "axa"), ("*a*a*", "a"), ("a?", "ab")]
        {
            assert!(!matches_wildcard(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_later_switch_wins_and_a_tag_is_taken_exactly() {
        let mut rules = [rule("Shell", "Notice", &["host"], true), rule("Shell in pod", "Error", &["hosts"], false)];
        let yaml = "rules:\n- disable: {tag: host}\n- enable: {rule: Shell*}\n- disable: {rule: Shell}\n";
        apply(&mut rules, yaml.as_bytes()).unwrap();
        assert_eq!(rules.map(|rule| rule.enabled), [false, true]);
    }

    #[test]
    fn rules_below_the_priority_are_silent_and_without_one_none_is() {
        let mut rules = ["Critical", "Warning", "Informational"].map(|priority| rule("x", priority, &[], true));
        for (yaml, expected) in [
            ("priority: warning", [true, true, false]),
            ("priority: info", [true, true, true]),
            ("priority: EMERGENCY", [false, false, false]),
            ("rules:", [true, true, true]),
        ] {
            apply(&mut rules, yaml.as_bytes()).unwrap();
            assert_eq!(rules.each_ref().map(|rule| rule.severe_enough), expected, "{yaml}");
        }
    }
}
