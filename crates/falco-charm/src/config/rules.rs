//! The text of the option `rules`. Pure.

/// The largest text, in bytes. Juju keeps options in its database and hands them to every hook, so that more belongs into
/// a repository.
const LARGEST: usize = 1 << 20;

/// The rules in a text, or `None` when there is nothing in it, be it with a remark: such a file would count as rules, and
/// Falco would then run with no rule at all. The error is what is wrong with it.
pub fn inline_rules(text: &str) -> Result<Option<String>, String> {
    if text.len() > LARGEST {
        return Err(format!(
            "the text has {} bytes, and no more than {LARGEST} are taken; use custom-config-repository",
            text.len()
        ));
    }
    let is_empty = |line: &str| {
        let line = line.trim();
        line.is_empty() || line == "---" || line.starts_with('#')
    };
    Ok(if text.lines().all(is_empty) { None } else { Some(text.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_rules_is_none() {
        for text in ["", " \n\t", "# not yet\n---\n  # nor now\r\n"] {
            assert_eq!(inline_rules(text), Ok(None));
        }
    }

    #[test]
    fn rules_are_taken_as_they_are_up_to_one_mebibyte() {
        let text = "# why\n- list: x\n  items: [a]";
        assert_eq!(inline_rules(text), Ok(Some(text.to_owned())));
        let mut text = "- ".repeat(1 << 19);
        assert!(inline_rules(&text).unwrap().is_some());
        text.push('x');
        assert!(inline_rules(&text).unwrap_err().contains("1048576"));
    }
}
