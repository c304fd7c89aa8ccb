//! All that a charm can leave on a host: files, units, users, groups and listeners.
//!
//! It is taken of a booted host twice and compared. What may differ stands in two lists below, with the reasons, and
//! nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use charm_core::digest::Digest;

use super::host::Host;

/// Paths, with everything below, that belong to somebody else than the charm or change on a host that nobody touches.
const MAY_DIFFER: [(&str, &str); 3] = [
    ("/var/lib/juju", "the charm itself, which Juju has put there and takes away"),
    ("/run/systemd/journal/streams/", "one for each service that writes to the journal, named by its socket"),
    ("/run/log/journal/", "a journal that did not make it to the disk yet"),
];

/// The same for paths that have to be there before and after, whatever is in them.
const CONTENT_MAY_DIFFER: [(&str, &str); 4] = [
    ("/var/log/journal/", "the journal: what was said stays said"),
    ("/var/log/wtmp", "when the host was booted"),
    ("/run/utmp", "when the host was booted"),
    ("/run/systemd/units/", "the number that systemd gives each start of a service"),
];

/// Places that are written to, but not on the disk.
const IN_MEMORY: [&str; 3] = ["/run", "/tmp", "/dev/shm"];

/// What is on a host: one line each, by what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<String, String>);

impl Snapshot {
    /// Looks at everything.
    pub fn of(host: &Host) -> io::Result<Self> {
        let mut seen = BTreeMap::new();
        let mut take = |path: &str, real: &Path, found: &Metadata| {
            if !listed(&MAY_DIFFER, path) {
                let content = if listed(&CONTENT_MAY_DIFFER, path) { String::new() } else { content(real, found) };
                let (mode, uid, gid) = (found.mode(), found.uid(), found.gid());
                seen.insert(format!("file {}", without_random_part(path)), format!("{mode:o} {uid}:{gid} {content}"));
            }
        };
        files(&host.changes(), "", &mut |path, real, found| {
            if !is_as_below(path, found) {
                take(path, real, found);
            }
        })?;
        for place in IN_MEMORY {
            files(&host.path(place), place, &mut take)?;
        }
        for (kind, program, args) in [
            ("unit file", "systemctl", &["list-unit-files", "--no-legend", "--no-pager", "--plain"][..]),
            (
                "unit",
                "systemctl",
                &["list-units", "--all", "--type=service,timer,socket,path,mount", "--no-legend", "--plain"],
            ),
            ("user", "getent", &["passwd"]),
            ("group", "getent", &["group"]),
        ] {
            for line in host.succeed(program, args)?.lines() {
                let line: Vec<&str> = line.split_whitespace().collect();
                // Of a unit that is there: its name, whether it is loaded, and how it is. The rest is its description.
                let (name, rest) = line.split_first().unwrap_or((&"", &[]));
                seen.insert(format!("{kind} {name}"), rest.iter().take(3).copied().collect::<Vec<_>>().join(" "));
            }
        }
        for listener in listeners(host)? {
            seen.insert(format!("listener {listener}"), String::new());
        }
        Ok(Self(seen))
    }

    /// What differs in a later one: a line each, with `-` for what was there before and `+` for what is there now.
    pub fn differences(&self, later: &Self) -> Vec<String> {
        let names: BTreeSet<&String> = self.0.keys().chain(later.0.keys()).collect();
        let mut lines = Vec::new();
        for name in names {
            let (before, now) = (self.0.get(name), later.0.get(name));
            if before != now {
                lines.extend(before.map(|text| format!("- {name} {text}")));
                lines.extend(now.map(|text| format!("+ {name} {text}")));
            }
        }
        lines
    }

    /// Everything of which the name has this text in it.
    pub fn about(&self, text: &str) -> Vec<&str> {
        self.0.keys().filter(|name| name.contains(text)).map(String::as_str).collect()
    }
}

fn listed(list: &[(&str, &str)], path: &str) -> bool {
    list.iter().any(|(start, _)| path.starts_with(start))
}

/// The private `/tmp` of a service is `systemd-private-<boot>-<service>-<random>`.
fn without_random_part(path: &str) -> String {
    let Some((start, rest)) = path.split_once("/systemd-private-") else { return path.to_owned() };
    let (name, below) = rest.split_once('/').unwrap_or((rest, ""));
    let service = name.split_once('-').and_then(|(_, name)| name.rsplit_once('-')).map_or(name, |(service, _)| service);
    format!("{start}/systemd-private-{service}/{below}")
}

/// Goes through a folder of the host and tells every path, as on the host and from outside, that is in it.
fn files(folder: &Path, name: &str, tell: &mut impl FnMut(&str, &Path, &Metadata)) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        // A file that is gone between two looks was none that stays.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        let Ok(found) = fs::symlink_metadata(entry.path()) else { continue };
        tell(&name, &entry.path(), &found);
        if found.is_dir() {
            files(&entry.path(), &name, tell)?;
        }
    }
    Ok(())
}

/// Whether this is a folder that the machine below has as well, which was written to the disk of the host only because
/// something in it was.
fn is_as_below(path: &str, found: &Metadata) -> bool {
    let same = |below: &Metadata| {
        below.is_dir() && (below.mode(), below.uid(), below.gid()) == (found.mode(), found.uid(), found.gid())
    };
    found.is_dir() && fs::symlink_metadata(path).as_ref().is_ok_and(same)
}

/// What is in a file, or what it is.
fn content(path: &Path, found: &Metadata) -> String {
    let kind = found.file_type();
    match () {
        () if kind.is_file() => {
            fs::read(path).map_or_else(|error| error.to_string(), |text| Digest::of(text).to_string())
        }
        () if kind.is_symlink() => {
            fs::read_link(path).map_or_else(|error| error.to_string(), |target| target.to_string_lossy().into_owned())
        }
        // A file of the machine below that was removed on the host shows as a device of number 0.
        () if kind.is_char_device() => format!("device {}", found.rdev()),
        () => String::new(),
    }
}

/// What processes of the host listen on. Other sockets of the network are none of its business.
fn listeners(host: &Host) -> io::Result<BTreeSet<String>> {
    let own = sockets(host)?;
    let net = |name: &str| fs::read_to_string(host.path(&format!("/proc/1/net/{name}"))).unwrap_or_default();
    let mut found = BTreeSet::new();
    for (name, listening) in [("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")] {
        for line in net(name).lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if fields.get(3) == Some(&listening) && fields.get(9).is_some_and(|inode| own.contains(*inode)) {
                found.insert(format!("{name} {}", fields[1]));
            }
        }
    }
    for line in net("unix").lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // The flag of a socket that accepts connections.
        if fields.get(3) == Some(&"00010000") && fields.get(6).is_some_and(|inode| own.contains(*inode)) {
            found.insert(format!("unix {}", fields.get(7).unwrap_or(&"")));
        }
    }
    Ok(found)
}

/// The sockets that processes of the host have open, by inode.
fn sockets(host: &Host) -> io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for process in fs::read_dir(host.path("/proc"))?.flatten() {
        // Those that end meanwhile, and those that are no processes, have none.
        for descriptor in fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten() {
            if let Ok(target) = fs::read_link(descriptor.path())
                && let Some(inode) = target.to_string_lossy().strip_prefix("socket:[")
            {
                found.insert(inode.trim_end_matches(']').to_owned());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(lines: &[(&str, &str)]) -> Snapshot {
        Snapshot(lines.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }

    #[test]
    fn whatever_came_went_or_changed_is_told() {
        let before = snapshot(&[("file /a", "1"), ("file /b", "2"), ("user x", "")]);
        let later = snapshot(&[("file /a", "1"), ("file /b", "3"), ("listener tcp 0:1", "")]);
        let told = ["- file /b 2", "+ file /b 3", "+ listener tcp 0:1 ", "- user x "];
        assert_eq!(before.differences(&later), told);
        assert_eq!(before.differences(&before.clone()), [""; 0]);
    }

    #[test]
    fn private_folders_are_compared_by_their_service() {
        let path = "/var/tmp/systemd-private-bd70144d-systemd-logind.service-FrabPX/tmp";
        assert_eq!(without_random_part(path), "/var/tmp/systemd-private-systemd-logind.service/tmp");
        assert_eq!(without_random_part("/tmp/x"), "/tmp/x");
    }
}
