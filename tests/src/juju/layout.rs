//! The unit's folder as Juju lays it out: the unpacked charm, and the links of the hook commands.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::commands;
use super::unit::Unit;

/// The folder of the charm below the unit's root.
pub fn charm_dir(root: &Path, unit: &Unit) -> PathBuf {
    root.join("var/lib/juju/agents").join(unit.tag()).join("charm")
}

/// Unpacks the charm: its assets, its metadata, and `dispatch` as a link to the program.
///
/// What the charm has written there before stays, as on a refresh.
pub fn unpack(charm_dir: &Path, unit: &Unit, assets: Option<&Path>, dispatch: &Path) -> Result<()> {
    fs::create_dir_all(charm_dir).with_context(|| format!("cannot create {}", charm_dir.display()))?;
    if let Some(assets) = assets {
        copy_folder(assets, charm_dir)?;
    }
    for (name, text) in unit.metadata.charm_files()? {
        let path = charm_dir.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let target = fs::canonicalize(dispatch).with_context(|| format!("there is no program {}", dispatch.display()))?;
    if fs::metadata(&target)?.permissions().mode() & 0o111 == 0 {
        bail!("{} is not executable; Juju would not run it", target.display());
    }
    relink(&target, &charm_dir.join("dispatch"))
}

/// Fills a folder with one link to the shim for every command.
pub fn link_commands(folder: &Path, shim: &Path, unit: &Unit, host_commands: &[String]) -> Result<()> {
    fs::create_dir_all(folder)?;
    let shim = fs::canonicalize(shim).with_context(|| format!("there is no shim {}", shim.display()))?;
    let hook_commands = commands::names(unit.juju).map(str::to_owned);
    for name in hook_commands.chain(host_commands.iter().cloned()) {
        relink(&shim, &folder.join(name))?;
    }
    Ok(())
}

fn relink(target: &Path, link: &Path) -> Result<()> {
    if fs::symlink_metadata(link).is_ok() {
        fs::remove_file(link)?;
    }
    symlink(target, link).with_context(|| format!("cannot link {}", link.display()))
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            fs::copy(&source, &target).with_context(|| format!("cannot copy {}", source.display()))?;
        }
    }
    Ok(())
}

/// Joins folders to a `PATH`.
pub fn join_path(folders: &[PathBuf]) -> Result<String> {
    let joined: OsString = std::env::join_paths(folders)?;
    Ok(joined.to_string_lossy().into_owned())
}
