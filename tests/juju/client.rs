//! The recorded answers of Juju's client program, given by the shim: what it says before and after it reaches the
//! agent.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use charm_tests::juju::{Context, Event, Metadata, Relation, State};
use serde_json::Value;

use super::world::recordings;

const SHIM: &str = env!("CARGO_BIN_EXE_hook-command");

#[test]
fn the_shim_answers_as_the_real_client_did() {
    let text = fs::read_to_string(recordings().join("_client.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(cases.len(), 10, "the recordings have changed");
    for case in cases {
        let folder = tempfile::tempdir().unwrap();
        // A link of any name: not only those of commands.
        symlink(SHIM, folder.path().join(case["command"].as_str().unwrap())).unwrap();
        let context = context(&case, folder.path());
        let state = State::machine().leader(true).relation(Relation::new(7, "db", "mysql").remote_unit(0));
        let outcome = context.run(&Event::start(), &state);
        let code = fs::read_to_string(context.charm_dir().join("code")).unwrap();
        assert_eq!(outcome.stdout, case["stdout"].as_str().unwrap(), "{case}");
        assert_eq!(outcome.stderr, case["stderr"].as_str().unwrap(), "{case}");
        assert_eq!(code.trim(), case["exit_code"].to_string(), "{case}");
        if case["args"].as_array().unwrap().iter().any(|arg| arg == "out.txt") {
            assert_eq!(fs::read_to_string(context.charm_dir().join("out.txt")).unwrap(), "True\n", "{case}");
        }
    }
}

/// A charm that makes the call, and writes its exit code into a file.
fn context(case: &Value, folder: &Path) -> Context {
    let mut script = String::from("#!/bin/sh\n");
    for variable in ["JUJU_CONTEXT_ID", "JUJU_AGENT_SOCKET_ADDRESS"] {
        match case["env"][variable].as_str() {
            None => writeln!(script, "unset {variable}").unwrap(),
            Some("x" | "<socket>") => {}
            Some(value) => writeln!(script, "export {variable}={value}").unwrap(),
        }
    }
    let args: Vec<String> =
        case["args"].as_array().unwrap().iter().map(|arg| format!("'{}'", arg.as_str().unwrap())).collect();
    fs::write(folder.join("input"), case["stdin"].as_str().unwrap_or_default()).unwrap();
    writeln!(script, "{} {} < {}", case["command"].as_str().unwrap(), args.join(" "), folder.join("input").display())
        .unwrap();
    script.push_str("echo $? > code\n");
    let dispatch = folder.join("dispatch");
    fs::write(&dispatch, script).unwrap();
    fs::set_permissions(&dispatch, fs::Permissions::from_mode(0o755)).unwrap();
    let metadata = Metadata::parse("name: falco\nrequires: {db: {interface: mysql}}\n").unwrap();
    Context::with_metadata(metadata, dispatch, SHIM).unwrap().path(folder)
}
