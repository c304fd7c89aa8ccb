//! Falco distributions: the tarball to install from, and unpacking it.
//!
//! Each is unpacked into a folder of its own, so that nothing that runs is touched.

mod archive;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use charm_core::{Hook, files, juju};
use serde::{Deserialize, Serialize};
use tar::EntryType;

use self::archive::below_top;
use crate::k8s_audit::Carried;
use crate::paths::{
    CONTAINER_PLUGIN, DEFAULT_RULES, DISTRIBUTIONS, JSON_PLUGIN, K8S_AUDIT_PLUGIN, K8S_AUDIT_RULES, ORIGIN_FILE,
    PROGRAM,
};

/// The resource that an operator can attach.
const RESOURCE: &str = "falco";

/// The tarball that may have been packed with the charm.
const BUNDLED: &str = "falco.tar.gz";

/// Where a distribution is assembled before it gets its name.
const UNPACKING: &str = ".unpacking";

/// A tarball, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tarball {
    /// Where it lies.
    pub path: PathBuf,
    /// It is the operator's, not the one packed with the charm.
    pub attached: bool,
    /// Its size in bytes.
    size: u64,
    /// When it was last changed, in nanoseconds.
    modified: i64,
}

/// A distribution, unpacked or about to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// The folder below [`DISTRIBUTIONS`]: version and digest of the tarball.
    pub name: String,
    /// Its container plugin is there.
    pub container_plugin: bool,
    /// What it brings for Kubernetes audit events.
    #[serde(default)]
    pub audit: Carried,
}

impl Distribution {
    /// Its version, as the tarball's folder told it.
    pub fn version(&self) -> &str {
        self.name.split('-').next().unwrap_or_default()
    }

    /// The absolute path of something in it.
    pub fn path(&self, below: &str) -> String {
        format!("{DISTRIBUTIONS}/{}/{below}", self.name)
    }
}

/// What there is to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Available {
    /// Nothing to install from, and nothing installed.
    #[default]
    Nothing,
    /// What the tarball holds is unpacked already.
    Installed(Distribution),
    /// The tarball is new, and good.
    New(Tarball, Distribution),
    /// The tarball is new, and cannot be used.
    Unusable {
        /// Which.
        tarball: Tarball,
        /// Why, in words for the operator.
        problem: String,
        /// What was installed before.
        installed: Option<Distribution>,
    },
}

impl Available {
    /// What should run, unpacked or not.
    pub fn to_run(&self) -> Option<&Distribution> {
        match self {
            Self::Installed(distribution) | Self::New(_, distribution) => Some(distribution),
            Self::Unusable { installed, .. } => installed.as_ref(),
            Self::Nothing => None,
        }
    }
}

/// What the origin file says: this tarball was unpacked into that folder.
#[derive(Serialize, Deserialize)]
struct Origin {
    tarball: Tarball,
    distribution: Distribution,
}

/// The origin file for a distribution.
pub fn origin_text(tarball: &Tarball, distribution: &Distribution) -> String {
    let origin = Origin { tarball: tarball.clone(), distribution: distribution.clone() };
    serde_json::to_string_pretty(&origin).expect("paths of Juju are UTF-8") + "\n"
}

/// Looks at what there is. Reads only.
///
/// Juju tells of a new resource by `upgrade-charm`, the event that also brings a new charm. So it is asked then, and as
/// long as nothing is installed; in every other hook a look at the file that was used last is enough.
pub fn look(hook: &Hook, may_have_changed: bool) -> Result<Available> {
    let origin = origin(hook)?;
    let found = match &origin {
        Some(origin) if !may_have_changed => tarball(&origin.tarball.path, origin.tarball.attached)?,
        _ => match juju::resource_get(RESOURCE)? {
            Some(path) => tarball(&path, true)?.map_or_else(|| bundled(hook), |attached| Ok(Some(attached)))?,
            // A controller that cannot deliver the operator's tarball now is no reason to replace what came from it.
            None => match &origin {
                Some(origin) if origin.tarball.attached => Some(origin.tarball.clone()),
                _ => bundled(hook)?,
            },
        },
    };
    match (found, origin) {
        (Some(found), Some(origin)) if found == origin.tarball => Ok(Available::Installed(origin.distribution)),
        (Some(found), origin) => Ok(match archive::inspect(&found)? {
            Ok(distribution) => Available::New(found, distribution),
            Err(problem) => {
                let installed = origin.map(|origin| origin.distribution);
                Available::Unusable { tarball: found, problem, installed }
            }
        }),
        // Gone is as good as unchanged: what is installed needs it no more.
        (None, Some(origin)) => Ok(Available::Installed(origin.distribution)),
        (None, None) => Ok(Available::Nothing),
    }
}

/// What there is after something was done about what there was: Juju need not be asked once more, and the tarball not
/// be read once more.
pub fn look_again(hook: &Hook, before: &Available) -> Result<Available> {
    match (before, origin(hook)?) {
        (Available::New(tarball, _), Some(origin)) if origin.tarball == *tarball => {
            Ok(Available::Installed(origin.distribution))
        }
        _ => Ok(before.clone()),
    }
}

/// Unpacks a tarball that [`look`] found good. Does nothing when that was done before.
pub fn unpack(hook: &Hook, tarball: &Tarball, distribution: &Distribution) -> Result<()> {
    if is_unpacked(hook, distribution)? {
        return Ok(());
    }
    let beside = hook.path(&format!("{DISTRIBUTIONS}/{UNPACKING}"));
    files::remove(&beside)?;
    fs::create_dir_all(&beside).with_context(|| format!("failed to make {}", beside.display()))?;
    let failed = || format!("failed to unpack {}", tarball.path.display());
    let mut archive = archive::open(&tarball.path)?;
    // No user but root may write to what root runs, whatever the tarball says.
    archive.set_mask(0o022);
    archive.set_preserve_ownerships(false);
    archive.set_overwrite(false);
    for entry in archive.entries().with_context(failed)? {
        let mut entry = entry.with_context(failed)?;
        let path = entry.path().with_context(failed)?.into_owned();
        let Some(place) = below_top(&path) else { continue };
        let place = beside.join(place);
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).with_context(failed)?;
        }
        if entry.header().entry_type() == EntryType::Link {
            // Its target is named from the top of the archive, and was unpacked before it.
            let target =
                entry.link_name().with_context(failed)?.and_then(|target| below_top(&target)).with_context(failed)?;
            fs::hard_link(beside.join(target), &place).with_context(failed)?;
        } else {
            entry.unpack(&place).with_context(failed)?;
        }
    }
    let place = hook.path(&distribution.path(""));
    files::remove(&place)?;
    fs::rename(&beside, &place).with_context(failed)
}

/// Removes all other distributions, and what a killed hook left of one.
pub fn remove_others(hook: &Hook, keep: &Distribution) -> Result<()> {
    let folder = hook.path(DISTRIBUTIONS);
    for name in files::list(&folder)? {
        let place = folder.join(&name);
        if name != keep.name && place.is_dir() {
            files::remove(&place)?;
            tracing::debug!("removed {}", place.display());
        }
    }
    Ok(())
}

/// Where the installed distribution came from, if one is installed.
fn origin(hook: &Hook) -> Result<Option<Origin>> {
    let Some(origin) = files::noted::<Origin>(&hook.path(ORIGIN_FILE))? else { return Ok(None) };
    Ok(if is_unpacked(hook, &origin.distribution)? { Some(origin) } else { None })
}

/// Is there nothing left to do for it? One of which something is gone that Falco cannot do without is unpacked again.
pub fn is_unpacked(hook: &Hook, distribution: &Distribution) -> Result<bool> {
    let Distribution { name: _, container_plugin, audit: Carried { plugin, json, rules } } = distribution;
    let brought = [
        (true, PROGRAM),
        (true, DEFAULT_RULES),
        (*container_plugin, CONTAINER_PLUGIN),
        (*plugin, K8S_AUDIT_PLUGIN),
        (*json, JSON_PLUGIN),
        (*rules, K8S_AUDIT_RULES),
    ];
    for (_, below) in brought.into_iter().filter(|(is_brought, _)| *is_brought) {
        if !files::exists(&hook.path(&distribution.path(below)))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The tarball that was packed with the charm, if one was.
fn bundled(hook: &Hook) -> Result<Option<Tarball>> {
    tarball(&hook.charm_dir.join(BUNDLED), false)
}

/// A file to install from. An empty one stands for none: that is how a resource is published for those who need none.
fn tarball(path: &Path, attached: bool) -> Result<Option<Tarball>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.len() > 0 => {
            let modified = metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec();
            Ok(Some(Tarball { path: path.to_owned(), attached, size: metadata.len(), modified }))
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to look at {}", path.display()))
        }
        _ => Ok(None),
    }
}
