//! Programs that tests start and that `tests/tools/build` builds from pinned modules.

use std::env;
use std::path::{Path, PathBuf};

/// Where the built program of this tool is, or the sentence that tells how to build it.
pub fn program(tool: &str) -> Result<PathBuf, String> {
    let pinned = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools").join(tool).join("go.mod");
    let text = std::fs::read_to_string(&pinned).map_err(|error| format!("{}: {error}", pinned.display()))?;
    let version = pinned_version(&text).ok_or_else(|| format!("{}: no version of the tool", pinned.display()))?;
    let cache = env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let cache = cache.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let cache = cache.ok_or("neither XDG_CACHE_HOME nor HOME is set, so there is no cache folder")?;
    let program = cache.join("falco-charms").join(format!("{tool}-{version}")).join(tool);
    if program.is_file() {
        Ok(program)
    } else {
        Err(format!("{} is missing; build it once with: tests/tools/build {tool}", program.display()))
    }
}

/// The version of the module that the package on the `tool` line belongs to, without its `v`.
fn pinned_version(go_mod: &str) -> Option<&str> {
    let package = go_mod.lines().find_map(|line| line.strip_prefix("tool "))?.trim();
    go_mod.lines().find_map(|line| {
        let mut words = line.trim().trim_start_matches("require ").split_whitespace();
        let module = words.next()?;
        let rest = package.strip_prefix(module)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| words.next()?.strip_prefix('v')).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_of_the_module_on_the_tool_line() {
        let go_mod = "module x\n\ngo 1.24\n\ntool example.com/a/b/cmd/b\n\nrequire (\n\texample.com/a v1.0.0 // indirect\n\t\
                      example.com/a/bc v3.0.0\n)\n";
        assert_eq!(pinned_version(go_mod), Some("1.0.0"));
        assert_eq!(pinned_version("tool example.com/b/cmd/b\nrequire example.com/b v2.1.0"), Some("2.1.0"));
        assert_eq!(pinned_version("tool example.com/b\nrequire example.com/c v2.1.0"), None);
    }

    #[test]
    fn a_missing_tool_is_an_error_that_says_how_to_build_it() {
        let error = program("no-such-tool").unwrap_err();
        assert!(error.contains("no-such-tool"), "{error}");
    }
}
