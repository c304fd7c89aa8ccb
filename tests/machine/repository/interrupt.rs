//! Killed at every point, the next hook makes it good.

use charm_tests::crash::{World, interrupt_everywhere};
use charm_tests::git_server::GitServer;
use charm_tests::juju::{Context, Event};

use super::unit::{KEY, Unit, names};

/// A unit whose hooks are killed. The context is made once for each hook, so it may not own the unit's folders.
struct Killed(Unit);

impl World for Killed {
    fn context(&self) -> Context {
        Unit::new().context.at_root(self.0.context.root())
    }

    fn end(&self) -> String {
        let folder = self.0.folder();
        let commits = names(&folder).into_iter().map(|name| {
            let inner = names(&folder.join(&name)).join(" ");
            format!("{name}: {inner}\n")
        });
        let parents = names(folder.parent().unwrap());
        let brought = std::fs::read_to_string(self.0.context.root().join("brought.json")).unwrap_or_default();
        format!("{parents:?}\n{}{brought}", commits.collect::<String>())
    }
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn the_first_fetch_is_made_good_wherever_it_was_killed() {
    let server = GitServer::start();
    let repository = server.repository("settings");
    repository.commit_files(&[("rules.d/a.yaml", "one")]);
    let points = interrupt_everywhere(&Event::config_changed(), || {
        let unit = Unit::of(&server, &repository, "@main");
        let state = unit.state.clone();
        (Killed(unit), state)
    });
    assert!(points > 10, "{points}");
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn a_new_commit_with_a_new_key_is_made_good_wherever_it_was_killed() {
    let points = interrupt_after_the_first(|unit, another| unit.rotate(KEY, another));
    assert!(points > 10, "{points}");
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn the_end_is_made_good_wherever_it_was_killed() {
    let points = interrupt_after_the_first(|unit, _| drop(unit.state.config.remove("custom-config-repository")));
    assert!(points > 3, "{points}");
}

/// Makes a change at a unit that has the first commit while the server has a second one already, and kills the hook that
/// follows. The change gets a key that is let in as well.
#[track_caller]
fn interrupt_after_the_first(change: impl Fn(&mut Unit, &str)) -> usize {
    let server = GitServer::start();
    let another = server.another_key();
    server.let_in(&[&server.key(), &another]);
    let repository = server.repository("settings");
    let first = repository.commit_files(&[("rules.d/a.yaml", "one")]);
    let second = repository.commit_files(&[("rules.d/a.yaml", "two")]);
    interrupt_everywhere(&Event::config_changed(), || {
        repository.git(&["reset", "--quiet", "--hard", &first]);
        let mut unit = Unit::of(&server, &repository, "@main");
        assert!(unit.changed().starts_with("active"));
        repository.git(&["reset", "--quiet", "--hard", &second]);
        change(&mut unit, &another);
        let state = unit.state.clone();
        (Killed(unit), state)
    })
}
