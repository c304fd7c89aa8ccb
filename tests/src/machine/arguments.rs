//! The arguments of `systemctl`: options anywhere, a verb, names of units.

use std::collections::BTreeSet;

const SUFFIXES: [&str; 11] = [
    ".service",
    ".socket",
    ".target",
    ".mount",
    ".automount",
    ".swap",
    ".timer",
    ".path",
    ".slice",
    ".scope",
    ".device",
];

/// The options that change what a verb does.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// Those without a value.
    switches: BTreeSet<String>,
    pub properties: Vec<String>,
}

impl Options {
    /// Whether this one was given, in its long form.
    pub(super) fn has(&self, switch: &str) -> bool {
        self.switches.contains(switch)
    }
}

/// Adds `.service` to a name without a type.
pub(super) fn mangle(word: &str) -> String {
    if SUFFIXES.iter().any(|suffix| word.ends_with(suffix)) { word.to_owned() } else { format!("{word}.service") }
}

/// Options may stand anywhere, as with the real one.
pub(super) fn parse(args: &[String]) -> Result<(Options, Vec<String>), String> {
    let mut options = Options::default();
    let mut words = Vec::new();
    let mut rest = args.iter();
    while let Some(argument) = rest.next() {
        let (name, attached) = match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ if argument.len() > 2 && (argument.starts_with("-p") || argument.starts_with("-P")) => {
                (&argument[..2], Some(argument[2..].to_owned()))
            }
            _ => (argument.as_str(), None),
        };
        match name {
            "-q" => {
                options.switches.insert("--quiet".into());
            }
            "--now" | "--quiet" | "--value" | "--no-block" => {
                options.switches.insert(name.to_owned());
            }
            "--no-pager" | "--no-ask-password" | "--system" | "--plain" | "--full" | "-l" => {}
            "-p" | "--property" | "-P" => {
                let list =
                    attached.or_else(|| rest.next().cloned()).ok_or("systemctl: option requires an argument -- 'p'")?;
                options.properties.extend(list.split(',').filter(|name| !name.is_empty()).map(str::to_owned));
                if name == "-P" {
                    options.switches.insert("--value".into());
                }
            }
            "--" => {
                words.extend(rest.by_ref().cloned());
            }
            name if name.starts_with('-') => return Err(format!("systemctl: unrecognized option '{name}'")),
            _ => words.push(argument.clone()),
        }
    }
    Ok((options, words))
}
