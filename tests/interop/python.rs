//! The interpreters that have the pinned libraries, and charms written for them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use charm_tests::juju::{Context, Metadata};
use charm_tests::programs;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A generation of ops. Both are maintained, and deployed charms use both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ops {
    /// 2.23, the long-term release.
    Two,
    /// 3, with the libraries of the interfaces.
    Three,
}

impl Ops {
    pub const ALL: [Self; 2] = [Self::Two, Self::Three];

    /// The interpreter of its virtual environment. Its path is no file of ours to follow: behind the link there is the
    /// system's Python, without any library.
    pub fn python(self) -> PathBuf {
        let variable = match self {
            Self::Two => "INTEROP_PYTHON_OPS2",
            Self::Three => "INTEROP_PYTHON",
        };
        let path = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_file());
        path.unwrap_or_else(|| panic!("{variable} names no Python: run these tests by `make interop`"))
    }
}

/// A charm in Python, with the folder that it shares with its test.
#[derive(Debug)]
pub struct PythonCharm {
    ops: Ops,
    folder: TempDir,
    metadata: Metadata,
}

impl PythonCharm {
    /// A program of this folder, as a charm that declares this.
    pub fn new(ops: Ops, program: &str, metadata: Metadata) -> Self {
        let folder = tempfile::Builder::new().prefix("interop-").tempdir().unwrap();
        let (python, program) = (ops.python(), source(program));
        let dispatch = folder.path().join("dispatch");
        // Python must leave nothing of its own beside the sources, and nothing of the user's may get in.
        let script = format!(
            "#!/bin/sh\nINTEROP_FOLDER='{}' exec '{}' -B -s '{}'\n",
            folder.path().display(),
            python.display(),
            program.display()
        );
        fs::write(&dispatch, script).unwrap();
        fs::set_permissions(&dispatch, fs::Permissions::from_mode(0o755)).unwrap();
        Self { ops, folder, metadata }.given(&json!({}))
    }

    /// Hands something over beside Juju.
    #[must_use]
    pub fn given(self, what: &Value) -> Self {
        fs::write(self.folder.path().join("given.json"), what.to_string()).unwrap();
        self
    }

    pub fn dispatch(&self) -> PathBuf {
        self.folder.path().join("dispatch")
    }

    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub fn ops(&self) -> Ops {
        self.ops
    }

    /// One unit of it.
    pub fn context(&self) -> Context {
        Context::with_metadata(self.metadata.clone(), self.dispatch(), programs::hook_command()).unwrap()
    }

    /// What it has understood in its last hook. It can be asked for once, so that no hook is taken for another.
    #[track_caller]
    pub fn report(&self) -> Value {
        let path = self.folder.path().join("report.json");
        let text = fs::read(&path).unwrap_or_else(|error| panic!("the charm has reported nothing: {error}"));
        fs::remove_file(&path).unwrap();
        serde_json::from_slice(&text).unwrap()
    }
}

/// A file of this folder.
pub fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop").join(name)
}
