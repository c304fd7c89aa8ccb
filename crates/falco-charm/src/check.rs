//! Falco's own judgement on a configuration that nothing uses yet, as one line an operator can act on.
//!
//! Falco is asked three things: whether the rules files are good as a set (`-V`), whether it would start with the whole
//! (`--dry-run`), and, when options name rules, which rules there are (`-L`). What it answers is read by the pure
//! modules below; only `run` starts it. Nothing here changes or remembers anything.
//!
//! A candidate that Falco cannot cope with is rejected like one that it refuses: what ran before goes on, and the
//! operator learns which change is to blame. An error is left to what says nothing about the candidate.

pub mod report;
pub mod rules;
mod run;
pub mod schema;
pub mod words;

#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use charm_core::{Status, files};
use serde::{Deserialize, Serialize};

pub use self::rules::Rule;
use self::run::{Answer, Bounds, End};
use self::words::Names;
use crate::config::Selector;

/// Log to stderr whatever the candidate says, since that is where the answers are; and not to the log of the machine,
/// where a check would look like a start.
const TALK: [&str; 6] = ["-o", "log_stderr=true", "-o", "log_level=info", "-o", "log_syslog=false"];

/// Answer in JSON where Falco can.
const JSON: [&str; 2] = ["-o", "json_output=true"];

/// Answer in text.
const TEXT: [&str; 2] = ["-o", "json_output=false"];

/// How many remarks are put in words. A status is one line; the log has them all.
const REMARKS: usize = 3;

/// What Falco is to judge.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The Falco that would run it.
    pub program: &'a Path,
    /// The falco.yaml. Its folder is hidden from operators, who cannot know a place where something is only tried.
    pub config: &'a Path,
    /// The rules files in the order in which the above loads them, so the default rules first.
    pub rules: &'a [RulesFile],
    /// The rules that options name, each with the name of its option.
    pub selectors: &'a [(&'static str, Selector)],
}

/// One rules file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesFile {
    /// Where it lies, as falco.yaml names it.
    pub path: PathBuf,
    /// What operators call it.
    pub shown: String,
}

/// What Falco thinks of a candidate. All texts are clean lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Why it must not be used, with the file or the configuration named first.
    pub rejected: Option<String>,
    /// What an operator should know about a candidate that can be used: a few in words, then how many more.
    pub remarks: Vec<String>,
}

/// A Falco and its engine, which is what rules are written for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Version {
    /// Such as `0.44.1`.
    #[serde(rename = "falco_version")]
    pub falco: String,
    /// Such as `0.62.0`.
    #[serde(rename = "engine_version_semver")]
    pub engine: String,
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Falco {} with engine {}", self.falco, self.engine)
    }
}

impl Verdict {
    fn rejected(reason: String) -> Self {
        Self { rejected: Some(reason), remarks: Vec::new() }
    }
}

/// Has Falco judge a candidate. An error carries a status and means that there is no verdict: Falco could not be
/// started, or did not answer.
pub fn check(candidate: &Candidate<'_>) -> Result<Verdict> {
    blocked("Falco cannot check its configuration", judge(candidate, Bounds::default()))
}

/// The rules that a Falco with this configuration has, in the order in which it tries them.
pub fn list(program: &Path, config: &Path) -> Result<Vec<Rule>> {
    let read = || {
        let listed = listed(program, config, Bounds::default())?;
        let mut rules = listed.map_err(|words| anyhow!(Names::new(config, &[]).clean(&words)))?;
        let text = files::read(config)?.context("its configuration is gone")?;
        rules::apply(&mut rules, &text).context("its configuration is not readable")?;
        Ok(rules)
    };
    blocked("Falco cannot list its rules", read())
}

/// Which Falco this is.
pub fn version(program: &Path) -> Result<Version> {
    blocked("Falco cannot tell its version", own_version(program, Bounds::default()))
}

/// The error of a Falco that gives no answer: what was to be done and why it failed, as a status.
fn blocked<T>(what: &str, result: Result<T>) -> Result<T> {
    result.map_err(|error| {
        let status = Status::Blocked(format!("{what}: {error}"));
        error.context(status)
    })
}

fn judge(candidate: &Candidate<'_>, bounds: Bounds) -> Result<Verdict> {
    let Candidate { program, config, rules, selectors } = *candidate;
    let names = Names::new(config, rules);
    let mut remarks = report::Remarks::default();

    // Without a file to look at, Falco would take this for an order to start.
    if !rules.is_empty() {
        let answer = validate(candidate, &JSON, bounds)?;
        match report::parse(&answer.stdout) {
            Some(reports) => {
                if let Some(reason) = report::rejection(&reports, rules, &names) {
                    return Ok(Verdict::rejected(reason));
                }
                remarks = report::remarks(&reports, rules, &names);
            }
            None if answer.end == End::Accepted => bail!("its verdict on the rules is not readable"),
            None => {}
        }
        // It quotes the rules byte by byte, and half a character does not fit into its JSON.
        let is_unspeakable = answer.end == End::Refused && answer.stderr.contains("[json.exception.");
        let answer = if is_unspeakable { validate(candidate, &TEXT, bounds)? } else { answer };
        if let Some(reason) = rejection(program, &answer, &names, bounds)? {
            return Ok(Verdict::rejected(reason));
        }
    }

    let answer = run::ask(program, &arguments(config, &["--dry-run"]), bounds)?;
    if let Some(reason) = rejection(program, &answer, &names, bounds)? {
        return Ok(Verdict::rejected(reason));
    }
    let mut all = remarks.lost;
    all.extend(schema::of_configuration(&answer.stderr, &names));
    if !selectors.is_empty() {
        let unmatched = match listed(program, config, bounds)? {
            Ok(rules) => rules::unmatched(selectors, &rules),
            Err(words) => vec![format!("{}: Falco does not tell which rules there are: {words}", selectors[0].0)],
        };
        all.extend(unmatched.iter().map(|remark| names.remark(remark)));
    }
    all.extend(remarks.other);
    Ok(Verdict { rejected: None, remarks: few(all) })
}

fn validate(candidate: &Candidate<'_>, form: &[&str], bounds: Bounds) -> Result<Answer> {
    let mut arguments = arguments(candidate.config, form);
    arguments.extend(candidate.rules.iter().flat_map(|file| ["-V".as_ref(), file.path.as_os_str()]));
    run::ask(candidate.program, &arguments, bounds)
}

/// Why Falco rejects something, from an answer without JSON; `None` if it does not.
fn rejection(program: &Path, answer: &Answer, names: &Names, bounds: Bounds) -> Result<Option<String>> {
    let words = last_words(answer);
    let text = match &answer.end {
        End::Accepted => return Ok(None),
        End::Broken(end) => {
            // A Falco that breaks whatever it is given says nothing about the candidate.
            own_version(program, bounds).map_err(|_| anyhow!("{end}"))?;
            format!("Falco does not get along with its configuration, {end}: {words}")
        }
        End::Refused => match words.strip_prefix("Plugin requirement not satisfied, must load one of: ") {
            // The one reason that is about rules and not told in JSON. Falco does not say which file it is about.
            Some(plugins) => format!("the rules need a plugin that Falco does not load: {plugins}"),
            None if words.contains("bad_alloc") => {
                "Falco does not get along with its configuration, it needs too much memory".to_owned()
            }
            None => {
                let place = words.strip_prefix("Error reading config file (");
                let reason = place.and_then(|rest| rest.split_once("): ")).map_or(&*words, |(_, reason)| reason);
                format!("Falco rejects its configuration: {reason}")
            }
        },
    };
    Ok(Some(names.clean(&text)))
}

fn last_words(answer: &Answer) -> String {
    let lines: Vec<&str> = answer.stderr.lines().collect();
    words::last_words(&lines).unwrap_or_else(|| "it gives no reason".to_owned())
}

fn own_version(program: &Path, bounds: Bounds) -> Result<Version> {
    let arguments: Vec<&OsStr> = ["--version"].iter().chain(&JSON).map(AsRef::as_ref).collect();
    let answer = run::ask(program, &arguments, bounds)?;
    serde_json::from_slice(&answer.stdout).context("it does not say so in a readable way")
}

/// The rules as the rules files have them, or the words of a Falco that does not list them.
fn listed(program: &Path, config: &Path, bounds: Bounds) -> Result<Result<Vec<Rule>, String>> {
    // With the least severe priority, since the list must not depend on whether a rule is silent.
    let answer = run::ask(program, &arguments(config, &[&JSON[..], &["-o", "priority=debug", "-L"]].concat()), bounds)?;
    match answer.end {
        End::Accepted => Ok(Ok(rules::parse(&answer.stdout).context("its list of rules is not readable")?)),
        End::Broken(end) => Ok(Err(end)),
        End::Refused => match last_words(&answer) {
            // Falco's way to say that there is no rules file at all, which is no error here.
            words if words.starts_with("rules must be loaded before describing them") => Ok(Ok(Vec::new())),
            words => Ok(Err(words)),
        },
    }
}

fn arguments<'a>(config: &'a Path, more: &[&'a str]) -> Vec<&'a OsStr> {
    let config = [OsStr::new("-c"), config.as_os_str()];
    config.into_iter().chain(TALK.iter().chain(more).copied().map(OsStr::new)).collect()
}

/// The first few, and how many more there are. The log gets those that are left out.
fn few(mut remarks: Vec<String>) -> Vec<String> {
    if remarks.len() > REMARKS {
        let more = remarks.split_off(REMARKS);
        for remark in &more {
            tracing::warn!("{remark}");
        }
        remarks.push(format!("and {} more", more.len()));
    }
    remarks
}
