//! What to do about the facts. Pure: no clock, no disk, no Juju.
//!
//! `Err(status)` means that nothing is touched this time: what runs goes on as it is.
//!
//! Falco judges before it runs: a candidate that it was not asked about yet is a plan to ask, and nothing else. One that
//! it rejected is never run; the generation before takes its place, with everything else as the operator wants it, and
//! if that does not help either, the last pair of files that it proved to serve.

mod around;
mod candidate;
mod pair;
mod service;
pub mod sources;

use charm_core::Status;
use charm_core::digest::Digest;
use charm_core::files::File;
use charm_core::names::RelationId;
use charm_core::relation::Databag;
use serde::{Serialize, Serializer};

use self::around::{check_abilities, choose_distribution, choose_receiver, delivery, publish, remark};
use self::pair::{Pair, keep};

pub use self::around::check_host;
pub use self::candidate::{Candidate, Receiver};
pub use self::service::{Expected, ServiceAction};
use crate::config::Config;
use crate::distribution::{self, Available, Distribution, Tarball};
use crate::facts::{Facts, Machine};
use crate::generation::store::Links;
use crate::generation::{Generation, Id};
use crate::k8s_audit::Listener;
use crate::leftovers::Leftovers;
use crate::paths::{CONFIG_FILE, ORIGIN_FILE, UNIT};
use crate::render::falco_yaml;
use crate::{authorities, delivery, host, k8s_audit};

/// What an operator does about a configuration with which Falco did not run, when it was not the configuration's fault.
const TRY_AGAIN: &str = "to try it once more, run the action reload";

/// What differs from what should be, and how to tell afterwards that it no longer does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The distribution to run, and the tarball to unpack it from first. None for the last good pair of files, which
    /// brings its own.
    pub distribution: Option<Distribution>,
    /// See above.
    pub install: Option<Tarball>,
    /// The operator's rules and overrides, to be on disk before anything names them.
    #[serde(serialize_with = "as_id")]
    pub generation: Option<Generation>,
    /// They are there, as this hook has seen.
    #[serde(skip)]
    pub is_stored: bool,
    /// Have Falco judge this, and do nothing else.
    pub check: Option<Candidate>,
    /// Files to write, in this order.
    pub write: Vec<Written>,
    /// Files that nothing names any more once Falco serves.
    pub remove: Vec<String>,
    /// Make systemd read its unit files again.
    pub daemon_reload: bool,
    /// Have Falco started at each boot.
    pub enable: bool,
    /// What to do with the service.
    pub service: ServiceAction,
    /// What Falco has to say about itself afterwards.
    pub expect: Expected,
    /// What to write down once Falco serves this.
    pub keep: Option<Keep>,
    /// What to tell the observability agent once Falco serves: relation and databag, as far as it differs.
    pub publish: Vec<(RelationId, Databag)>,
    /// What is to be done in the folder of the listener for Kubernetes audit events.
    pub audit: k8s_audit::Change,
    /// What is to be asked of Juju about its port once Falco serves.
    pub ports: k8s_audit::Ports,
    /// What is known of the delivery of alerts, if it is not what was known before.
    #[serde(skip)]
    pub delivery: Option<delivery::Known>,
    /// What the Python charm left, to be removed once Falco serves.
    #[serde(skip)]
    pub leftovers: Leftovers,
    /// What may be the reason when Falco does not stay up, beside what it says itself.
    pub explanation: Option<&'static str>,
    /// What is rejected if Falco does not serve this, because there is something else to go back to.
    pub or_reject: Option<Digest>,
    /// What to tell the operator, whatever is seen afterwards.
    #[serde(serialize_with = "as_text")]
    pub notes: Vec<Status>,
}

/// What is written down once Falco proved to serve a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Keep {
    /// The pair of files that it serves, as far as it is not written down yet.
    pub good: Vec<Written>,
    /// The generations to keep.
    pub links: Links,
    /// The candidates whose verdicts are still of use.
    pub verdicts: Vec<Digest>,
    /// The operator's decision to roll back is over.
    pub forget_refused: bool,
}

/// A file to write. Shown without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Written(#[serde(serialize_with = "as_debug")] pub File);

/// What was there after the plan was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Falco answers, and has loaded exactly what it should.
    Serving,
    /// It is not up; its last words.
    Down(String),
    /// It is up, and does not say that it has loaded what it should; its last words.
    NotServing(String),
}

impl Plan {
    /// One status, from what is really there.
    pub fn status(&self, seen: &Seen) -> Status {
        let service = match seen {
            Seen::Serving => Status::active(),
            Seen::Down(words) => {
                let explanation = self.explanation.map(|text| format!("; {text}")).unwrap_or_default();
                Status::Blocked(format!("{UNIT} does not stay up: {words}{explanation}"))
            }
            Seen::NotServing(words) => {
                let port = self.expect.port;
                Status::Blocked(format!(
                    "{UNIT} runs, but does not say on port {port} that it loaded its rules: {words}"
                ))
            }
        };
        let all = || std::iter::once(&service).chain(&self.notes).filter(|status| !status.message().is_empty());
        let worst = Status::worst(all().cloned()).unwrap_or_else(Status::active);
        let texts: Vec<String> = all().filter(|status| status.name() == worst.name()).map(Status::message).collect();
        worst.with_message(texts.join("; "))
    }

    /// What becomes of a candidate that Falco took, and then did not serve.
    pub fn reproach(seen: &Seen) -> Option<String> {
        match seen {
            Seen::Serving => None,
            Seen::Down(words) => Some(format!("Falco does not stay up with it: {words}; {TRY_AGAIN}")),
            Seen::NotServing(words) => Some(format!("Falco does not load it: {words}; {TRY_AGAIN}")),
        }
    }
}

/// Decides.
pub fn decide(facts: &Facts) -> Result<Plan, Status> {
    let config = match facts.config() {
        Ok(config) => config,
        Err(problem) => return go_on(facts, problem),
    };
    check_host(facts)?;
    let mut notes = Vec::new();
    let (distribution, install) = choose_distribution(facts, &mut notes)?;
    check_abilities(facts, &config, install.is_some())?;
    let receiver = choose_receiver(facts, &mut notes);
    let chosen = sources::choose(facts, &config, &mut notes);

    let audit = k8s_audit::choose(facts, &config, &distribution, &mut notes);
    let candidate = |generation: &Generation, audit: Option<&Listener>| {
        Candidate::new(facts, &config, &distribution, generation.clone(), audit, receiver.as_ref())
    };
    let mut candidates = vec![candidate(&chosen.generation, audit.as_ref())];
    if audit.is_some() {
        // A plugin that Falco does not take, or does not run with, takes away no system call.
        candidates.push(candidate(&chosen.generation, None));
    }
    if let Some(current) = facts.machine.current().filter(|current| **current != chosen.generation) {
        candidates.push(candidate(current, audit.as_ref()));
    }
    let good = Pair::good(&facts.machine, &facts.root);
    if good.is_none() && !chosen.generation.is_empty() {
        candidates.push(candidate(&Generation::default(), None));
    }

    let mut rejected = None;
    for (number, candidate) in candidates.iter().enumerate() {
        let (asked, mut left) = (&candidates[..=number], candidates[number + 1..].iter());
        let known = match &facts.machine.default_rules {
            // A distribution that is not unpacked yet cannot have been asked.
            None => None,
            Some(_) => facts.machine.checked.get(&candidate.digest).cloned(),
        };
        let to_ask = known.is_none();
        if to_ask && !facts.without_asking {
            return Ok(ask(facts, &distribution, install, candidate.clone(), notes));
        }
        let verdict = known.unwrap_or_default();
        if let Some(text) = verdict.rejected {
            rejected.get_or_insert(text);
            continue;
        }
        if let Some(text) = rejected {
            notes.push(Status::Blocked(format!("{text}; Falco goes on without the change")));
        }
        notes.extend(verdict.remarks.into_iter().map(Status::Active));
        remark(&config, candidate, &mut notes);
        let is_good = good.as_ref().is_some_and(|good| good.is(candidate));
        let other = |other: &Candidate| facts.machine.checked.get(&other.digest).is_none_or(|v| v.rejected.is_none());
        let has_other = !is_good && (good.is_some() || left.any(other));
        let keep = keep(facts, candidate, asked, &chosen);
        let or_reject = has_other.then(|| candidate.digest.clone());
        let check = to_ask.then(|| candidate.clone());
        let plan = run(facts, &config, distribution, install, candidate, Aftermath { keep, or_reject, notes })?;
        return Ok(Plan { check, ..plan });
    }
    let text = rejected.unwrap_or_default();
    match good {
        Some(good) => {
            notes.push(Status::Blocked(format!("{text}; the last good configuration stays in use")));
            // Nothing of it is new, so nothing is kept.
            let explanation = host::explanation(&facts.machine.abilities, config.engine);
            Ok(Plan { explanation, ..act(facts, good, notes) })
        }
        None => Err(Status::Blocked(text)),
    }
}

/// The plan while an option is bad: what Falco served last goes on, and comes back where it is down or damaged. Whoever
/// has not served anything yet waits for better options.
fn go_on(facts: &Facts, problem: Status) -> Result<Plan, Status> {
    if check_host(facts).is_err() {
        return Err(problem);
    }
    let Some(good) = Pair::good(&facts.machine, &facts.root) else { return Err(problem) };
    let (distribution, install) = match &facts.available {
        // Something of it is gone. Another one is not what Falco served.
        Available::New(tarball, distribution) if good.is_of(distribution) => {
            (Some(distribution.clone()), Some(tarball.clone()))
        }
        _ => (None, None),
    };
    // What the options say of the port is not known, so it stays as it is.
    let ports = k8s_audit::Ports::default();
    Ok(Plan { distribution, install, ports, ..act(facts, good, vec![problem]) })
}

/// The candidate that the sources give, whatever Falco said of it before, or why they give none. For a judgement by
/// which nothing is decided.
pub fn wanted(facts: &Facts, config: &Config) -> Result<Candidate, Status> {
    check_host(facts)?;
    let (distribution, install) = choose_distribution(facts, &mut Vec::new())?;
    if install.is_some() {
        let text = format!("Falco {} is not installed yet; try again after the next hook", distribution.version());
        return Err(Status::Waiting(text));
    }
    let receiver = choose_receiver(facts, &mut Vec::new());
    let mut notes = Vec::new();
    let (generation, is_wanted) = sources::from_sources(facts, config, &mut notes);
    match Status::worst(notes) {
        Some(problem) if !is_wanted => Err(problem),
        _ => {
            let audit = k8s_audit::choose(facts, config, &distribution, &mut Vec::new());
            Ok(Candidate::new(facts, config, &distribution, generation, audit.as_ref(), receiver.as_ref()))
        }
    }
}

/// What follows from how a candidate does.
struct Aftermath {
    keep: Keep,
    or_reject: Option<Digest>,
    notes: Vec<Status>,
}

/// The plan to have Falco judge a candidate.
fn ask(
    facts: &Facts,
    distribution: &Distribution,
    install: Option<Tarball>,
    candidate: Candidate,
    notes: Vec<Status>,
) -> Plan {
    Plan {
        distribution: Some(distribution.clone()),
        install,
        is_stored: facts.machine.has(&candidate.generation),
        generation: Some(candidate.generation.clone()),
        expect: candidate.expect(facts.machine.default_rules.as_ref()),
        audit: k8s_audit::Change {
            // What falco.yaml names may still be in use.
            remove: Vec::new(),
            ..k8s_audit::Change::of(&facts.machine.audit, candidate.audit.as_ref(), &candidate.config.content)
        },
        check: Some(candidate),
        write: Vec::new(),
        remove: Vec::new(),
        daemon_reload: false,
        enable: false,
        service: ServiceAction::Leave,
        keep: None,
        publish: Vec::new(),
        ports: k8s_audit::Ports::default(),
        delivery: None,
        leftovers: Leftovers::default(),
        explanation: None,
        or_reject: None,
        notes,
    }
}

/// The plan to run a candidate that Falco took.
fn run(
    facts: &Facts,
    config: &Config,
    distribution: Distribution,
    install: Option<Tarball>,
    candidate: &Candidate,
    aftermath: Aftermath,
) -> Result<Plan, Status> {
    let Aftermath { keep, or_reject, notes } = aftermath;
    let plan = act(facts, Pair::of(candidate, facts.machine.default_rules.as_ref()), notes);
    service::check_port(facts, config, plan.service)?;
    let origin = install.as_ref().map(|tarball| File {
        path: ORIGIN_FILE.to_owned(),
        mode: 0o644,
        content: distribution::origin_text(tarball, &distribution).into_bytes(),
    });
    Ok(Plan {
        distribution: Some(distribution),
        install,
        generation: Some(candidate.generation.clone()),
        is_stored: facts.machine.has(&candidate.generation),
        write: origin.into_iter().map(Written).chain(plan.write).collect(),
        keep: Some(keep),
        explanation: host::explanation(&facts.machine.abilities, config.engine),
        or_reject,
        ..plan
    })
}

/// The plan to run a pair of files, whatever it comes from.
fn act(facts: &Facts, pair: Pair, mut notes: Vec<Status>) -> Plan {
    let service = service::choose(facts, &pair.unit_digest, &pair.expect);
    let (files, daemon_reload) = facts.machine.differing(&pair.config, &pair.unit);
    let (authorities, remove) = authorities(facts, &pair.config);
    Plan {
        distribution: None,
        install: None,
        generation: None,
        is_stored: false,
        check: None,
        write: authorities.into_iter().chain(files).collect(),
        remove,
        daemon_reload,
        enable: !facts.machine.service.enabled,
        service,
        publish: publish(facts, pair.expect.port),
        audit: k8s_audit::Change::of(&facts.machine.audit, pair.audit.as_ref(), &pair.config.content),
        ports: k8s_audit::Ports::of(
            k8s_audit::port_to_open(&pair.config.content),
            facts.port_record.as_ref(),
            facts.opened_ports.as_deref(),
        ),
        expect: pair.expect,
        keep: None,
        delivery: delivery(facts, service, &mut notes),
        leftovers: facts.leftovers.clone(),
        explanation: None,
        or_reject: None,
        notes,
    }
}

/// The file of authorities that a falco.yaml names, if it is to be written, and those that it does not name.
fn authorities(facts: &Facts, falco_yaml: &File) -> (Option<Written>, Vec<String>) {
    let named = authorities::path_in(&falco_yaml.content, &facts.root);
    let on_disk = &facts.machine.authorities;
    let is_whole = named.as_ref().and_then(|path| on_disk.get(path)).is_some_and(|is_whole| *is_whole);
    let wanted = facts.trust.file.as_ref().filter(|file| Some(&file.path) == named.as_ref() && !is_whole);
    let others = on_disk.keys().filter(|path| Some(*path) != named.as_ref());
    (wanted.cloned().map(Written), others.cloned().collect())
}

impl Machine {
    /// The generation that Falco proved to serve last.
    pub fn current(&self) -> Option<&Generation> {
        self.generation(self.links.current.as_ref()?)
    }

    /// One of the stored generations.
    pub fn generation(&self, id: &Id) -> Option<&Generation> {
        self.generations.iter().find(|generation| generation.id() == id)
    }

    /// Is this generation stored?
    fn has(&self, generation: &Generation) -> bool {
        self.generation(generation.id()).is_some()
    }

    /// Where the falco.yaml in use sends alerts, if it sends them anywhere. `root`: where the paths of this unit begin.
    fn receiver(&self, root: &str) -> Option<Receiver> {
        let falco_yaml = &self.files.get(CONFIG_FILE)?.content;
        let url = falco_yaml::url_of(falco_yaml)?;
        Some(Receiver { url, authorities: authorities::path_in(falco_yaml, root) })
    }

    /// Which of the two are to be written, and whether systemd has to read its files again then. The unit file comes
    /// last, so that it never names something that is not there yet.
    fn differing(&self, config: &File, unit: &File) -> (Vec<Written>, bool) {
        let differs = |file: &&File| self.files.get(file.path.as_str()) != Some(*file);
        let write = [config, unit].into_iter().filter(differs).cloned().map(Written).collect();
        (write, differs(&unit) || self.service.needs_reload)
    }
}

#[expect(clippy::ref_option, reason = "serde passes a field as it is")]
fn as_id<S: Serializer>(generation: &Option<Generation>, serializer: S) -> Result<S::Ok, S::Error> {
    generation.as_ref().map(Generation::id).serialize(serializer)
}

fn as_debug<S: Serializer>(file: &File, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("{file:?}"))
}

fn as_text<S: Serializer>(notes: &[Status], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(notes.iter().map(ToString::to_string))
}

#[cfg(test)]
mod tests;
