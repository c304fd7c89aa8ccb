//! The reference of the option `outputs`, made from the table. Pure.

use std::fmt::Write as _;

use super::block::{Block, Key, Kind};
use super::{secrets, table};

const HEAD: &str = "\
# The outputs of Falcosidekick

This is the reference of the option `outputs` of the charm falcosidekick-k8s. It is made from the table in the source of the charm, so it says what the charm
checks. The names are those of Falcosidekick's own configuration, version 2.34.1.

```console
juju config falcosidekick-k8s outputs=@outputs.yaml
```

A value is given in one of three ways:

* **in `outputs` itself**, as YAML. A secret there can be seen by whoever may read the model; the unit works and says so.
* **by reference**: `webhookurl: secret:<id>/<key>` in `outputs`, for any value.
* **in `outputs-secret`**, one secret whose keys are spelled as in the column *In a secret*. An output that stands nowhere else is set by its secret alone.

```console
juju add-secret alerts slack-webhookurl=https://hooks.slack.com/services/…
juju grant-secret alerts falcosidekick-k8s
juju config falcosidekick-k8s outputs-secret=secret:…
```

Whatever is wrong, and whatever is missing, blocks the unit with one message; Falcosidekick goes on with the configuration it had. Keys in **bold** are needed. A
key without a value is left to Falcosidekick, whose default is shown. `minimumpriority` is one of emergency, alert, critical, error, warning, notice,
informational, debug, and `minimum-priority` is the one of all outputs that say nothing.

Whom the relation `receive-ca-cert` tells to believe is believed by every output. An HTTP server that redirects would lose alerts without a word, so each is asked
once for it, with the method OPTIONS, at the URL that it has here, without headers and passwords; one over HTTPS only if its certificate is believed.
";

/// The whole reference, as Markdown.
pub fn markdown() -> String {
    let mut text = HEAD.to_owned();
    for (title, blocks) in table::PARTS {
        text.extend(["\n## ", title, "\n"]);
        for block in blocks {
            add_block(&mut text, block);
        }
    }
    text
}

fn add_block(text: &mut String, block: &Block) {
    let _ = write!(text, "\n### `{}`\n\n", block.path);
    for line in block.about {
        text.extend([line, "\n"]);
    }
    if !block.about.is_empty() {
        text.push('\n');
    }
    if block.is_output() {
        text.extend(["```yaml\n", &minimal(block), "```\n\n"]);
    }
    text.push_str("| Key | Takes | Default | In a secret |\n|---|---|---|---|\n");
    for key in block.all_keys() {
        add_key(text, block, key);
    }
}

fn add_key(text: &mut String, block: &Block, key: &Key) {
    let name = if key.needed { format!("**`{}`**", key.name) } else { format!("`{}`", key.name) };
    let about = if key.about.is_empty() { String::new() } else { format!("; {}", key.about) };
    let default = match key.default {
        "" => String::new(),
        // What is no value but words about one.
        words if words.starts_with('`') || words.starts_with("the ") => words.to_owned(),
        value => format!("`{value}`"),
    };
    let spelled = secrets::spelled(block, key);
    let spelled = match key.kind {
        Kind::Refused(_) | Kind::Only(..) => String::new(),
        Kind::Headers | Kind::Labels | Kind::Severities if key.secret => format!("`{spelled}-<name>`"),
        _ if key.secret => format!("`{spelled}`"),
        _ => String::new(),
    };
    let _ = writeln!(text, "| {name} | {}{about} | {default} | {spelled} |", takes(key.kind));
}

/// The smallest configuration that Falcosidekick enables.
pub fn minimal(block: &Block) -> String {
    let mut text = String::new();
    let mut lines: Vec<(String, &str)> = Vec::new();
    for (shared, name) in block.needs {
        let sample = table::block(shared).and_then(|shared| shared.key(name)).map_or("", |key| key.sample);
        lines.push((format!("{shared}.{name}"), sample));
    }
    for key in block.all_keys().filter(|key| !key.sample.is_empty()) {
        lines.push((format!("{}.{}", block.path, key.name), key.sample));
    }
    let mut open: Vec<String> = Vec::new();
    for (path, sample) in &lines {
        let mut parts: Vec<&str> = path.split('.').collect();
        let last = parts.pop().unwrap_or_default();
        let shared = open.iter().zip(&parts).take_while(|(one, other)| one == *other).count();
        open.truncate(shared);
        for part in &parts[shared..] {
            let _ = writeln!(text, "{}{part}:", "  ".repeat(open.len()));
            open.push((*part).to_owned());
        }
        let _ = writeln!(text, "{}{last}: {}", "  ".repeat(open.len()), serde_json::json!(sample));
    }
    text
}

fn takes(kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::UrlPart => "text".into(),
        Kind::Name => "a name: letters, digits, `.`, `_`, `-`".into(),
        Kind::Url => "a URL".into(),
        Kind::BaseUrl => "a URL without a query".into(),
        Kind::BaseUrls => "a list of URLs".into(),
        Kind::UrlOf(schemes) => format!("a URL that begins with {}", words(schemes, "`", "://`")),
        Kind::Host => "a host name or address".into(),
        Kind::HostPort => "host:port".into(),
        Kind::HostPorts => "host:port, or several with commas between them".into(),
        Kind::Integer(least, i64::MAX) => format!("a whole number from {least} on"),
        Kind::Integer(least, most) => format!("a whole number from {least} to {most}"),
        Kind::Switch => "`true` or `false`".into(),
        Kind::Word([word]) => format!("`{word}`"),
        Kind::Word(all) => words(all, "`", "`"),
        Kind::Priority => "a priority".into(),
        Kind::Duration => "a span of time, such as `1m30s`".into(),
        Kind::List => "a list of texts".into(),
        Kind::Headers => "a map of HTTP headers".into(),
        Kind::Labels => "a map; names in small letters".into(),
        Kind::Severities => "a map; the names are priorities".into(),
        Kind::Pairs => "name=value, or several with commas between them".into(),
        Kind::Thresholds => "number:priority, or several with commas between them".into(),
        Kind::Fields => "output fields with commas between them".into(),
        Kind::Template => "a Go template".into(),
        Kind::Base64Json => "a JSON object in base64".into(),
        Kind::Pem => "PEM".into(),
        Kind::Refused(why) => format!("nothing: {why}"),
        Kind::Only(value, why) => format!("only `{value}`: {why}"),
    }
}

fn words(words: &[&str], before: &str, behind: &str) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("{before}{word}{behind}")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Where the reference stands in the repository.
    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/outputs.md");

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test that reads and writes a file of the repository")]
    fn the_reference_in_the_repository_is_the_one_that_the_table_makes() {
        if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
            std::fs::create_dir_all(Path::new(FILE).parent().unwrap()).unwrap();
            std::fs::write(FILE, markdown()).unwrap();
        }
        let written = std::fs::read_to_string(FILE).unwrap_or_default();
        assert!(written == markdown(), "docs/outputs.md is not up to date; write it anew with UPDATE_GOLDEN=1");
    }

    #[test]
    fn a_minimal_configuration_stands_below_the_blocks_of_its_output() {
        assert_eq!(
            minimal(table::block("webhook").unwrap()),
            "webhook:\n  address: \"https://webhook.example/falco\"\n"
        );
        let nested = minimal(table::block("yandex.s3").unwrap());
        assert_eq!(
            nested,
            "yandex:\n  accesskeyid: \"key\"\n  secretaccesskey: \"secret\"\n  s3:\n    bucket: \"falco\"\n"
        );
    }
}
