//! A Falco that crashes, hangs, says too much or is not there. Each is a shell script.

use super::*;

/// The double that breaks as told when it is to check something, and knows its version.
fn breaking(how: &str) -> Player {
    let version = r#"{"falco_version":"0.44.1","engine_version_semver":"0.62.0"}"#;
    let script = format!("#!/bin/sh\ncase \" $* \" in *\" --version \"*) echo '{version}'; exit ;; esac\n{how}\n");
    Player::with_script(&script)
}

fn judged(player: &Player, bounds: Bounds) -> Result<Verdict> {
    let (program, config) = (player.path("falco"), player.path("falco.yaml"));
    let candidate =
        Candidate { program: &program, config: &config, rules: &player.rules(&["rules.yaml"]), selectors: &[] };
    judge(&candidate, bounds)
}

fn status(error: &anyhow::Error) -> String {
    error.downcast_ref::<Status>().expect("a status").to_string()
}

#[test]
fn what_makes_falco_crash_is_rejected() {
    for (how, end) in [
        ("echo 'fatal error: x' >&2; kill -SEGV $$", "it crashes with signal 11: fatal error: x"),
        ("echo 'panic: x' >&2; exit 2", "it ends with exit code 2: panic: x"),
        ("kill -ABRT $$", "it crashes with signal 6: it gives no reason"),
    ] {
        let verdict = breaking(how).check(&[], &[]).unwrap();
        assert_eq!(shown(&verdict), format!("rejected: Falco does not get along with its configuration, {end}"));
    }
    let verdict =
        breaking("echo '<time>: Runtime error: std::bad_alloc. Exiting.' >&2; exit 1").check(&[], &[]).unwrap();
    let expected = "rejected: Falco does not get along with its configuration, it needs too much memory";
    assert_eq!(shown(&verdict), expected);
}

#[test]
fn a_falco_that_always_crashes_says_nothing_about_the_candidate() {
    let error = Player::with_script("#!/bin/sh\nkill -SEGV $$\n").check(&[], &[]).unwrap_err();
    assert_eq!(status(&error), "blocked: Falco cannot check its configuration: it crashes with signal 11");
}

#[test]
fn a_falco_that_somebody_killed_says_nothing_about_the_candidate() {
    let error = breaking("kill -KILL $$").check(&[], &[]).unwrap_err();
    assert_eq!(status(&error), "blocked: Falco cannot check its configuration: it was killed");
}

#[test]
fn a_falco_that_is_not_there_or_no_program_blocks() {
    let player = Player::new();
    files::remove(&player.path("falco")).unwrap();
    let error = player.check(&[], &[]).unwrap_err();
    let text = status(&error);
    assert!(text.starts_with("blocked: Falco cannot check its configuration: it cannot be started: "), "{text}");
    files::replace(&player.path("falco"), b"\x7fELF", 0o755).unwrap();
    let text = status(&version(&player.path("falco")).unwrap_err());
    assert!(text.starts_with("blocked: Falco cannot tell its version: it cannot be started: "), "{text}");
}

#[test]
fn a_falco_that_hangs_is_ended_also_when_it_does_not_want_to() {
    let bounds = Bounds { time: Duration::from_secs(1), ..Bounds::default() };
    for how in ["exec sleep 600", "trap '' TERM; while true; do sleep 1; done"] {
        let error = judged(&breaking(how), bounds).unwrap_err();
        assert_eq!(error.to_string(), "it does not answer within 1 s", "{how}");
    }
}

#[test]
fn more_than_falco_may_write_is_not_kept() {
    let bounds = Bounds { bytes: 10_000, ..Bounds::default() };
    for how in ["exec yes", "exec yes >&2"] {
        let verdict = judged(&breaking(how), bounds).unwrap();
        let start = "rejected: Falco does not get along with its configuration, it writes more than 10000 bytes: ";
        assert!(shown(&verdict).starts_with(start), "{verdict:?}");
    }
}

#[test]
fn the_memory_of_falco_is_bounded() {
    let bounds = Bounds { memory: 64 << 20, ..Bounds::default() };
    let answer = run::ask(&breaking("ulimit -d").path("falco"), &[], bounds).unwrap();
    assert_eq!(answer.stdout, b"65536\n");
}

#[test]
fn a_verdict_that_is_no_verdict_is_an_error() {
    let error = breaking("echo rules.yaml: Ok").check(&Player::new().rules(&["rules.yaml"]), &[]).unwrap_err();
    let expected = "blocked: Falco cannot check its configuration: its verdict on the rules is not readable";
    assert_eq!(status(&error), expected);
}
