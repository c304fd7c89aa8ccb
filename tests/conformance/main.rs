//! What the charms rely on in Falco and Falcosidekick, played from recordings of the real programs.
//!
//! Every file of `tests/recordings/falco` and `tests/recordings/falcosidekick` is one case: what was put in is put in
//! again, and what came out has to come out again. The subject is the stand-in, or the real program: `FALCO_TARBALL`
//! names an official tarball, `FALCOSIDEKICK` a binary. The same assertions hold for both. Times are never compared,
//! only what happens and in which order.
//!
//! `not-played.yaml` lists the recordings that are not played and what of the others is not compared, each with a
//! reason. `CONFORMANCE_CASE` plays one case and prints what its subject wrote.

mod check;
mod client;
mod falco;
mod falcosidekick;
mod list;
mod mask;
mod program;
mod recording;
mod suite;
mod written;

#[test]
fn falco_does_what_was_recorded() {
    let subject = falco::Subject::find();
    let player: suite::Player<'_> = Box::new(|case| falco::play(&subject, case));
    suite::play("falco", subject.is_real(), &player);
}

#[test]
fn falcosidekick_does_what_was_recorded() {
    let program = charm_tests::programs::falcosidekick();
    let player: suite::Player<'_> = Box::new(|case| falcosidekick::play(&program, case));
    suite::play("falcosidekick", charm_tests::programs::given("FALCOSIDEKICK").is_some(), &player);
}

#[test]
fn the_list_names_only_recordings_that_exist() {
    for program in ["falco", "falcosidekick"] {
        let reasons = list::NotPlayed::read().of(program, false);
        let known = recording::names(program);
        let stale: Vec<_> = reasons.keys().filter(|name| !known.contains(*name)).collect();
        assert!(stale.is_empty(), "not-played.yaml lists recordings of {program} that do not exist: {stale:?}");
        let silent: Vec<_> = reasons.iter().filter(|(_, reason)| reason.trim().is_empty()).collect();
        assert!(silent.is_empty(), "not-played.yaml gives no reason for {silent:?}");
    }
}
