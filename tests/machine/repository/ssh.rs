//! Over SSH: what is brought, and when the server is asked.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use charm_tests::git_server::{GitServer, Protocol, Repository};
use charm_tests::juju::{Answer, Event, Invocation};

use super::unit::{CHANGED, RULES, Unit, assert_blocked, assert_waiting, names};

#[test]
#[ignore = "needs sshd: make test-machine"]
fn what_a_branch_has_in_the_two_folders_is_brought_and_nothing_lies_elsewhere() {
    let home = Path::new("/root/.ssh");
    let before = fs::metadata(home).map(|metadata| metadata.mtime_nsec()).ok();
    let server = GitServer::start();
    let repository = server.repository("settings");
    let commit = repository.commit_files(&[
        ("rules.d/b.yaml", "- b"),
        ("rules.d/a.yml", "- a"),
        ("rules.d/README.md", "no rules"),
        ("rules.d/deeper/c.yaml", "- c"),
        ("config.override.d/x.yaml", "priority: error"),
        ("elsewhere.yaml", "no rules"),
    ]);
    for reference in ["", "@main", "@HEAD", "@refs/heads/main", &format!("@{commit}")] {
        let mut unit = Unit::of(&server, &repository, reference);
        assert_eq!(unit.changed(), format!("active: {commit}"));
        let brought: Vec<_> = unit.brought().unwrap().into_iter().collect();
        let expected =
            [("config.override.d/x.yaml", "priority: error"), ("rules.d/a.yml", "- a"), ("rules.d/b.yaml", "- b")];
        assert_eq!(brought, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
        assert_eq!(unit.names(), [&format!("{commit}.git"), "key", "known_hosts", "memory.json"]);
        let mode = |place: &Path| fs::metadata(place).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&unit.folder()), mode(&unit.folder().join("key"))), (0o700, 0o600));
        assert_eq!(names(&unit.context.root().join("var/lib/juju-falco")), ["repository"]);
    }
    assert_eq!(
        fs::metadata(home).map(|metadata| metadata.mtime_nsec()).ok(),
        before,
        "{} is ours to leave",
        home.display()
    );
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn both_folders_may_be_missing() {
    let server = GitServer::start();
    let repository = server.repository("settings");
    let commit = repository.commit_files(&[("README.md", "later")]);
    let mut unit = Unit::of(&server, &repository, "");
    assert_eq!(unit.changed(), format!("active: {commit}"));
    assert_eq!(unit.brought().unwrap().len(), 0);
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn a_repository_that_has_not_changed_costs_one_question_and_a_look_at_what_is_stored_costs_none() {
    let server = GitServer::start();
    let repository = server.repository("settings");
    repository.commit_files(RULES);
    let mut unit = Unit::of(&server, &repository, "@main");
    unit.changed();
    assert_eq!(server.requests().len(), 2, "one for the branch, one for the commit");
    for asked in 3..6 {
        unit.update();
        assert_eq!(server.requests().len(), asked);
    }
    let stored = unit.outcome(&Event::start());
    assert_eq!(server.requests().len(), 5);
    assert_eq!(stored.calls_of("secret-get").count(), 0);
    assert_eq!(unit.file("rules.d/a.yaml"), "one");

    // Other options were never asked about.
    unit.set("custom-config-repository", format!("{}@HEAD", server.url(&repository)));
    unit.run(&Event::start());
    assert_eq!(server.requests().len(), 7);
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn a_branch_that_moves_on_and_one_whose_history_is_rewritten_are_followed() {
    let server = GitServer::start();
    let repository = server.repository("settings");
    let mut before = repository.commit_files(RULES);
    let mut unit = Unit::of(&server, &repository, "@main");
    unit.changed();
    let changes: [fn(&Repository) -> String; 2] =
        [|repository| repository.commit_files(CHANGED), |repository| repository.replace_history(RULES)];
    for (change, text) in changes.into_iter().zip(["two", "one"]) {
        let commit = change(&repository);
        assert_ne!(commit, before);
        assert_eq!(unit.update(), format!("active: {commit}"));
        assert_eq!(unit.file("rules.d/a.yaml"), text);
        assert_eq!(unit.names()[0], format!("{commit}.git"));
        assert_eq!(unit.names().len(), 4, "the commit of before is gone: {:?}", unit.names());
        before = commit;
    }
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn a_tag_that_was_moved_is_noticed_and_told_in_the_log() {
    let server = GitServer::start();
    let repository = server.repository("settings");
    let first = repository.commit_files(RULES);
    repository.tag("v1");
    repository.git(&["tag", "light"]);
    let mut units = ["@v1", "@light"].map(|reference| Unit::of(&server, &repository, reference));
    for unit in &mut units {
        assert_eq!(unit.changed(), format!("active: {first}"));
    }
    let second = repository.commit_files(CHANGED);
    for unit in &mut units {
        assert_eq!(unit.update(), format!("active: {first}"), "the branch is not what was asked for");
    }
    repository.tag("v1");
    repository.git(&["tag", "--force", "light"]);
    for unit in &mut units {
        let outcome = unit.outcome(&Event::update_status());
        assert_eq!(outcome.state.unit_status.message, second);
        assert!(outcome.report().contains("has moved from"), "{}", outcome.report());
    }
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn a_commit_is_had_wherever_it_stands_and_never_asked_about_again() {
    let server = GitServer::start();
    let repository = server.repository("settings");
    let first = repository.commit_files(RULES);
    repository.commit_files(CHANGED);
    let mut unit = Unit::of(&server, &repository, &format!("@{first}"));
    assert_eq!(unit.changed(), format!("active: {first}"));
    assert_eq!(unit.file("rules.d/a.yaml"), "one");
    assert_eq!(server.requests().len(), 1);
    unit.update();
    assert_eq!(server.requests().len(), 1);

    let nobody = "1".repeat(40);
    unit.set("custom-config-repository", format!("{}@{nobody}", server.url(&repository)));
    assert_blocked(&unit.changed(), "custom-config-repository", &format!("there is no commit {nobody}"));
    assert_eq!(unit.brought(), None, "another ref is another content");

    let tree = repository.git(&["rev-parse", "HEAD^{tree}"]);
    unit.set("custom-config-repository", format!("{}@{}", server.url(&repository), tree.trim()));
    assert_blocked(&unit.changed(), "custom-config-repository", "is no commit");
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn an_old_protocol_gives_branches_and_tags_and_is_told_for_other_commits() {
    let server = GitServer::with_protocol(Protocol::V0);
    let repository = server.repository("settings");
    let first = repository.commit_files(RULES);
    let second = repository.commit_files(CHANGED);
    repository.tag("v1");
    for reference in ["", "@main", "@v1", &format!("@{second}")] {
        assert_eq!(Unit::of(&server, &repository, reference).changed(), format!("active: {second}"));
    }
    let status = Unit::of(&server, &repository, &format!("@{first}")).changed();
    assert_blocked(&status, "custom-config-repository", "does not give away single commits");
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn a_dry_run_asks_nobody_and_writes_nothing() {
    let server = GitServer::start();
    let repository = server.repository("settings");
    repository.commit_files(RULES);
    let mut unit = Unit::of(&server, &repository, "@main");
    unit.context = Unit::of(&server, &repository, "@main").context.arguments(["plan"]);
    let outcome = unit.outcome(&Event::config_changed());
    assert!(outcome.stdout.contains("not fetched yet"), "{}", outcome.stdout);
    assert_eq!((server.requests().len(), outcome.calls_of("secret-get").count()), (0, 0));
    assert!(!unit.folder().exists());
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn everything_goes_with_the_option_and_with_the_unit() {
    let server = GitServer::start();
    let repository = server.repository("settings");
    repository.commit_files(RULES);
    for leave in [Event::config_changed(), Event::remove()] {
        let mut unit = Unit::of(&server, &repository, "@main");
        unit.changed();
        if leave == Event::config_changed() {
            unit.state.config.remove("custom-config-repository");
        }
        unit.run(&leave);
        assert!(!unit.context.root().join("var/lib/juju-falco").exists());
        unit.run(&leave);
    }
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn git_is_installed_where_there_is_none_and_waited_for_offline() {
    let server = GitServer::start();
    let repository = server.repository("settings");
    repository.commit_files(RULES);
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    for name in ["timeout", "prlimit", "sh", "ssh-keygen"] {
        symlink(Path::new("/usr/bin").join(name), place(name)).unwrap();
    }
    let installed = [place("git"), place("ssh")];
    let online = folder.path().join("online");
    let seen = online.clone();
    let apt = move |call: &Invocation| {
        let arguments = call.args.join(" ");
        let is_install = arguments.starts_with("install ");
        if is_install && !seen.exists() {
            let stderr = b"W: slow\nE: Unable to locate package git\nE: More\n".into();
            return Answer { code: 100, stderr, ..Answer::default() };
        }
        if is_install {
            for program in &installed {
                symlink(Path::new("/usr/bin").join(program.file_name().unwrap()), program).unwrap();
            }
        }
        Answer::text("")
    };
    let mut unit = Unit::of(&server, &repository, "@main");
    unit.context = Unit::bare_context().path(folder.path()).host_function("apt-get", apt);
    let offline = unit.outcome(&Event::config_changed());
    assert_waiting(&unit.state.unit_status.to_string(), "cannot install git (Unable to locate package git)");
    let lines: Vec<String> = offline.calls_of("apt-get").map(charm_tests::juju::Call::line).collect();
    assert_eq!(lines.len(), 3, "install, update, install: {lines:?}");
    assert!(
        lines.iter().all(|line| line.contains("DPkg::Lock::Timeout") && line.contains("Acquire::Retries")),
        "{lines:?}"
    );
    fs::write(&online, "").unwrap();
    let outcome = unit.outcome(&Event::update_status());
    assert_eq!(outcome.calls_of("apt-get").count(), 1);
    assert_eq!(unit.file("rules.d/a.yaml"), "one");
    assert_eq!(unit.outcome(&Event::update_status()).calls_of("apt-get").count(), 0);
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn what_is_damaged_on_the_disk_is_fetched_again_even_when_nobody_wanted_to_ask() {
    let server = GitServer::start();
    let repository = server.repository("settings");
    let commit = repository.commit_files(RULES);
    let mut unit = Unit::of(&server, &repository, "@main");
    unit.changed();
    for damaged in [format!("{commit}.git/objects/pack"), "memory.json".to_owned()] {
        let place = unit.folder().join(damaged);
        if place.is_dir() {
            fs::remove_dir_all(place).unwrap();
        } else {
            fs::write(place, "{").unwrap();
        }
        assert_eq!(unit.run(&Event::start()), format!("active: {commit}"));
        assert_eq!(unit.file("rules.d/a.yaml"), "one");
        assert_eq!(unit.names().len(), 4, "{:?}", unit.names());
    }
}
