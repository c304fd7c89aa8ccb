//! A charm that is started through the launcher.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;
use charm_tests::juju::Context;
use tempfile::TempDir;

use crate::launch::{self, Cost, Mode};

/// Where one launcher leaves its reports.
#[derive(Debug)]
pub struct Launcher {
    folder: TempDir,
    line: [OsString; 4],
}

impl Launcher {
    /// One that measures this.
    pub fn new(mode: Mode) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let line = launch::line(&report(folder.path()), mode)?;
        Ok(Self { folder, line })
    }

    /// A folder for what is needed beside.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Has the charm started through this launcher.
    pub fn prepare(&self, context: Context) -> Context {
        context.launcher(self.line.clone())
    }

    /// What the last run took.
    pub fn cost(&self) -> Result<Cost> {
        launch::read(&report(self.folder()))
    }
}

fn report(folder: &Path) -> PathBuf {
    folder.join("report")
}
