//! Where the programs are that the scenarios start: the compiled charms, the shim, the stand-ins, or what takes their
//! place.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// The falco charm: the program that `FALCO_DISPATCH` names, or the one built from this tree.
pub fn falco_charm() -> PathBuf {
    given("FALCO_DISPATCH").unwrap_or_else(|| built("falco-dispatch"))
}

/// The falcosidekick-k8s charm: the program that `FALCOSIDEKICK_DISPATCH` names, or the one built from this tree.
pub fn falcosidekick_charm() -> PathBuf {
    given("FALCOSIDEKICK_DISPATCH").unwrap_or_else(|| built("falcosidekick-dispatch"))
}

/// Falcosidekick: the program that `FALCOSIDEKICK` names, or the stand-in.
pub fn falcosidekick() -> PathBuf {
    given("FALCOSIDEKICK").unwrap_or_else(|| built("falcosidekick-stand-in"))
}

/// Puts Falcosidekick at this path, in a folder that need not be there yet. It is the same file where that is possible,
/// as it is large and every container wants one: replace it, or remove it, but never write to it.
pub fn install_falcosidekick(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let program = falcosidekick();
    match fs::hard_link(&program, path) {
        // A copy would go through the link that is there into the program itself.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => fs::copy(&program, path).map(drop),
        other => other,
    }
}

/// The shim behind every hook command.
pub fn hook_command() -> PathBuf {
    built("hook-command")
}

/// The `charmcraft.yaml` of a charm.
pub fn charmcraft(charm: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charms").join(charm).join("charmcraft.yaml")
}

/// A program of this package. Cargo puts them all into one folder; tests run one or two folders below it.
pub fn built(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a running program has a path");
    let found = own.ancestors().skip(1).take(3).map(|folder| folder.join(name)).find(|path| path.is_file());
    found
        .unwrap_or_else(|| panic!("{name} is not built: run the tests by `cargo test -p charm-tests`, which builds it"))
}

/// The absolute path in an environment variable. One that names nothing is a mistake worth hearing of.
pub fn given(variable: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os(variable).filter(|value| !value.is_empty())?);
    Some(path.canonicalize().unwrap_or_else(|error| panic!("{variable}={}: {error}", path.display())))
}
