//! A first look at Go templates: enough to find what does not parse, as Falcosidekick tells it only to its log. Pure.

/// The functions that Go itself knows.
const FUNCTIONS: [&str; 19] = [
    "and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or", "print", "printf",
    "println", "slice", "urlquery",
];

/// Why Go would refuse the template. `None` is no promise: it is not parsed to the last detail.
pub fn problem(text: &str) -> Option<&'static str> {
    let mut open = 0_usize;
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("{{") {
        let Some((action, behind)) = split_action(after) else { return Some("has a {{ without its }}") };
        rest = behind;
        let action = action.strip_prefix("- ").unwrap_or(action);
        let action = action.strip_suffix(" -").unwrap_or(action).trim();
        if action.starts_with("/*") && action.ends_with("*/") {
            continue;
        }
        match action.split([' ', '(']).next().unwrap_or_default() {
            "" => return Some("has an empty {{ }}"),
            "if" | "range" | "with" | "block" | "define" => open += 1,
            "end" if open == 0 => return Some("has an {{end}} that ends nothing"),
            "end" => open -= 1,
            "else" if open == 0 => return Some("has an {{else}} that belongs to nothing"),
            "else" | "template" | "break" | "continue" => {}
            _ if has_unknown_function(action) => return Some("calls a function that Go's templates do not have"),
            _ => {}
        }
    }
    (open > 0).then_some("lacks an {{end}}")
}

/// Splits behind the end of an action, which is not looked for in quotes.
fn split_action(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    let mut characters = text.char_indices();
    while let Some((place, c)) = characters.next() {
        match (quote, c) {
            (None, '"' | '`' | '\'') => quote = Some(c),
            (None, '}') if text[place..].starts_with("}}") => return Some((&text[..place], &text[place + 2..])),
            (Some('"' | '\''), '\\') => drop(characters.next()),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
    }
    None
}

fn has_unknown_function(action: &str) -> bool {
    let pipeline = action.split_once(":=").map_or(action, |(_, pipeline)| pipeline);
    // A bar in quotes splits wrongly, and what it leaves then begins with no letter or holds a quote.
    pipeline.split('|').any(|command| {
        let command = command.trim_start_matches([' ', '(']);
        let word: String = command.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let is_call = command[word.len()..].is_empty() || command[word.len()..].starts_with([' ', ')']);
        is_call
            && word.starts_with(|c: char| c.is_alphabetic())
            && !matches!(word.as_str(), "true" | "false" | "nil")
            && !pipeline.contains(['"', '`'])
            && !FUNCTIONS.contains(&word.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_templates_are_taken() {
        for text in [
            "",
            "no action",
            "{{ .Rule }} on {{ index . \"proc.name\" }}",
            "{{- if eq .Priority.String \"Error\" -}} }} {{ else if .x }} {{ end }}",
            "{{ range $k, $v := .OutputFields }}{{ $k }}={{ $v }}{{ end }}",
            "{{/* a comment */}}x",
            "{{ printf \"%s}}\" .Rule | html }}",
            "{{ `raw }}` }}",
        ] {
            assert_eq!(problem(text), None, "{text}");
        }
    }

    #[test]
    fn what_go_does_not_parse_is_told() {
        for text in [
            "{{ .Rule",
            "{{ }}",
            "{{ end }}",
            "{{ if .x }}",
            "{{ else }}",
            "{{ upper .Rule }}",
            "{{ .Rule | upper }}",
            "{{ \"open }}",
        ] {
            assert!(problem(text).is_some(), "{text}");
        }
    }
}
