//! Over SSH: what goes wrong blocks or waits, names its option, and leaves what was there.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use charm_tests::git_server::{GitServer, SilentServer};
use charm_tests::juju::Event;

use super::unit::{CHANGED, KEY, RULES, Unit, assert_blocked, assert_waiting};

#[test]
#[ignore = "needs sshd: make test-machine"]
fn a_ref_that_is_gone_leaves_what_was_there_and_blocks() {
    let server = GitServer::start();
    let repository = server.repository("settings");
    let commit = repository.commit_files(RULES);
    repository.git(&["branch", "stable"]);
    let mut unit = Unit::of(&server, &repository, "@stable");
    unit.changed();
    repository.git(&["branch", "--delete", "--force", "stable"]);
    for event in [Event::update_status(), Event::start()] {
        assert_blocked(&unit.run(&event), "custom-config-repository", "no branch or tag stable");
        assert_eq!(unit.file("rules.d/a.yaml"), "one");
    }
    repository.git(&["branch", "stable"]);
    assert_eq!(unit.update(), format!("active: {commit}"));

    unit.set("custom-config-repository", format!("{}@{}", server.url(&repository), &commit[..10]));
    assert_blocked(&unit.changed(), "custom-config-repository", "all of its 40 digits");
    let empty = server.repository("empty");
    assert_blocked(&Unit::of(&server, &empty, "").changed(), "custom-config-repository", "is empty");
    unit.set("custom-config-repository", server.url(&empty).replace("empty", "nothing"));
    assert_blocked(&unit.changed(), "custom-config-repository", "no such repository");
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn a_host_with_another_key_is_not_talked_to() {
    let mut server = GitServer::start();
    let repository = server.repository("settings");
    repository.commit_files(RULES);
    let mut unit = Unit::of(&server, &repository, "@main");
    unit.changed();
    repository.commit_files(CHANGED);
    server.change_host_key();
    let asked = server.requests().len();
    assert_blocked(&unit.update(), "custom-config-repo-known-hosts", "another key than the one that is known");
    assert_eq!(server.requests().len(), asked);
    assert_eq!(unit.file("rules.d/a.yaml"), "one");
    unit.set("custom-config-repo-known-hosts", server.known_hosts());
    unit.changed();
    assert_eq!(unit.file("rules.d/a.yaml"), "two");
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn a_host_that_nobody_knows_is_not_even_called() {
    let silent = SilentServer::start();
    let server = GitServer::start();
    let mut unit = Unit::of(&server, &server.repository("settings"), "");
    unit.set("custom-config-repository", format!("git+ssh://git@127.0.0.1:{}/settings.git", silent.port()));
    for known_hosts in ["", &server.known_hosts()] {
        unit.set("custom-config-repo-known-hosts", known_hosts);
        let status = unit.changed();
        let words = format!("`ssh-keyscan -p {} 127.0.0.1`", silent.port());
        assert_blocked(&status, "custom-config-repo-known-hosts", &words);
        assert_eq!(silent.connections(), 0);
    }
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn a_key_without_access_blocks_and_a_rotated_one_is_used_at_once() {
    let server = GitServer::start();
    let repository = server.repository("settings");
    repository.commit_files(RULES);
    let mut unit = Unit::of(&server, &repository, "@main");
    unit.changed();
    let new = server.another_key();
    server.let_in(&[&new]);
    repository.commit_files(CHANGED);
    assert_blocked(&unit.update(), "custom-config-repo-ssh-key", "does not accept the key");
    assert_eq!(unit.file("rules.d/a.yaml"), "one");
    // As the web form of a controller may hand it on.
    unit.rotate(KEY, new.trim_end().replace('\n', "\r\n"));
    let status = unit.run(&Event::secret_changed(KEY));
    assert!(status.starts_with("active"), "{status}");
    assert_eq!(unit.file("rules.d/a.yaml"), "two");
    assert_eq!(fs::read_to_string(unit.folder().join("key")).unwrap(), new);
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn a_secret_that_is_no_key_blocks_without_a_call() {
    let server = GitServer::start();
    let repository = server.repository("settings");
    repository.commit_files(RULES);
    let mut unit = Unit::of(&server, &repository, "@main");
    unit.changed();
    let asked = server.requests().len();
    for (value, words) in [
        ("no key at all", "no private key"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl x", "a public key"),
        (&server.locked_key(), "passphrase"),
    ] {
        unit.rotate(KEY, value);
        assert_blocked(&unit.update(), "custom-config-repo-ssh-key", words);
        assert!(!unit.names().contains(&"key".to_owned()));
    }
    unit.rotate(KEY, server.key());
    assert!(unit.update().starts_with("active"));
    assert_eq!(server.requests().len(), asked + 1);

    let granted = unit.state.secrets[0].clone();
    unit.state.secrets[0] = granted.clone().revoked();
    assert_blocked(&unit.update(), "custom-config-repo-ssh-key", "juju grant-secret");
    unit.state.secrets[0] = granted.revision([("other", "x")]);
    assert_blocked(&unit.update(), "custom-config-repo-ssh-key", "no key `value`");
    unit.state.secrets.clear();
    assert_blocked(&unit.update(), "custom-config-repo-ssh-key", "there is no secret");
    unit.state.config.remove("custom-config-repo-ssh-key");
    assert_blocked(&unit.changed(), "custom-config-repo-ssh-key", "juju add-secret");
    assert_eq!(unit.file("rules.d/a.yaml"), "one");
    assert!(!unit.names().contains(&"key".to_owned()));
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn a_server_that_is_away_is_waited_for_with_the_content_of_before() {
    let mut server = GitServer::start();
    let repository = server.repository("settings");
    repository.commit_files(RULES);
    let mut unit = Unit::of(&server, &repository, "@main");
    unit.changed();
    let mut fresh = Unit::of(&server, &repository, "@main");
    repository.commit_files(CHANGED);
    server.stop();
    for event in [Event::update_status(), Event::start()] {
        assert_waiting(&unit.run(&event), "cannot reach 127.0.0.1");
        assert_eq!(unit.file("rules.d/a.yaml"), "one");
    }
    assert_waiting(&fresh.changed(), "cannot reach");
    assert_eq!(fresh.brought(), None);
    server.resume();
    for unit in [&mut unit, &mut fresh] {
        assert!(unit.run(&Event::update_status()).starts_with("active"));
        assert_eq!(unit.file("rules.d/a.yaml"), "two");
    }
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn a_server_that_accepts_and_hangs_is_waited_for_and_not_for_long() {
    let server = GitServer::start();
    let silent = SilentServer::start();
    let mut unit = Unit::of(&server, &server.repository("settings"), "");
    let (own, other) = (server.known_hosts(), format!("[127.0.0.1]:{}", silent.port()));
    let key = own.split_once(' ').unwrap().1;
    unit.set("custom-config-repo-known-hosts", format!("{other} {key}"));
    unit.set("custom-config-repository", format!("git+ssh://git@127.0.0.1:{}/settings.git", silent.port()));
    let started = Instant::now();
    assert_waiting(&unit.changed(), "127.0.0.1");
    assert!(silent.connections() > 0);
    assert!(started.elapsed() < Duration::from_secs(25), "{:?}", started.elapsed());
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn links_submodules_and_devices_block_by_name_and_what_was_there_stays() {
    let server = GitServer::start();
    let repository = server.repository("settings");
    repository.commit_files(RULES);
    let mut unit = Unit::of(&server, &repository, "@main");
    unit.changed();
    symlink("/etc/shadow", repository.work().join("rules.d/link.yaml")).unwrap();
    let commit = repository.commit();
    assert_blocked(&unit.update(), "custom-config-repository", "rules.d/link.yaml is a symbolic link");
    let asked = server.requests().len();
    assert_blocked(&unit.update(), "custom-config-repository", "rules.d/link.yaml is a symbolic link");
    assert_eq!(server.requests().len(), asked + 1, "what was refused is not fetched again");
    assert_eq!(unit.file("rules.d/a.yaml"), "one");
    assert_eq!(unit.names().len(), 4, "{:?}", unit.names());

    fs::remove_file(repository.work().join("rules.d/link.yaml")).unwrap();
    let cache = format!("160000,{commit},rules.d/vendor");
    repository.git(&["add", "--all"]);
    repository.git(&["update-index", "--add", "--cacheinfo", &cache]);
    repository.git(&["commit", "--quiet", "--message", "submodule"]);
    assert_blocked(&unit.update(), "custom-config-repository", "rules.d/vendor is a submodule");

    // git makes no such trees, and passes them on.
    let mut tree = b"020666 zero.yaml\0".to_vec();
    tree.extend([0x11; 20]);
    let folder = repository.git_with_input(&["hash-object", "-t", "tree", "-w", "--literally", "--stdin"], &tree);
    let root = repository.git_with_input(&["mktree"], format!("040000 tree {}\trules.d\n", folder.trim()).as_bytes());
    let device = repository.git(&["commit-tree", "-m", "device", root.trim()]);
    repository.git(&["update-ref", "refs/heads/device", device.trim()]);
    let status = Unit::of(&server, &repository, "@device").changed();
    assert_blocked(&status, "custom-config-repository", "rules.d/zero.yaml is a submodule or a device");

    for (line, words) in [
        (format!("160000 commit {commit}\trules.d\n"), "rules.d is a submodule"),
        (
            format!("120000 blob {}\trules.d\n", repository.git(&["rev-parse", "HEAD:rules.d/a.yaml"]).trim()),
            "rules.d is no folder",
        ),
    ] {
        let root = repository.git_with_input(&["mktree"], line.as_bytes());
        let commit = repository.git(&["commit-tree", "-m", "odd", root.trim()]);
        repository.git(&["update-ref", "refs/heads/odd", commit.trim()]);
        assert_blocked(&Unit::of(&server, &repository, "@odd").changed(), "custom-config-repository", words);
    }
    repository.commit_files(CHANGED);
    assert!(unit.update().starts_with("active"));
    assert_eq!(unit.file("rules.d/a.yaml"), "two");
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn a_repository_of_200_megabytes_blocks_and_leaves_nothing_behind() {
    let server = GitServer::start();
    let repository = server.repository("settings");
    repository.commit_files(RULES);
    let mut unit = Unit::of(&server, &repository, "@main");
    unit.changed();
    let before = unit.names();
    // What does not compress.
    let mut random = fs::File::open("/dev/urandom").unwrap();
    let mut file = fs::File::create(repository.work().join("picture")).unwrap();
    std::io::copy(&mut std::io::Read::take(&mut random, 200_000_000), &mut file).unwrap();
    repository.commit();
    assert_blocked(&unit.update(), "custom-config-repository", "more than 64 MiB");
    let asked = server.requests().len();
    assert_blocked(&unit.update(), "custom-config-repository", "more than 64 MiB");
    assert_eq!(server.requests().len(), asked + 1, "it is not downloaded in each hook");
    assert_eq!((unit.names(), unit.file("rules.d/a.yaml")), (before, "one".to_owned()));
}
