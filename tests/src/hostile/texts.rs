//! The texts.

/// The password in those of them that have one. It must never be shown.
pub const PASSWORD: &str = "hunter2-in-clear";

/// A text with a name for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// What is special about it.
    pub about: &'static str,
    /// The text.
    pub text: String,
}

/// All of them.
pub fn texts() -> Vec<Text> {
    let fixed = [
        ("blanks", "  a  b\t "),
        ("line feeds", "a\nb\r\nc\u{b}\u{c}d"),
        ("line feeds of Unicode", "a\u{85}b\u{2028}c\u{2029}d"),
        ("a NUL", "a\0b"),
        ("control characters", "\u{1}\u{8}\u{1b}[31m\u{7f}\u{9f}"),
        ("quotes", r#"a"b'c`d""e''"#),
        ("backslashes", r"a\b\\c\n\x41\u0041\"),
        ("percent signs", "%n%h%%i%41%zz%"),
        ("dollars", "$HOME$$x$(reboot)$"),
        ("variables", "${HOME}$${HOME}${PATH:-x}${}"),
        ("templates", "{{ x }}{% y %}<%= z %>"),
        ("the syntax of YAML", "x: y, - z: {a: [b]} # c &d *d !!e |"),
        ("a document of YAML", "\n---\na: b\n...\n- c\n"),
        ("a merge of YAML", "\n<<: *x\n? y\n"),
        ("what YAML takes for another type", "~"),
        ("what old YAML takes for a switch", "yes"),
        ("what YAML takes for a number", "0o17"),
        ("a setting of systemd", "\nExecStartPre=/bin/sh -c true\n[Service]\n"),
        ("a comment of systemd", "a ; b # c\\\n"),
        ("an end of JSON", "\"}],\"x\":[{\"y\":\""),
        ("no JSON", "{"),
        ("a path", "../../etc/passwd"),
        ("options of a command", "-o x --config=/etc/shadow"),
        ("markup", "<a href='x'>&amp;</a>"),
        ("Unicode", "ünïcødé-例え.テスト-🦀-e\u{301}"),
        ("text that runs backwards", "\u{202e}cba\u{2066}\u{feff}"),
        ("a host in brackets", "[::1]"),
        ("a host with too high a port", "h:99999"),
    ];
    let made = [
        ("a password", format!("https://user:{PASSWORD}@h.example/p?q#f")),
        ("a long name of a host", format!("{}.example", "h".repeat(300))),
        ("many parts of a name", "h.".repeat(200)),
        ("a megabyte", "x".repeat(1 << 20)),
    ];
    let fixed = fixed.into_iter().map(|(about, text)| Text { about, text: text.to_owned() });
    fixed.chain(made.map(|(about, text)| Text { about, text })).collect()
}
