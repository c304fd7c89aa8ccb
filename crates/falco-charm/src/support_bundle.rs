//! Everything about one unit that somebody needs who helps from afar, as one archive, without secrets.
//!
//! Alerts are not in it: a command line in one may hold a password, and nobody could tell.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use charm_core::process::Command;
use charm_core::status::without_credentials;
use charm_core::{Hook, files, systemd};
use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};

use crate::containers::Containers;
use crate::host::Abilities;
use crate::paths::{SUPPORT_BUNDLE, UNIT, UNIT_FILE};

/// How many lines of Falco go into it.
const LINES: usize = 1_000;

/// The longest text of one part, in bytes.
const LONGEST: usize = 1024 * 1024;

/// What stands in the place of a secret.
const HIDDEN: &str = "(hidden)";

/// What only the charm knows.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The version of Falco in use.
    pub falco: String,
    /// The status of this unit.
    pub status: String,
    /// The falco.yaml in use, without secrets.
    pub falco_yaml: String,
    /// What Falco serves as metrics.
    pub metrics: String,
    /// The options, without secrets.
    pub options: BTreeMap<String, String>,
    /// The host.
    pub host: Abilities,
    /// The runtimes of containers on it.
    pub containers: Containers,
}

/// Writes the archive in the place of the one before, and returns a summary.
pub fn write(hook: &Hook, known: &Known) -> Result<BTreeMap<String, String>> {
    let parts = parts(hook, known)?;
    let archive = archive(&parts).context("failed to write the archive")?;
    // It is for root and whoever root hands it to: what it says of a machine is of use to an attacker as well.
    files::replace(&hook.path(SUPPORT_BUNDLE), &archive, 0o600)?;
    let unit = &hook.unit;
    Ok(BTreeMap::from([
        ("file".to_owned(), SUPPORT_BUNDLE.to_owned()),
        ("size".to_owned(), archive.len().to_string()),
        ("fetch-with".to_owned(), format!("juju ssh {unit} sudo cat {SUPPORT_BUNDLE} > support.tar.gz")),
        ("summary".to_owned(), clean(&summary(known))),
    ]))
}

/// The texts by the names of their files.
fn parts(hook: &Hook, known: &Known) -> Result<BTreeMap<&'static str, String>> {
    let unit_file = files::read(&hook.path(UNIT_FILE))?.unwrap_or_default();
    let printed = systemd::printed_lines(UNIT, LINES);
    let journal: Vec<String> = printed.iter().map(|line| format!("{} {}", line.time, line.text)).collect();
    let options: Vec<String> = known.options.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let parts = BTreeMap::from([
        ("summary.txt", summary(known)),
        ("falco.yaml", known.falco_yaml.clone()),
        ("falco.service", String::from_utf8_lossy(&unit_file).into_owned()),
        ("journal.txt", journal.join("\n")),
        ("metrics.txt", known.metrics.clone()),
        ("options.txt", options.join("\n")),
        ("systemctl-show.txt", said(Command::new("systemctl").args(["show", UNIT]))),
        ("uname.txt", said(Command::new("uname").arg("--all"))),
    ]);
    Ok(parts.into_iter().map(|(name, text)| (name, clean(&text))).collect())
}

/// What a command prints, or why it does not: a bundle with a hole is better than none.
fn said(command: Command) -> String {
    match command.limit(std::time::Duration::from_secs(10)).run() {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => error.to_string(),
    }
}

fn summary(known: &Known) -> String {
    let Known { falco, status, falco_yaml: _, metrics: _, options: _, host, containers } = known;
    let told = |text: &Option<String>| text.clone().unwrap_or_else(|| "not known".to_owned());
    let types = host.kernel_types.map_or("not known", |types| if types { "yes" } else { "no" });
    format!(
        "charm: {} {}\nfalco: {falco}\nstatus: {status}\nkernel: {}\nbtf: {types}\ncontainer-guest: {}\n\
         kubernetes-node: {}\n",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION"),
        told(&host.kernel),
        host.container.as_deref().unwrap_or("no"),
        containers.node.as_deref().unwrap_or("no"),
    )
}

/// Once more over everything, whoever has looked before: no user or password of a URL, nothing behind the question mark
/// of one, no private key.
fn clean(text: &str) -> String {
    let text = without_keys(text);
    let lines = text.lines().map(|line| {
        let line = without_credentials(line);
        let words = line.split_inclusive(' ').map(|word| match (word.find("://"), word.find('?')) {
            (Some(scheme), Some(at)) if scheme < at => format!("{}?{HIDDEN} ", &word[..at]),
            _ => word.to_owned(),
        });
        words.collect::<String>()
    });
    let mut text = lines.collect::<Vec<_>>().join("\n");
    if text.len() > LONGEST {
        // The end tells more than the beginning.
        let mut start = text.len() - LONGEST;
        while !text.is_char_boundary(start) {
            start += 1;
        }
        text = text.split_off(start);
    }
    text
}

fn without_keys(text: &str) -> String {
    let mut is_key = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.contains("-----BEGIN") && line.contains("PRIVATE KEY-----") {
            is_key = true;
            lines.push(HIDDEN);
        }
        if !is_key {
            lines.push(line);
        }
        is_key &= !line.contains("-----END");
    }
    lines.join("\n")
}

fn archive(parts: &BTreeMap<&'static str, String>) -> std::io::Result<Vec<u8>> {
    let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, text) in parts {
        let mut header = Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        archive.append_data(&mut header, format!("falco-support/{name}"), text.as_bytes())?;
    }
    archive.into_inner()?.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::world::World;

    fn unpacked(world: &World) -> BTreeMap<String, String> {
        let content = files::read(&world.hook.path(SUPPORT_BUNDLE)).unwrap().unwrap();
        let mut archive = tar::Archive::new(GzDecoder::new(content.as_slice()));
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (entry.path().unwrap().to_string_lossy().into_owned(), text)
        });
        entries.collect()
    }

    #[test]
    fn the_archive_holds_what_is_known_and_the_summary_says_where_it_is() {
        let world = World::new();
        world.write(UNIT_FILE, "[Unit]\nDescription=Falco\n");
        let known = Known {
            falco: "0.44.1".into(),
            status: "active: ".into(),
            falco_yaml: "priority: debug\n".into(),
            options: BTreeMap::from([("priority".into(), "debug".into())]),
            host: Abilities { kernel: Some("6.8.0".into()), kernel_types: Some(true), ..Abilities::default() },
            ..Known::default()
        };
        let results = write(&world.hook, &known).unwrap();
        assert_eq!(results["file"], SUPPORT_BUNDLE);
        assert!(results["fetch-with"].contains("juju ssh falco/0 "), "{results:?}");
        let parts = unpacked(&world);
        assert_eq!(parts["falco-support/falco.yaml"], "priority: debug");
        assert!(parts["falco-support/falco.service"].contains("Description=Falco"));
        for text in ["falco: 0.44.1", "kernel: 6.8.0", "btf: yes", "kubernetes-node: no"] {
            assert!(parts["falco-support/summary.txt"].contains(text), "{text}");
        }
        write(&world.hook, &known).unwrap();
        assert_eq!(files::list(world.hook.path(SUPPORT_BUNDLE).parent().unwrap()).unwrap().len(), 1);
    }

    #[test]
    fn no_secret_gets_into_it_whoever_let_it_through_before() {
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----";
        let world = World::new();
        let known = Known {
            falco_yaml: format!("url: https://u:hunter2@h.example/a?token=hunter2 x\nkey: |\n{key}\nafter: kept\n"),
            status: "active: see https://u:hunter2@h.example/".into(),
            metrics: key.into(),
            options: BTreeMap::from([("rules".into(), key.into())]),
            ..Known::default()
        };
        let results = write(&world.hook, &known).unwrap();
        let parts = unpacked(&world);
        assert!(!format!("{parts:?}").contains("hunter2"), "{parts:#?}");
        assert!(parts["falco-support/falco.yaml"].contains("after: kept"));
        assert!(parts["falco-support/falco.yaml"].contains("https://h.example/a?(hidden) x"));
        assert!(!results["summary"].contains("hunter2"));
    }

    #[test]
    fn of_a_long_text_the_end_is_kept() {
        let text = format!("{}the end", "ä".repeat(LONGEST));
        let cleaned = clean(&text);
        assert!(cleaned.len() <= LONGEST && cleaned.ends_with("the end"));
    }
}
