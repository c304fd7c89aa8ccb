//! Can Falco watch this host? Looked at before anything is changed, and told with what to do about it.
//!
//! What cannot be found out is left to Falco itself, whose own words then stand in the status.

use std::path::Path;

use anyhow::{Context, Result};
use charm_core::{Hook, files};

use crate::config::Engine;
use crate::paths::DISTRIBUTIONS;

/// The oldest kernel with what the probe uses.
const OLDEST_KERNEL: (u32, u32) = (5, 8);

/// What an installation takes for some time: the distribution (170 MB unpacked) beside the one it follows, and some room
/// that the host needs for itself.
const FREE_DISK: u64 = 512 * 1024 * 1024;

const KERNEL_RELEASE: &str = "/proc/sys/kernel/osrelease";
const KERNEL_TYPES: &str = "/sys/kernel/btf/vmlinux";
/// Written by systemd with the kind of container, when it runs in one.
const CONTAINER: &str = "/run/systemd/container";
// Falco is started by the first process, so what that one may do counts, not what this one may do.
const STATUS: &str = "/proc/1/status";
const LIMITS: &str = "/proc/1/limits";
const USERS: &str = "/proc/1/uid_map";

/// What the host is like. A field is empty where nothing could be found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// `6.8.0-45-generic`.
    pub kernel: Option<String>,
    /// The kernel describes its own types.
    pub kernel_types: Option<bool>,
    /// `lxc`, `docker` and the like.
    pub container: Option<String>,
    /// Root here is an ordinary user of the host outside.
    pub mapped_users: bool,
    /// The capabilities that a service can be given at most.
    pub capabilities: Option<Capabilities>,
    /// Services may lock as much memory as they like.
    pub unlimited_memory_lock: bool,
    /// Bytes that are free where Falco is installed.
    pub free_disk: Option<u64>,
}

/// Capabilities, as the kernel numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities(pub u64);

impl Capabilities {
    const SYS_MODULE: u8 = 16;
    const SYS_RESOURCE: u8 = 24;
    const PERFMON: u8 = 38;
    const BPF: u8 = 39;

    fn has(self, number: u8) -> bool {
        self.0 >> number & 1 == 1
    }
}

/// Looks at the host.
pub fn gather(hook: &Hook) -> Result<Abilities> {
    let text = |path: &str| -> Result<Option<String>> {
        let content = files::read(&hook.path(path))?;
        Ok(content.map(|content| String::from_utf8_lossy(&content).trim().to_owned()).filter(|text| !text.is_empty()))
    };
    let users = text(USERS)?;
    // Without /sys/kernel there is nothing to conclude from.
    let has_kernel_folder = files::exists(&hook.path("/sys/kernel"))?;
    Ok(Abilities {
        kernel: text(KERNEL_RELEASE)?,
        kernel_types: if has_kernel_folder { Some(files::exists(&hook.path(KERNEL_TYPES))?) } else { None },
        container: text(CONTAINER)?,
        mapped_users: users.is_some_and(|users| !is_whole(&users)),
        capabilities: text(STATUS)?.as_deref().and_then(bounding_set),
        unlimited_memory_lock: text(LIMITS)?.is_some_and(|limits| is_memory_lock_unlimited(&limits)),
        free_disk: free_disk(&hook.path(DISTRIBUTIONS))?,
    })
}

/// What keeps Falco from watching this host, each with what to do. `installs`: there is something to install.
pub fn problems(host: &Abilities, engine: Engine, installs: bool) -> Vec<String> {
    let mut problems = Vec::new();
    if engine != Engine::Nodriver {
        problems.extend(kernel_problems(host, engine));
    }
    if let Some(free) = host.free_disk.filter(|free| installs && *free < FREE_DISK) {
        let mebibytes = |bytes: u64| bytes / 1024 / 1024;
        problems.push(format!(
            "host: {} MiB are free for {DISTRIBUTIONS}, and an installation takes {} MiB; make room",
            mebibytes(free),
            mebibytes(FREE_DISK)
        ));
    }
    problems
}

/// What may be the reason when Falco does not stay up on this host, beside what it says itself. Releases of Falco differ
/// in whether they insist on it, so it is not held against a host beforehand.
pub fn explanation(host: &Abilities, engine: Engine) -> Option<&'static str> {
    let may_raise = |capabilities: Capabilities| capabilities.has(Capabilities::SYS_RESOURCE);
    let is_bound =
        !host.unlimited_memory_lock && host.capabilities.is_some_and(|capabilities| !may_raise(capabilities));
    (engine == Engine::ModernEbpf && is_bound).then_some(
        "host: services here can neither lock memory without limit nor raise the limit (CAP_SYS_RESOURCE), which Falco \
         0.44 insists on",
    )
}

fn kernel_problems(host: &Abilities, engine: Engine) -> Vec<String> {
    if host.mapped_users {
        // Whatever else is missing comes from that, and what is there does not count.
        let kind = host.container.as_deref().unwrap_or("container");
        return vec![format!(
            "host: this is an unprivileged {kind} guest, which cannot watch its kernel; deploy to a machine or a virtual \
             machine, or to the host of the container"
        )];
    }
    let mut problems = Vec::new();
    let missing = host.capabilities.map(|capabilities| missing(capabilities, engine));
    if let Some(missing) = missing.filter(|missing| !missing.is_empty()) {
        let remedy = match &host.container {
            Some(kind) => format!("give it to this {kind} guest, or deploy to its host"),
            None => "whoever starts this machine withholds it".to_owned(),
        };
        problems.push(format!("host: Falco cannot get {}; {remedy}", missing.join(", ")));
    }
    if engine == Engine::ModernEbpf {
        let old = host.kernel.as_deref().filter(|release| version(release).is_some_and(|it| it < OLDEST_KERNEL));
        if let Some(release) = old {
            let (major, minor) = OLDEST_KERNEL;
            problems.push(format!(
                "host: the kernel is {release}, and modern_ebpf needs {major}.{minor}; upgrade it, or set engine to kmod"
            ));
        } else if host.kernel_types == Some(false) {
            problems.push(format!(
                "host: the kernel has no {KERNEL_TYPES}, which modern_ebpf needs; use one built with BTF, as those of \
                 Ubuntu are, or set engine to kmod"
            ));
        }
    }
    problems
}

/// What Falco would miss at its start.
fn missing(capabilities: Capabilities, engine: Engine) -> Vec<&'static str> {
    let mut missing = Vec::new();
    let mut need = |number, name| {
        if !capabilities.has(number) {
            missing.push(name);
        }
    };
    match engine {
        Engine::ModernEbpf => {
            // The wider one of older kernels would do as well, but the unit file of Falco leaves it out.
            need(Capabilities::BPF, "CAP_BPF");
            need(Capabilities::PERFMON, "CAP_PERFMON");
        }
        Engine::Kmod => need(Capabilities::SYS_MODULE, "CAP_SYS_MODULE"),
        Engine::Nodriver => {}
    }
    missing
}

/// `6.8.0-45-generic`: 6 and 8.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The line `CapBnd:` of the status of a process.
fn bounding_set(status: &str) -> Option<Capabilities> {
    let digits = status.lines().find_map(|line| line.strip_prefix("CapBnd:"))?;
    u64::from_str_radix(digits.trim(), 16).ok().map(Capabilities)
}

/// `Max locked memory         8388608              unlimited            bytes`: soft and hard.
fn is_memory_lock_unlimited(limits: &str) -> bool {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"));
    line.and_then(|line| line.split_whitespace().nth(1)) == Some("unlimited")
}

/// Does every user stand for itself? The first user namespace has one line of 0, 0 and the largest number.
fn is_whole(users: &str) -> bool {
    users.split_whitespace().eq(["0", "0", "4294967295"])
}

/// What is free on the disk of a folder that need not be there yet.
fn free_disk(folder: &Path) -> Result<Option<u64>> {
    for folder in folder.ancestors() {
        if files::exists(folder)? {
            let disk =
                rustix::fs::statvfs(folder).with_context(|| format!("failed to look at {}", folder.display()))?;
            return Ok(Some(disk.f_bavail.saturating_mul(disk.f_frsize)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::World;

    const EVERYTHING: Capabilities = Capabilities(0x01ff_ffff_ffff);

    fn good() -> Abilities {
        Abilities {
            kernel: Some("6.8.0-45-generic".into()),
            kernel_types: Some(true),
            container: None,
            mapped_users: false,
            capabilities: Some(EVERYTHING),
            unlimited_memory_lock: false,
            free_disk: Some(10 * FREE_DISK),
        }
    }

    fn without(numbers: &[u8]) -> Capabilities {
        Capabilities(numbers.iter().fold(EVERYTHING.0, |set, number| set & !(1 << number)))
    }

    #[test]
    fn a_usual_host_and_one_of_which_nothing_is_known_are_fine() {
        for engine in [Engine::ModernEbpf, Engine::Kmod, Engine::Nodriver] {
            assert_eq!(problems(&good(), engine, true), [""; 0]);
            assert_eq!(problems(&Abilities::default(), engine, true), [""; 0]);
        }
    }

    #[test]
    fn each_missing_thing_is_named_with_what_to_do() {
        use Engine::{Kmod, ModernEbpf, Nodriver};
        for (host, engine, texts) in [
            (
                Abilities { kernel: Some("5.4.0-216-generic".into()), kernel_types: Some(false), ..good() },
                ModernEbpf,
                vec!["the kernel is 5.4.0-216-generic, and modern_ebpf needs 5.8; upgrade it, or set engine to kmod"],
            ),
            (Abilities { kernel: Some("5.8.0".into()), ..good() }, ModernEbpf, vec![]),
            (Abilities { kernel: Some("odd".into()), ..good() }, ModernEbpf, vec![]),
            (Abilities { kernel_types: Some(false), ..good() }, ModernEbpf, vec!["no /sys/kernel/btf/vmlinux"]),
            (Abilities { kernel: Some("5.4.0".into()), kernel_types: Some(false), ..good() }, Kmod, vec![]),
            (
                Abilities { capabilities: Some(without(&[16])), ..good() },
                Kmod,
                vec!["cannot get CAP_SYS_MODULE; whoever"],
            ),
            (
                Abilities { capabilities: Some(without(&[38, 39])), ..good() },
                ModernEbpf,
                vec!["cannot get CAP_BPF, CAP_PERFMON"],
            ),
            (
                Abilities { capabilities: Some(without(&[39])), container: Some("lxc".into()), ..good() },
                ModernEbpf,
                vec!["cannot get CAP_BPF; give it to this lxc guest"],
            ),
            (
                Abilities {
                    mapped_users: true,
                    container: Some("lxc".into()),
                    kernel_types: Some(false),
                    capabilities: Some(without(&[39])),
                    ..good()
                },
                ModernEbpf,
                vec!["this is an unprivileged lxc guest"],
            ),
            (Abilities { mapped_users: true, ..good() }, Nodriver, vec![]),
            (Abilities { free_disk: Some(100 << 20), ..good() }, Nodriver, vec!["100 MiB are free"]),
        ] {
            let found = problems(&host, engine, true);
            assert_eq!(found.len(), texts.len(), "{found:?}");
            for (found, text) in found.iter().zip(texts) {
                assert!(found.starts_with("host: ") && found.contains(text), "{found}");
            }
        }
    }

    #[test]
    fn a_bound_on_locked_memory_explains_why_falco_does_not_stay_up() {
        let bound = Abilities { capabilities: Some(without(&[24])), ..good() };
        assert!(explanation(&bound, Engine::ModernEbpf).is_some());
        assert_eq!(problems(&bound, Engine::ModernEbpf, true), [""; 0]);
        assert_eq!(explanation(&bound, Engine::Kmod), None);
        for fine in [good(), Abilities::default(), Abilities { unlimited_memory_lock: true, ..bound }] {
            assert_eq!(explanation(&fine, Engine::ModernEbpf), None);
        }
    }

    #[test]
    fn room_is_needed_only_to_install() {
        let full = Abilities { free_disk: Some(0), ..good() };
        assert_eq!(problems(&full, Engine::ModernEbpf, false), [""; 0]);
        assert_eq!(problems(&full, Engine::ModernEbpf, true).len(), 1);
    }

    #[test]
    fn the_host_is_read_from_the_kernel_and_systemd() {
        let world = World::new();
        let nothing = gather(&world.hook).unwrap();
        assert!(nothing.free_disk.is_some_and(|bytes| bytes > 0));
        assert_eq!(nothing, Abilities { free_disk: nothing.free_disk, ..Abilities::default() });

        world.write(KERNEL_RELEASE, "6.8.0-45-generic\n");
        world.write("/sys/kernel/uevent_seqnum", "1");
        world.write(CONTAINER, "lxc");
        world.write(USERS, "         0    1000000 1000000000\n");
        world.write(STATUS, "Name:\tsystemd\nCapInh:\t0000000000000000\nCapBnd:\t000001fffffeffff\nSeccomp:\t0\n");
        world.write(
            LIMITS,
            "Limit                     Soft Limit           Hard Limit           Units     \n\
             Max locked memory         8388608              unlimited            bytes     \n",
        );
        let found = gather(&world.hook).unwrap();
        assert_eq!(
            found,
            Abilities {
                kernel: Some("6.8.0-45-generic".into()),
                kernel_types: Some(false),
                container: Some("lxc".into()),
                mapped_users: true,
                capabilities: Some(without(&[16])),
                unlimited_memory_lock: true,
                free_disk: found.free_disk,
            }
        );
        world.write(KERNEL_TYPES, "");
        world.write(USERS, "         0          0 4294967295\n");
        let found = gather(&world.hook).unwrap();
        assert!(found.kernel_types == Some(true) && !found.mapped_users);
    }
}
