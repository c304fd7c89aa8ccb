//! Which system calls are effects, and how they are put into words.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use nix::libc::{self, c_long};
use nix::unistd::Pid;

/// As much of a message is shown.
const SHOWN: usize = 120;

/// `fchmodat2`, which the libc crate knows on some architectures only although its number is the same on all.
const FCHMODAT2: c_long = 452;

/// What a system call does to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Starts a child process: a hook command, `systemctl`, the workload's own check.
    Process,
    /// Creates a file, or empties one.
    Create,
    /// Renames.
    Rename,
    /// Removes a file or a folder.
    Remove,
    /// Makes a folder.
    Folder,
    /// Makes a link.
    Link,
    /// Changes mode or owner of something that has a path.
    Mode,
    /// Sends on a socket: a request to Pebble, HTTP, DNS.
    Send,
    /// Sends a signal to another process.
    Signal,
}

/// One effect of the charm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// What it does.
    pub kind: Kind,
    /// To what: a path, a program with its arguments, the first line of a message.
    pub detail: String,
}

impl fmt::Display for Effect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.kind {
            Kind::Process => "start",
            Kind::Create => "create",
            Kind::Rename => "rename",
            Kind::Remove => "remove",
            Kind::Folder => "make folder",
            Kind::Link => "link",
            Kind::Mode => "change mode or owner of",
            Kind::Send => "send",
            Kind::Signal => "signal",
        };
        write!(formatter, "{verb} {}", self.detail)
    }
}

/// Where the operands of a call stand among its arguments.
#[derive(Clone, Copy)]
enum Operands {
    /// A path.
    Path(usize),
    /// A path relative to a folder.
    At(usize, usize),
    /// Two paths, from and to.
    Two(usize, usize),
    /// Two paths relative to folders.
    TwoAt([usize; 4]),
    /// A path relative to a folder, and flags of which one of `O_CREAT` and `O_TRUNC` makes it an effect.
    Open { folder: Option<usize>, path: usize, flags: Option<usize> },
    /// A descriptor that has to be a socket.
    Socket,
    /// A descriptor that has to be a socket, a buffer and its length.
    Buffer,
    /// A descriptor that has to be a socket, and a list of buffers.
    Buffers,
    /// A descriptor that has to be a socket, and the header of a message.
    Message,
    /// Flags that tell a process from a thread.
    CloneFlags,
    /// The same, in a structure.
    CloneStructure,
    /// None that say more.
    Fork,
    /// A process.
    Target,
}

/// The calls that every architecture has.
const CALLS: [(c_long, Kind, Operands); 22] = [
    (libc::SYS_clone, Kind::Process, Operands::CloneFlags),
    (libc::SYS_clone3, Kind::Process, Operands::CloneStructure),
    (libc::SYS_openat, Kind::Create, Operands::Open { folder: Some(0), path: 1, flags: Some(2) }),
    (libc::SYS_truncate, Kind::Create, Operands::Path(0)),
    (libc::SYS_renameat, Kind::Rename, Operands::TwoAt([0, 1, 2, 3])),
    (libc::SYS_renameat2, Kind::Rename, Operands::TwoAt([0, 1, 2, 3])),
    (libc::SYS_unlinkat, Kind::Remove, Operands::At(0, 1)),
    (libc::SYS_mkdirat, Kind::Folder, Operands::At(0, 1)),
    (libc::SYS_mknodat, Kind::Create, Operands::At(0, 1)),
    (libc::SYS_symlinkat, Kind::Link, Operands::At(1, 2)),
    (libc::SYS_linkat, Kind::Link, Operands::TwoAt([0, 1, 2, 3])),
    (libc::SYS_fchmodat, Kind::Mode, Operands::At(0, 1)),
    (FCHMODAT2, Kind::Mode, Operands::At(0, 1)),
    (libc::SYS_fchownat, Kind::Mode, Operands::At(0, 1)),
    (libc::SYS_write, Kind::Send, Operands::Buffer),
    (libc::SYS_sendto, Kind::Send, Operands::Buffer),
    (libc::SYS_writev, Kind::Send, Operands::Buffers),
    (libc::SYS_sendmsg, Kind::Send, Operands::Message),
    (libc::SYS_sendmmsg, Kind::Send, Operands::Message),
    (libc::SYS_sendfile, Kind::Send, Operands::Socket),
    (libc::SYS_kill, Kind::Signal, Operands::Target),
    (libc::SYS_pidfd_send_signal, Kind::Signal, Operands::Target),
];

/// Older forms of the same, which newer architectures do without.
#[cfg(target_arch = "x86_64")]
const OLDER: [(c_long, Kind, Operands); 14] = [
    (libc::SYS_fork, Kind::Process, Operands::Fork),
    (libc::SYS_vfork, Kind::Process, Operands::Fork),
    (libc::SYS_open, Kind::Create, Operands::Open { folder: None, path: 0, flags: Some(1) }),
    (libc::SYS_creat, Kind::Create, Operands::Open { folder: None, path: 0, flags: None }),
    (libc::SYS_rename, Kind::Rename, Operands::Two(0, 1)),
    (libc::SYS_unlink, Kind::Remove, Operands::Path(0)),
    (libc::SYS_rmdir, Kind::Remove, Operands::Path(0)),
    (libc::SYS_mkdir, Kind::Folder, Operands::Path(0)),
    (libc::SYS_mknod, Kind::Create, Operands::Path(0)),
    (libc::SYS_symlink, Kind::Link, Operands::Path(1)),
    (libc::SYS_link, Kind::Link, Operands::Two(0, 1)),
    (libc::SYS_chmod, Kind::Mode, Operands::Path(0)),
    (libc::SYS_chown, Kind::Mode, Operands::Path(0)),
    (libc::SYS_lchown, Kind::Mode, Operands::Path(0)),
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: [(c_long, Kind, Operands); 0] = [];

/// A system call that a thread has entered.
///
/// The kernel's own words in `/proc` are used, because they are the same on every architecture and, unlike
/// `PTRACE_GET_SYSCALL_INFO`, whose answer is a union, can be read without unsafe code.
#[derive(Debug)]
pub struct Call {
    thread: Pid,
    number: c_long,
    arguments: [u64; 6],
}

impl Call {
    /// The call at whose entry a thread stands.
    pub fn of(thread: Pid) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{thread}/syscall")).ok()?;
        let mut words = text.split_whitespace();
        let number = words.next()?.parse().ok()?;
        let mut arguments = [0; 6];
        for argument in &mut arguments {
            *argument = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
        }
        Some(Self { thread, number, arguments })
    }

    /// What it does to the world, if anything.
    pub fn effect(&self) -> Option<Effect> {
        let (_, kind, operands) = CALLS.iter().chain(&OLDER).find(|(number, ..)| *number == self.number)?;
        let detail = match *operands {
            Operands::Path(path) => self.path(None, path),
            Operands::At(folder, path) => self.path(Some(folder), path),
            Operands::Two(from, to) => format!("{} to {}", self.path(None, from), self.path(None, to)),
            Operands::TwoAt([from_folder, from, to_folder, to]) => {
                format!("{} to {}", self.path(Some(from_folder), from), self.path(Some(to_folder), to))
            }
            Operands::Open { folder, path, flags } => {
                let creates = (libc::O_CREAT | libc::O_TRUNC).cast_unsigned();
                if flags.is_some_and(|flags| self.arguments[flags] & u64::from(creates) == 0) {
                    return None;
                }
                self.path(folder, path)
            }
            Operands::Socket => {
                self.socket()?;
                "a file".to_owned()
            }
            Operands::Buffer => {
                self.socket()?;
                self.message(self.arguments[1], self.arguments[2])
            }
            Operands::Buffers => {
                self.socket()?;
                self.first_buffer(self.arguments[1])
            }
            Operands::Message => {
                self.socket()?;
                // The list of buffers comes third in the header, after the name, its length and a gap.
                self.first_buffer(self.word(self.arguments[1] + 16)?)
            }
            Operands::CloneFlags => unless_thread(self.arguments[0])?,
            Operands::CloneStructure => unless_thread(self.word(self.arguments[0])?)?,
            Operands::Fork => String::new(),
            Operands::Target => format!("process {}", self.arguments[0]),
        };
        Some(Effect { kind: *kind, detail })
    }

    fn descriptor(&self, argument: usize) -> Option<PathBuf> {
        // A descriptor is an int; its upper half may hold anything.
        let number = self.arguments[argument] & u64::from(u32::MAX);
        fs::read_link(format!("/proc/{}/fd/{number}", self.thread)).ok()
    }

    fn socket(&self) -> Option<()> {
        self.descriptor(0)?.to_str()?.starts_with("socket:").then_some(())
    }

    fn path(&self, folder: Option<usize>, path: usize) -> String {
        let path = PathBuf::from(OsString::from_vec(self.text(self.arguments[path])));
        let base = folder
            .and_then(|folder| self.descriptor(folder))
            .or_else(|| fs::read_link(format!("/proc/{}/cwd", self.thread)).ok());
        base.map_or_else(|| path.clone(), |base| base.join(&path)).display().to_string()
    }

    /// Bytes up to a zero.
    fn text(&self, address: u64) -> Vec<u8> {
        let mut bytes = self.memory(address, 4096);
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        bytes.truncate(end);
        bytes
    }

    fn first_buffer(&self, list: u64) -> String {
        match (self.word(list), self.word(list + 8)) {
            (Some(address), Some(length)) => self.message(address, length),
            _ => String::new(),
        }
    }

    /// The first line of a message, if it is text.
    fn message(&self, address: u64, length: u64) -> String {
        let bytes = self.memory(address, usize::try_from(length).unwrap_or(SHOWN).min(SHOWN));
        let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
        match std::str::from_utf8(line) {
            Ok(text) if !text.is_empty() && !text.contains(char::is_control) => text.to_owned(),
            _ => format!("{length} bytes"),
        }
    }

    fn word(&self, address: u64) -> Option<u64> {
        self.memory(address, 8).try_into().ok().map(u64::from_ne_bytes)
    }

    /// Memory of the process, as far as it is there.
    fn memory(&self, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let Ok(memory) = File::open(format!("/proc/{}/mem", self.thread)) else {
            return Vec::new();
        };
        // A read stops at the end of what is mapped, so the first one may be short.
        let mut read = 0;
        while read < length {
            match memory.read_at(&mut bytes[read..], address + read as u64) {
                Ok(0) | Err(_) => break,
                Ok(more) => read += more,
            }
        }
        bytes.truncate(read);
        bytes
    }
}

/// The program of a child is not known before the child has become it.
fn unless_thread(flags: u64) -> Option<String> {
    let thread = u64::from(libc::CLONE_THREAD.cast_unsigned());
    (flags & thread == 0).then(String::new)
}
