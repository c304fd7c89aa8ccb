//! A host with the real systemd and one unit of the falco charm on it.
//!
//! The charm itself runs in the namespaces of this machine: its `/` is the host's, by a link in `/run` that leads there
//! from outside and to `/` from inside, so that one path means the same file to the charm and to the services of the
//! host. The host makes its link again at every boot, before it starts services. `systemctl` and `journalctl` are the
//! host's own.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::falco_distribution;
use crate::falco_host::SENSITIVE;
use crate::juju::Context;
use crate::machine::host::Host;
use crate::programs;

/// A booted host.
#[derive(Debug)]
pub struct BootedHost {
    /// How the charm is run.
    pub context: Context,
    /// The Falco distribution to attach.
    pub tarball: PathBuf,
    root: Link,
    host: Host,
    _folder: TempDir,
}

/// What systemd is to make anew at every boot.
const LINKS: &str = "/etc/tmpfiles.d/charm-tests.conf";

/// A link of ours on this machine.
#[derive(Debug)]
struct Link(PathBuf);

impl Link {
    fn lead_to(&self, host: &Host) -> Result<()> {
        if self.0.is_symlink() {
            fs::remove_file(&self.0).with_context(|| format!("failed to remove the link {}", self.0.display()))?;
        }
        symlink(host.path("/"), &self.0).with_context(|| format!("failed to make the link {}", self.0.display()))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // One that is gone already needs no removal.
        let _ = fs::remove_file(&self.0);
    }
}

impl BootedHost {
    /// Boots a host.
    pub fn new() -> Result<Self> {
        let host = Host::boot()?;
        let folder = tempfile::Builder::new().prefix("falco-").tempdir()?;
        let name = folder.path().file_name().context("a temporary folder has a name")?;
        let root = Link(Path::new("/run").join(name));
        let inside = root.0.to_string_lossy();
        symlink("/", host.path(&inside)).context("failed to make a link on the host")?;
        fs::write(host.path(LINKS), format!("L {inside} - - - - /\n")).context("failed to write a file on the host")?;
        root.lead_to(&host)?;
        // Who reads it shall find nobody's password, not even that of this machine.
        fs::write(host.path(SENSITIVE), "root:*:1:0:99999:7:::\n").context("failed to write a file on the host")?;
        let context = context(&root, &host)?;
        let tarball = falco_distribution::tarball_or_real(folder.path());
        Ok(Self { context, tarball, root, host, _folder: folder })
    }

    /// The same host, with a say in how the charm is run.
    #[must_use]
    pub fn prepared(self, prepare: impl FnOnce(Context) -> Context) -> Self {
        Self { context: prepare(self.context), ..self }
    }

    /// Unit 0 of another application of the same charm on the same host.
    pub fn second_unit(&self, app: &str) -> Result<Context> {
        Ok(context(&self.root, &self.host)?.app(app))
    }

    /// Switches the host off and on again.
    pub fn reboot(&mut self) -> Result<()> {
        self.host.reboot()?;
        self.root.lead_to(&self.host)
    }

    /// A program to be run on the host.
    pub fn command(&self, program: &str) -> Command {
        self.host.command(program)
    }

    /// What a program of the host prints; an error if it fails.
    pub fn succeed(&self, program: &str, args: &[&str]) -> io::Result<String> {
        self.host.succeed(program, args)
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// `/` of the host, as the charm and this machine see it.
    pub fn root(&self) -> &Path {
        &self.root.0
    }
}

fn context(root: &Link, host: &Host) -> Result<Context> {
    Ok(Context::new(programs::charmcraft("falco"), programs::falco_charm(), programs::hook_command())?
        .at_root(&root.0)
        .system_path()
        // A working folder in another mount namespace has no name that its programs could ask for.
        .launcher(["/usr/bin/env", "--chdir=/"])
        .host_command("systemctl", Arc::new(Mutex::new(host.host_command())))
        .host_command("journalctl", Arc::new(Mutex::new(host.host_command()))))
}
