//! A process is killed before the chosen effect, and no effect is overlooked.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use charm_tests::interrupt::{self, End, Kind, Program, Traced};
use nix::sys::signal::Signal;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

/// Where [`the_program_that_is_interrupted`] works.
const FOLDER: &str = "FOLDER";

fn script(text: &str) -> (TempDir, Vec<OsString>) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("dispatch");
    fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    (folder, vec![path.into()])
}

fn environment() -> BTreeMap<String, String> {
    BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())])
}

fn run(folder: &TempDir, line: &[OsString], kill_before: Option<usize>) -> Traced {
    let program = Program { line, cwd: folder.path(), env: &environment() };
    interrupt::run(&program, kill_before, LIMIT, |_| ()).unwrap()
}

fn words(traced: &Traced, folder: &TempDir) -> Vec<String> {
    let folder = format!("{}/", folder.path().display());
    traced.effects.iter().map(|effect| effect.to_string().replace(&folder, "")).collect()
}

#[test]
fn every_effect_of_a_script_is_counted_in_order() {
    let (folder, line) = script("mkdir made\n: > made/file\nmv made/file made/other\nexit 3\n");
    let traced = run(&folder, &line, None);
    assert_eq!(traced.end, End::Code(3));
    let expected = ["start mkdir made", "create made/file", "start mv made/file made/other"];
    assert_eq!(words(&traced, &folder), expected);
    assert!(folder.path().join("made/other").exists());
    assert_eq!(traced.killed_before, None);
}

#[test]
fn the_kill_comes_before_the_effect_and_after_all_earlier_ones() {
    for n in 1..=3 {
        let (folder, line) = script("touch one\ntouch two\ntouch three\n");
        let traced = run(&folder, &line, Some(n));
        assert_eq!(traced.end, End::Signal(Signal::SIGKILL));
        assert_eq!(traced.effects.len(), n - 1);
        assert_eq!(traced.killed_before.unwrap().kind, Kind::Process);
        let there = ["one", "two", "three"].map(|name| folder.path().join(name).exists());
        assert_eq!(there, [n > 1, n > 2, false], "killed before number {n}");
    }
}

#[test]
fn a_program_with_fewer_effects_runs_to_its_end() {
    let (folder, line) = script("touch one\n");
    let traced = run(&folder, &line, Some(2));
    assert_eq!((traced.end, traced.killed_before), (End::Code(0), None));
}

#[test]
fn children_are_left_alone_and_survive_the_kill() {
    // The child waits until its parent is dead, and only then does its work.
    let (folder, line) = script(
        "me=$$\n(while kill -0 $me 2>/dev/null; do sleep 0.01; done; touch late) >/dev/null 2>&1 &\ntouch never\n",
    );
    let traced = run(&folder, &line, Some(2));
    assert_eq!(traced.end, End::Signal(Signal::SIGKILL));
    while !folder.path().join("late").exists() {
        thread::sleep(Duration::from_millis(5));
    }
    assert!(!folder.path().join("never").exists());
}

#[test]
fn output_environment_and_folder_are_those_that_were_asked_for() {
    let (folder, line) = script("/usr/bin/env; /bin/pwd; echo oops >&2\n");
    let traced = run(&folder, &line, None);
    let out = String::from_utf8(traced.stdout).unwrap();
    let folder = folder.path().canonicalize().unwrap();
    // The script is a shell, and that one sets PWD.
    let lines: Vec<&str> = out.lines().filter(|line| !line.starts_with("PWD=")).collect();
    assert_eq!(lines, ["PATH=/usr/bin:/bin", folder.to_str().unwrap()]);
    assert_eq!(traced.stderr, b"oops\n");
    let env = vec![OsString::from("/usr/bin/env")];
    let program = Program { line: &env, cwd: Path::new("/"), env: &environment() };
    let traced = interrupt::count(&program, LIMIT).unwrap();
    assert_eq!(traced.stdout, b"PATH=/usr/bin:/bin\n", "nothing of the launcher is left");
    assert!(traced.peak_memory > 100_000);
}

#[test]
fn a_program_that_is_not_there_is_an_error() {
    let line = vec![OsString::from("/nosuch/dispatch")];
    let program = Program { line: &line, cwd: Path::new("/"), env: &environment() };
    assert!(interrupt::count(&program, LIMIT).is_err());
}

#[test]
fn a_program_that_hangs_is_killed_with_its_group() {
    let (folder, line) = script("sleep 1000\n");
    let program = Program { line: &line, cwd: folder.path(), env: &environment() };
    let traced = interrupt::count(&program, Duration::from_millis(500)).unwrap();
    assert!(traced.timed_out);
    assert_eq!(traced.end, End::Signal(Signal::SIGKILL));
}

/// The effects of [`the_program_that_is_interrupted`], as far as they are its own and not those of the test runner.
const EFFECTS: [&str; 14] = [
    "make folder made",
    "create made/new",
    "change mode or owner of made/new",
    "rename made/new to made/file",
    "link made/link",
    "link made/file to made/hard",
    "send POST /v1/layers HTTP/1.1",
    "start true --a b",
    "start cat",
    "signal",
    "remove made/link",
    "remove made/hard",
    "remove made/file",
    "remove made",
];

fn itself(folder: &Path) -> (Vec<OsString>, BTreeMap<String, String>) {
    let line = [
        std::env::current_exe().unwrap().into_os_string(),
        "--ignored".into(),
        "--exact".into(),
        "interrupt::the_program_that_is_interrupted".into(),
    ];
    let mut env = environment();
    env.insert(FOLDER.into(), folder.to_str().unwrap().into());
    env.insert("TMPDIR".into(), folder.to_str().unwrap().into());
    (line.into(), env)
}

fn own(effects: &[interrupt::Effect], folder: &TempDir) -> Vec<String> {
    let prefix = format!("{}/", folder.path().display());
    let own = |effect: &&interrupt::Effect| {
        effect.detail.contains(&prefix) || !effect.detail.contains('/') || effect.kind == Kind::Send
    };
    effects.iter().filter(own).map(|effect| effect.to_string().replace(&prefix, "")).collect()
}

#[test]
fn every_kind_of_effect_in_a_thread_is_counted_and_can_be_prevented() {
    let prepare = || {
        let folder = TempDir::new().unwrap();
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        (folder, listener)
    };
    let run = |folder: &TempDir, n| {
        let (line, env) = itself(folder.path());
        let program = Program { line: &line, cwd: folder.path(), env: &env };
        interrupt::run(&program, n, LIMIT, |_| ()).unwrap()
    };
    let (folder, listener) = prepare();
    let whole = run(&folder, None);
    drop(listener);
    assert_eq!(whole.end, End::Code(0), "{}", String::from_utf8_lossy(&whole.stdout));
    let mut seen = own(&whole.effects, &folder);
    for effect in &mut seen {
        if effect.starts_with("signal process ") {
            "signal".clone_into(effect);
        }
    }
    assert_eq!(seen, EFFECTS);
    for n in 1..=whole.effects.len() {
        let (folder, _listener) = prepare();
        let killed = run(&folder, Some(n));
        assert_eq!(killed.end, End::Signal(Signal::SIGKILL));
        let before = killed.killed_before.unwrap();
        assert_eq!(before.kind, whole.effects[n - 1].kind);
        let there = |name: &str| folder.path().join(name).symlink_metadata().is_ok();
        let done = own(&killed.effects, &folder);
        let happened = |effect: &str| done.iter().any(|known| known == effect);
        assert_eq!(there("made"), happened(EFFECTS[0]) && !happened(EFFECTS[13]), "killed before {before}");
        assert_eq!(there("made/file"), happened(EFFECTS[3]) && !happened(EFFECTS[12]), "killed before {before}");
        assert_eq!(there("made/hard"), happened(EFFECTS[5]) && !happened(EFFECTS[11]), "killed before {before}");
        assert_eq!(there("made/link"), happened(EFFECTS[4]) && !happened(EFFECTS[10]), "killed before {before}");
    }
}

/// Plays a charm. On its own, it works in a folder of its own.
#[test]
#[ignore = "started by another test"]
fn the_program_that_is_interrupted() {
    let given = std::env::var(FOLDER).ok().map(PathBuf::from);
    let own = given.is_none().then(|| TempDir::new().unwrap());
    let folder = given.unwrap_or_else(|| own.iter().map(|own| own.path().to_owned()).collect());
    let _listener = own.as_ref().map(|own| UnixListener::bind(own.path().join("socket")).unwrap());
    let made = folder.join("made");
    fs::create_dir(&made).unwrap();
    fs::write(made.join("new"), "content").unwrap();
    fs::set_permissions(made.join("new"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(made.join("new"), made.join("file")).unwrap();
    std::os::unix::fs::symlink("file", made.join("link")).unwrap();
    fs::hard_link(made.join("file"), made.join("hard")).unwrap();
    let mut socket = UnixStream::connect(folder.join("socket")).unwrap();
    socket.write_all(b"POST /v1/layers HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(Command::new("true").args(["--a", "b"]).status().unwrap().success());
    let mut child = Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    child.wait().unwrap();
    fs::remove_file(made.join("link")).unwrap();
    fs::remove_file(made.join("hard")).unwrap();
    fs::remove_file(made.join("file")).unwrap();
    fs::remove_dir(&made).unwrap();
    assert!(!made.exists());
}
