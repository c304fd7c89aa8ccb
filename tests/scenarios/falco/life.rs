//! Lives of one unit: a thousand hooks in an order that nobody has thought of, among options good and bad, relations
//! that come and go, secrets, a repository, programs that fail, hooks that are killed, and a machine that is damaged.
//!
//! After each hook [`checks`] says what must never be; at the end, once nothing fails any more, one hook has to bring
//! the unit to where a fresh one is that gets the same. All of it follows from one number, which a failing life tells
//! together with everything that happened in it: `SEED=7 LIVES=1 HOOKS=50` lives the first 50 hooks of that one again.

mod checks;
mod end;
mod fault;
mod happening;
mod repository;
mod secrets;
mod wishes;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use charm_tests::authority::{Authority, Days};
use charm_tests::falco_host::FalcoHost;
use charm_tests::juju::{Event, Outcome, State};
use charm_tests::ports::free_port;
use charm_tests::sink::Sink;
use fastrand::Rng;
use tempfile::TempDir;

use self::checks::Before;
use self::fault::Fault;
use self::happening::After;
use self::repository::Repository;
use self::secrets::Secrets;

/// How many lives, and of how many hooks each, unless somebody asks for more.
const LIVES: u64 = 10;
const HOOKS: u64 = 100;

/// The number of the first life.
const SEED: u64 = 1;

/// Most of its time a life waits for Falco.
const AT_ONCE: usize = 4;

#[test]
fn a_thousand_mixed_hooks_end_where_a_fresh_deployment_ends_and_falco_is_never_stopped_without_a_reason() {
    let (first, lives, hooks) = (number("SEED", SEED), number("LIVES", LIVES), number("HOOKS", HOOKS));
    let next = AtomicU64::new(first);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + lives {
                        return;
                    }
                    if catch_unwind(|| live(seed, hooks)).is_err() {
                        failed.lock().unwrap().push(seed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "lives that failed, each told above: {failed:?}; again with SEED={} LIVES=1", failed[0]);
}

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")),
        Err(_) => default,
    }
}

fn live(seed: u64, hooks: u64) {
    let mut life = Life::new(seed);
    let lived = catch_unwind(AssertUnwindSafe(|| {
        life.begin();
        while life.hooks < hooks {
            life.go_on();
        }
        life.end();
    }));
    if let Err(panic) = lived {
        // What happened before is what one has to know; the panic itself was told already.
        eprintln!("\nthe life SEED={seed} LIVES=1 HOOKS={hooks}, up to its failure:\n{}\n", life.diary.join("\n"));
        std::panic::resume_unwind(panic);
    }
}

/// One unit, and everything around it that can change.
struct Life {
    host: FalcoHost,
    /// For what has to be there as long as the unit.
    folder: TempDir,
    state: State,
    rng: Rng,
    /// What has happened.
    diary: Vec<String>,
    hooks: u64,
    sink: Sink,
    /// Who signed the certificate of the other sink.
    authority: Authority,
    secure_sink: Sink,
    secrets: Secrets,
    repository: Repository,
    /// The ports that Falco is told in turn.
    ports: [u16; 2],
    /// The files that are attached as the resource in turn; the first two are good.
    tarballs: Vec<std::path::PathBuf>,
    next_relation: u32,
    /// The options that have no good value.
    mistakes: BTreeSet<&'static str>,
    /// The repository is away, or has bad rules, or its key is revoked.
    is_ill: bool,
    /// Something was done to the machine since the last hook that a process may have ended of.
    was_disturbed: bool,
}

impl Life {
    fn new(seed: u64) -> Self {
        let host = FalcoHost::new();
        let secrets = Secrets::new(seed);
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::new(folder.path());
        let tarballs = happening::tarballs(&host, folder.path());
        let state = host.fresh();
        let authority = Authority::new("site");
        Self {
            ports: [host.port, free_port()],
            state,
            rng: Rng::with_seed(seed),
            diary: Vec::new(),
            hooks: 0,
            sink: Sink::start(),
            secure_sink: Sink::start_tls(authority.identity(&["127.0.0.1"], Days(1, 30))),
            authority,
            secrets,
            repository,
            tarballs,
            next_relation: 10,
            mistakes: BTreeSet::new(),
            is_ill: false,
            was_disturbed: false,
            folder,
            host,
        }
    }

    fn begin(&mut self) {
        for event in [Event::install(), Event::leader_elected(), Event::config_changed(), Event::start()] {
            self.hear(&event, After::Nothing);
        }
    }

    /// Something happens, and the unit hears of it.
    fn go_on(&mut self) {
        if self.chance(15) {
            self.disturb();
        }
        if self.is_ill && self.chance(60) {
            self.heal_repository();
        }
        let (event, after) = self.happen();
        self.hear(&event, after);
    }

    /// One hook: perhaps it fails, or is killed, and then Juju runs it again.
    fn hear(&mut self, event: &Event, after: After) {
        let fault = if self.chance(12) { Some(Fault::choose(&mut self.rng)) } else { None };
        if let Some(fault) = fault {
            self.note(format!("{} with {fault:?}", self.name(event)));
            let before = Before::of(self);
            let report = self.folder.path().join("effects");
            let context = fault.prepare(self.context(), &self.host, &report);
            let outcome = context.run(event, &self.state);
            checks::of_fault(self, &before, event, fault, &outcome);
            let is_over = outcome.is_success();
            self.state = outcome.state;
            if is_over {
                // It came to its end in spite of the fault, and Juju does not run it again.
                return self.happened(after);
            }
        }
        self.note(self.name(event));
        let before = Before::of(self);
        let outcome = self.context().run(event, &self.state);
        checks::of_hook(self, &before, event, &outcome);
        self.state = outcome.state.clone();
        // An action is asked for, whatever was done before.
        if event.action_name().is_none() && self.chance(20) {
            self.hear_again(event, &outcome);
        }
        self.happened(after);
    }

    /// The same hook has nothing left to do.
    fn hear_again(&mut self, event: &Event, outcome: &Outcome) {
        let before = Before::of(self);
        let again = self.context().run(event, &self.state);
        checks::of_hook(self, &before, event, &again);
        checks::of_steady(self, &before, event, outcome, &again);
        self.state = again.state;
    }

    fn happened(&mut self, after: After) {
        self.was_disturbed = false;
        after.follow(&mut self.state);
        let status = self.state.unit_status.to_string();
        let status: String = status.chars().take(160).collect();
        self.note(format!("    {status}"));
    }

    fn note(&mut self, what: impl std::fmt::Display) {
        self.diary.push(format!("{:4} {what}", self.hooks));
    }

    fn chance(&mut self, percent: u8) -> bool {
        self.rng.u8(..100) < percent
    }

    fn name(&self, event: &Event) -> String {
        event.name(|id| self.state.find_relation(id).map(charm_tests::juju::Relation::full_id).unwrap_or_default())
    }

    /// How a hook is run: with an ssh that stays on this machine before the real one.
    fn context(&self) -> charm_tests::juju::Context {
        self.repository.context(&self.host)
    }
}
