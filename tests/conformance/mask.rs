//! Making what a program wrote comparable with a recording: times, numbers of the machine and the name of the stand-in
//! go out.

use std::sync::LazyLock;

use charm_tests::stand_in::{FALCO_PREFIX, FALCOSIDEKICK_PREFIX};
use regex::{Captures, Regex};

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"))
}

/// A rule: what to look for, and what to put there.
type Rule = (Regex, &'static str);

fn rules(patterns: &[(&str, &'static str)]) -> Vec<Rule> {
    patterns.iter().map(|(pattern, text)| (regex(pattern), *text)).collect()
}

fn apply(rules: &[Rule], text: &str) -> String {
    rules.iter().fold(text.to_owned(), |text, (pattern, with)| pattern.replace_all(&text, *with).into_owned())
}

/// The name of the stand-in at the start of a line. What it says about itself is no part of the comparison.
pub fn without_stand_in(line: &str) -> Option<String> {
    let bare = [FALCO_PREFIX, FALCOSIDEKICK_PREFIX].iter().find_map(|prefix| line.strip_prefix(prefix)).unwrap_or(line);
    if bare.contains("(stand-in)") && !bare.starts_with("Falco version") { None } else { Some(bare.to_owned()) }
}

/// A line that Falco wrote.
pub fn falco(line: &str) -> String {
    static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
        rules(&[
            (r"^\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}: ", "<time>: "),
            (r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}: ", "<time>: "),
            (r"^(<\d+>)\w{3} [ \d]\d \d\d:\d\d:\d\d falco: (\[falco stand-in\] )?", "$1<time> falco: "),
            (r#""output":"\d\d:\d\d:\d\d\.\d{9}: "#, r#""output":"<time>: "#),
            (r"^\d\d:\d\d:\d\d\.\d{9}: ", "<time>: "),
            (r#""time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z""#, r#""time":"<time>""#),
            (r#""evt\.time":\d+"#, r#""evt.time":<ns>"#),
            (r"(timestamp_nanoseconds) \d+$", "$1 <ns>"),
            (r"System info: .*", "System info: Linux version <proc version>"),
            (r" \(stand-in\)$", ""),
        ])
    });
    apply(&RULES, line).replace(&this_host(), r#""hostname":"<host>","#)
}

/// How an alert names this machine. Another name was given to Falco by the case.
fn this_host() -> String {
    let name = nix::unistd::gethostname().expect("a machine has a name");
    format!(r#""hostname":"{}","#, name.to_string_lossy())
}

/// What differs between machines and is not compared, in recordings and in what was seen.
pub fn falco_common(line: &str) -> String {
    static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
        rules(&[
            (r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (\[k8saudit\])", "<time> $1"),
            (r"with threadiness \d+", "with threadiness <n>"),
            (r"^(<time>: Falco version: \S+) \(\w+\)$", "$1 (<arch>)"),
            (r"command=.*? user=[^) ]*", "command=<process> user=<user>"),
            (r" proc=(<NA>|\w+)", " proc=<process>"),
            (r#""proc\.cmdline":(null|"(\\.|[^"\\])*")"#, r#""proc.cmdline":<process>"#),
            (r#""proc\.name":(null|"[^"]*")"#, r#""proc.name":<process>"#),
            (r#","proc\.name":<process>"#, ""),
            (r#""user\.name":(null|"[^"]*")"#, r#""user.name":<user>"#),
            (r"container(_id)?=(<container id>|[0-9a-f]{12}|host|<NA>)", "container$1=<container>"),
            (r#""container\.id":(null|"[^"]*")"#, r#""container.id":<container>"#),
            (r#"(file_name="falco\.yaml",sha256=)"[0-9a-f]{64}""#, r#"$1"<digest>""#),
        ])
    });
    apply(&RULES, line)
}

/// Lines about kernel programs depend on the kernel and stand in no case.
pub fn is_about_the_kernel(line: &str) -> bool {
    line.contains("TOCTOU") || line.contains("[libs]: libbpf:") || line.starts_with("libpman: ")
}

/// A line that Falcosidekick wrote, or a body or the value of a header that it sent.
pub fn falcosidekick(text: &str) -> String {
    static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
        rules(&[
            (r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ", "<time> "),
            (r#""uuid\\?":\\?"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"#, r#""uuid":"<uuid>"#),
            (r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$", "<uuid>"),
            (r"((panic serving|handshake error from) 127\.0\.0\.1):\d+:", "$1:<ephemeral>:"),
            (r"pc=0x[0-9a-f]+", "pc=<pc>"),
        ])
    });
    static NANOSECONDS: LazyLock<Regex> = LazyLock::new(|| regex(r"\d{19}"));
    let text = apply(&RULES, text);
    let now = jiff::Timestamp::now().as_nanosecond();
    let hour = 3_600_000_000_000;
    let near = |number: &str| number.parse::<i128>().is_ok_and(|number| (number - now).abs() < hour);
    let recent = |found: &Captures<'_>| {
        if near(&found[0]) { "<recording time ns>".to_owned() } else { found[0].to_owned() }
    };
    NANOSECONDS.replace_all(&text, recent).into_owned()
}

/// What differs between builds of Falcosidekick, and between its Go and our TLS library: its version, and why a client
/// gave up, in recordings and in what was seen.
pub fn falcosidekick_common(line: &str) -> String {
    static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
        rules(&[
            (
                r"(TLS handshake error from [^ ]+): (EOF|local error: tls: bad record MAC|remote error: tls: .*)$",
                "$1: <client gave up>",
            ),
            (r#"\\?"uuid\\?":\\?"<uuid>\\?""#, "<uuid>"),
            // The recorder cut long texts.
            (r"A{200,}(\[\.\.\.\])?", "A..."),
            (r"B{200,}(\[\.\.\.\])?", "B..."),
            // Elasticsearch gets an index for each day.
            (r"/falco-(\d{4}\.\d\d\.\d\d|<today>)/", "/falco-<today>/"),
            // The name of the folder itself, without the path to it.
            (r"'[^']*' is a directory", "'<folder>' is a directory"),
            // A program that was not built for a release calls itself `devel`.
            (r"(Falcosidekick version:|GitVersion:) +\S+$", "$1 <version>"),
        ])
    });
    apply(&RULES, line)
}
