//! Tarballs in the layout of the official Falco distribution, around the stand-in: good ones, and those that an
//! unpacker must refuse.
//!
//! The rules inside are our own. They bear names of Falco's rules, because alerts and dashboards know those, and need
//! what the official file needs: engine 0.57.0 and the container plugin 0.4.0.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use crate::programs::{built, given};
use crate::stand_in::falco::VERSION;

const CONFIG: &str = include_str!("falco_distribution/falco.yaml");
const CONTAINER_PLUGIN_CONFIG: &str = include_str!("falco_distribution/falco.container_plugin.yaml");
const RULES: &str = include_str!("falco_distribution/falco_rules.yaml");
const LOCAL_RULES: &str = "# Rules of this machine go here.\n";

/// What the tarball is to hold.
#[derive(Clone, Debug)]
pub struct Options {
    /// Version in the name of the top folder.
    pub version: String,
    /// Architecture of the program and in the name of the top folder: `x86_64` or `aarch64`. Of another one than this
    /// machine's, the program is no more than the beginning of one.
    pub architecture: String,
    /// Put the container plugin in.
    pub container_plugin: bool,
    /// Put these plugins in beside it, by name: `k8saudit`, `json`.
    pub plugins: Vec<&'static str>,
    /// Put rules about Kubernetes audit events in.
    pub audit_rules: Option<&'static str>,
    /// Put in what an unpacker must refuse.
    pub flaw: Option<Flaw>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            version: VERSION.to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            container_plugin: true,
            plugins: Vec::new(),
            audit_rules: None,
            flaw: None,
        }
    }
}

/// What can be wrong with a tarball.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// An entry with an absolute path.
    AbsolutePath,
    /// An entry with `..` in its path.
    ParentFolder,
    /// A symbolic link that points out of the folder.
    SymbolicLinkOut,
    /// A file written through such a link.
    FileThroughLink,
    /// A hard link that points out of the folder.
    HardLinkOut,
    /// A device.
    Device,
    /// A file that claims to be enormous.
    HugeSize,
    /// No `usr/bin/falco`.
    NoProgram,
    /// A program for another architecture.
    ForeignProgram,
    /// A second top folder.
    TwoFolders,
    /// The file ends in the middle.
    CutShort,
    /// No gzip at all.
    NoGzip,
}

impl Flaw {
    /// Every flaw, for tests that go through all of them.
    pub const ALL: [Self; 12] = [
        Self::AbsolutePath,
        Self::ParentFolder,
        Self::SymbolicLinkOut,
        Self::FileThroughLink,
        Self::HardLinkOut,
        Self::Device,
        Self::HugeSize,
        Self::NoProgram,
        Self::ForeignProgram,
        Self::TwoFolders,
        Self::CutShort,
        Self::NoGzip,
    ];
}

/// Where the official tarball was put, if `FALCO_TARBALL` names one.
pub fn real_tarball() -> Option<PathBuf> {
    given("FALCO_TARBALL")
}

/// The official tarball if there is one, and otherwise one around the stand-in, written to `folder`.
pub fn tarball_or_real(folder: &Path) -> PathBuf {
    real_tarball().unwrap_or_else(|| tarball(folder, &Options::default()))
}

/// Writes a tarball around the stand-in to `folder` and returns its path.
pub fn tarball(folder: &Path, options: &Options) -> PathBuf {
    write(folder, options).unwrap_or_else(|error| panic!("failed to write a tarball to {}: {error}", folder.display()))
}

fn write(folder: &Path, options: &Options) -> io::Result<PathBuf> {
    let Options { version, architecture, container_plugin, plugins, audit_rules, flaw } = options;
    let top = format!("falco-{version}-{architecture}");
    let path = folder.join(format!("{top}.tar.gz"));
    if *flaw == Some(Flaw::NoGzip) {
        std::fs::write(&path, "This is no archive.\n")?;
        return Ok(path);
    }
    let file = std::fs::File::create(&path)?;
    // Stored, not packed: the program is large and tests are built without optimisation.
    let mut archive = Archive { builder: Builder::new(GzEncoder::new(file, Compression::none())), top };
    for folder in ["", "usr/", "usr/bin/", "etc/", "etc/falco/", "etc/falco/config.d/", "etc/falco/rules.d/"] {
        archive.folder(folder)?;
    }
    archive.program(*flaw, architecture)?;
    archive.file("etc/falco/falco.yaml", 0o644, CONFIG.as_bytes())?;
    archive.file("etc/falco/falco_rules.yaml", 0o644, RULES.as_bytes())?;
    archive.file("etc/falco/falco_rules.local.yaml", 0o644, LOCAL_RULES.as_bytes())?;
    if *container_plugin {
        let text = CONTAINER_PLUGIN_CONFIG.as_bytes();
        archive.file("etc/falco/config.d/falco.container_plugin.yaml", 0o644, text)?;
        let text = "This is a stand-in for Falco's container plugin. It holds no code.\nversion: 0.7.1\n";
        archive.file("usr/share/falco/plugins/libcontainer.so", 0o644, text.as_bytes())?;
    }
    for plugin in plugins {
        let text = format!("This is a stand-in for Falco's {plugin} plugin. It holds no code.\n");
        archive.file(&format!("usr/share/falco/plugins/lib{plugin}.so"), 0o644, text.as_bytes())?;
    }
    if let Some(rules) = audit_rules {
        archive.file("etc/falco/k8s_audit_rules.yaml", 0o644, rules.as_bytes())?;
    }
    if let Some(flaw) = flaw {
        archive.add_flaw(*flaw)?;
    }
    archive.builder.into_inner()?.finish()?;
    if *flaw == Some(Flaw::CutShort) {
        let length = std::fs::metadata(&path)?.len();
        std::fs::OpenOptions::new().write(true).open(&path)?.set_len(length / 2)?;
    }
    Ok(path)
}

/// The stand-in without its symbols, which are most of it. Where there is no `strip`, with them.
fn program() -> &'static [u8] {
    static PROGRAM: OnceLock<Vec<u8>> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let path = built("falco-stand-in");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let small = folder.path().join("falco");
        let stripped = Command::new("strip").arg("-o").args([&small, &path]).status();
        let chosen = if stripped.is_ok_and(|status| status.success()) { &small } else { &path };
        std::fs::read(chosen).expect("the compiled stand-in can be read")
    })
}

struct Archive {
    builder: Builder<GzEncoder<std::fs::File>>,
    top: String,
}

impl Archive {
    fn folder(&mut self, below: &str) -> io::Result<()> {
        let mut header = header(EntryType::Directory, 0o755, 0);
        self.builder.append_data(&mut header, format!("{}/{below}", self.top), io::empty())
    }

    fn file(&mut self, below: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        let mut header = header(EntryType::Regular, mode, content.len() as u64);
        self.builder.append_data(&mut header, format!("{}/{below}", self.top), content)
    }

    fn program(&mut self, flaw: Option<Flaw>, architecture: &str) -> io::Result<()> {
        match flaw {
            Some(Flaw::NoProgram) => Ok(()),
            Some(Flaw::ForeignProgram) => self.file("usr/bin/falco", 0o755, &foreign_program(SPARC)),
            _ if architecture != std::env::consts::ARCH => {
                let machine = if architecture == "aarch64" { AARCH64 } else { X86_64 };
                self.file("usr/bin/falco", 0o755, &foreign_program(machine))
            }
            _ => self.file("usr/bin/falco", 0o755, program()),
        }
    }

    fn add_flaw(&mut self, flaw: Flaw) -> io::Result<()> {
        let top = self.top.clone();
        let escaped = b"escaped\n";
        match flaw {
            Flaw::AbsolutePath => self.raw("/tmp/falco-flaw", EntryType::Regular, None, escaped),
            Flaw::ParentFolder => self.raw(&format!("{top}/../../falco-flaw"), EntryType::Regular, None, escaped),
            Flaw::SymbolicLinkOut => {
                self.raw(&format!("{top}/etc/falco/out"), EntryType::Symlink, Some("../../../../outside"), b"")
            }
            Flaw::FileThroughLink => {
                self.raw(&format!("{top}/etc/falco/out"), EntryType::Symlink, Some("../../../.."), b"")?;
                self.raw(&format!("{top}/etc/falco/out/falco-flaw"), EntryType::Regular, None, escaped)
            }
            Flaw::HardLinkOut => self.raw(&format!("{top}/etc/falco/out"), EntryType::Link, Some("/etc/passwd"), b""),
            Flaw::Device => self.raw(&format!("{top}/etc/falco/null"), EntryType::Char, None, b""),
            Flaw::HugeSize => {
                let mut header = header(EntryType::Regular, 0o644, 1 << 40);
                name(&mut header, &format!("{top}/etc/falco/huge"), None);
                // Only the header: the content that it promises never comes.
                self.builder.append(&header, io::empty())
            }
            Flaw::TwoFolders => self.raw("second/usr/bin/falco", EntryType::Regular, None, escaped),
            Flaw::NoProgram | Flaw::ForeignProgram | Flaw::CutShort | Flaw::NoGzip => Ok(()),
        }
    }

    /// An entry whose name is not checked: `append_data` refuses most of what is wanted here.
    fn raw(&mut self, path: &str, kind: EntryType, link: Option<&str>, content: &[u8]) -> io::Result<()> {
        let mut header = header(kind, 0o644, content.len() as u64);
        if kind == EntryType::Char {
            header.set_device_major(1)?;
            header.set_device_minor(3)?;
        }
        name(&mut header, path, link);
        self.builder.append(&header, content)
    }
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_780_000_000);
    header
}

fn name(header: &mut Header, path: &str, link: Option<&str>) {
    let old = header.as_old_mut();
    old.name[..path.len()].copy_from_slice(path.as_bytes());
    if let Some(link) = link {
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
    }
    header.set_cksum();
}

/// How the file of a program names the machine that it is for; the first is one that nobody has.
const SPARC: u16 = 43;
const X86_64: u16 = 0x3e;
const AARCH64: u16 = 0xb7;

/// The start of a program for a 64-bit machine.
fn foreign_program(machine: u16) -> Vec<u8> {
    let mut program = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0];
    program.resize(16, 0);
    program.extend([2, 0]);
    program.extend(machine.to_le_bytes());
    program.extend([1, 0, 0, 0]);
    program.resize(64, 0);
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flaw_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        for flaw in Flaw::ALL.into_iter().filter(|flaw| needs_no_program(*flaw)) {
            let options = Options { flaw: Some(flaw), ..Options::default() };
            assert!(tarball(folder.path(), &options).is_file(), "{flaw:?}");
        }
    }

    /// Unit tests of a library are built without its programs.
    fn needs_no_program(flaw: Flaw) -> bool {
        matches!(flaw, Flaw::NoProgram | Flaw::ForeignProgram | Flaw::NoGzip)
    }
}
