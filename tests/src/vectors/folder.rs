//! A folder of vectors: every JSON file in it and below.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::format::Vector;

/// The folder of this repository.
pub fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// The folder that `VECTORS` names, if it names one.
pub fn given() -> Option<PathBuf> {
    env::var_os("VECTORS").filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// All vectors of a folder, in the order of their paths. The error names each file that cannot be used, and why.
pub fn read(folder: &Path) -> Result<Vec<Vector>, String> {
    let mut paths = Vec::new();
    collect(folder, &mut paths).map_err(|error| format!("{}: {error}", folder.display()))?;
    if paths.is_empty() {
        return Err(format!("{} has no JSON file in it", folder.display()));
    }
    paths.sort();
    let (good, bad): (Vec<_>, Vec<_>) = paths.iter().map(|path| read_one(path)).partition(Result::is_ok);
    if bad.is_empty() {
        Ok(good.into_iter().filter_map(Result::ok).collect())
    } else {
        Err(bad.into_iter().filter_map(Result::err).collect::<Vec<_>>().join("\n"))
    }
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    Ok(())
}

fn read_one(path: &Path) -> Result<Vector, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let vector = parse(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    match path.file_stem() {
        Some(stem) if stem == vector.vector.as_str() => Ok(vector),
        _ => Err(format!("{}: it calls itself {}", path.display(), vector.vector)),
    }
}

fn parse(text: &str) -> Result<Vector, String> {
    let vector: Vector = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if vector.output.is_some() == vector.hook_error.is_some() {
        return Err("there is either an output or a hook_error".into());
    }
    Ok(vector)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn any() -> Value {
        let text = fs::read_to_string(own().join("falcosidekick/http_endpoint_1.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// What the reader says of a folder with this file alone.
    fn complaint(vector: &Value) -> String {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        fs::write(folder.path().join("below/http_endpoint_1.json"), vector.to_string()).unwrap();
        read(folder.path()).unwrap_err()
    }

    #[test]
    fn a_key_that_is_not_known_is_refused_with_file_and_key_wherever_it_stands() {
        for place in [
            "",
            "/event",
            "/host",
            "/input",
            "/output",
            "/input/model",
            "/input/unit_status",
            "/input/relations/0",
            "/input/relations/0/remote_units/0/endpoint",
            "/input/containers/0",
            "/input/containers/0/plan",
            "/input/containers/0/layers/001-rock",
            "/input/containers/0/checks/health",
            "/input/containers/0/files/~1etc~1falcosidekick~1falcosidekick.yaml",
            "/input/networks/0",
            "/output/stored_state/0",
        ] {
            let mut vector = any();
            vector.pointer_mut(place).unwrap()["novelty"] = json!(1);
            let complaint = complaint(&vector);
            assert!(
                complaint.contains("below/http_endpoint_1.json: unknown field `novelty`"),
                "at {place:?}: {complaint}"
            );
        }
    }

    #[test]
    fn a_file_is_called_like_its_vector_and_tells_how_the_hook_ended() {
        let mut vector = any();
        vector["vector"] = json!("another");
        assert!(complaint(&vector).ends_with("it calls itself another"));
        let mut vector = any();
        vector["output"] = Value::Null;
        assert!(complaint(&vector).ends_with("there is either an output or a hook_error"));
    }

    #[test]
    fn a_folder_without_vectors_is_a_mistake() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).unwrap_err().ends_with("has no JSON file in it"));
        assert!(read(&folder.path().join("absent")).unwrap_err().contains("absent: "));
    }
}
