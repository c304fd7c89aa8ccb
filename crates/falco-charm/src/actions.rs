//! What an operator asks of one unit at once. An action fails with a text that says what to do.

mod show;

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use charm_core::{Hook, Status, files, juju};
use serde::Deserialize;

use crate::checked::Checked;
use crate::decide::{self, check_host, sources};
use crate::facts::{self, Facts, Refused};
use crate::generation::{Id, store};
use crate::paths::{CONFIG_FILE, PROGRAM, REFUSED_FILE};
use crate::render::falco_yaml;
use crate::repository::Look;
use crate::test_alert::Delivery;
use crate::{apply, carry_out, check, config, support_bundle, test_alert};

/// Runs one action.
pub async fn run(hook: &Hook, name: &str) -> Result<()> {
    match name {
        "list-rules" => list_rules(hook).await,
        "reload" => reload(hook).await,
        "rollback-rules" => rollback_rules(hook).await,
        "show-config" => show_config(hook),
        "support-bundle" => support_bundle(hook).await,
        "sync" => sync(hook).await,
        "test-alert" => test_alert(hook).await,
        "validate-rules" => validate_rules(hook).await,
        _ => bail!("this charm has no action {name}"),
    }
}

/// Tries what was rejected once more, and makes Falco read its files again.
async fn reload(hook: &Hook) -> Result<()> {
    let mut facts = facts::gather(hook, Look::Stored).await?;
    // The files may be those of another unit.
    check_host(&facts)?;
    Checked::forget_rejected(hook)?;
    facts::look_again(hook, &mut facts).await?;
    facts.asked_to_reload = true;
    finish(hook, facts, BTreeMap::new()).await
}

/// Fetches the repository now.
async fn sync(hook: &Hook) -> Result<()> {
    let facts = facts::gather(hook, Look::Remote).await?;
    if facts.config()?.repository.is_none() {
        bail!(Status::Blocked("custom-config-repository is not set: there is nothing to fetch".to_owned()));
    }
    let commit = facts.repository.content.as_ref().map(|content| ("commit".to_owned(), content.commit.clone()));
    finish(hook, facts, commit.into_iter().collect()).await
}

#[derive(Deserialize)]
struct RollbackRules {
    undo: bool,
}

/// Goes back to the generation before, as long as the sources give the one that is in use now.
async fn rollback_rules(hook: &Hook) -> Result<()> {
    let RollbackRules { undo } = juju::action_get()?;
    let mut facts = facts::gather(hook, Look::Stored).await?;
    check_host(&facts)?;
    if undo {
        if !files::remove(&hook.path(REFUSED_FILE))? {
            bail!(Status::Blocked("nothing was rolled back".to_owned()));
        }
        facts.machine.refused = None;
        return finish(hook, facts, BTreeMap::new()).await;
    }
    let Some(instead) = facts.machine.links.previous.clone() else {
        bail!(Status::Blocked("there is no generation of rules before the one in use".to_owned()));
    };
    if facts.machine.generation(&instead).is_none() {
        bail!(Status::Blocked(format!("the generation {instead} is no longer whole")));
    }
    let refused = sources::choose(&facts, &facts.config()?, &mut Vec::new()).generation.id().clone();
    if refused == instead {
        bail!(Status::Blocked(format!("the generation {instead} is what the sources give")));
    }
    let refused = Refused { refused, instead };
    files::note(&hook.path(REFUSED_FILE), &refused)?;
    facts.machine.refused = Some(refused);
    finish(hook, facts, BTreeMap::new()).await
}

#[derive(Deserialize)]
struct ValidateRules {
    rules: Option<String>,
}

/// Has Falco judge rules, and applies nothing.
async fn validate_rules(hook: &Hook) -> Result<()> {
    let ValidateRules { rules } = juju::action_get()?;
    let look = if rules.is_some() { Look::Stored } else { Look::Remote };
    let facts = facts::gather(hook, look).await?;
    let mut config = facts.config()?;
    if let Some(rules) = rules {
        config.rules = config::inline_rules(&rules).map_err(|problem| Status::Blocked(format!("rules: {problem}")))?;
    }
    let candidate = decide::wanted(&facts, &config)?;
    // It is judged at the place where it would be used, since Falco judges paths, too.
    let id = candidate.generation.id();
    let was_there = store::read(hook, id)?.is_some();
    store::write(hook, &candidate.generation)?;
    let verdict = apply::judge(hook, &candidate);
    if !was_there {
        store::remove(hook, id)?;
    }
    let verdict = verdict?;
    let mut results = BTreeMap::from([
        ("generation".to_owned(), id.to_string()),
        ("valid".to_owned(), verdict.rejected.is_none().to_string()),
    ]);
    if !verdict.remarks.is_empty() {
        results.insert("remarks".to_owned(), verdict.remarks.join("\n"));
    }
    juju::action_set(&results)?;
    match verdict.rejected {
        Some(text) => bail!(Status::Blocked(text)),
        None => Ok(()),
    }
}

#[derive(Deserialize)]
struct ListRules {
    tag: Option<String>,
    priority: Option<String>,
}

/// What is loaded.
async fn list_rules(hook: &Hook) -> Result<()> {
    let ListRules { tag, priority } = juju::action_get()?;
    let facts = facts::gather(hook, Look::Stored).await?;
    let Some(distribution) = facts.available.to_run().filter(|_| facts.machine.files.contains_key(CONFIG_FILE)) else {
        bail!(not_installed());
    };
    let rules = check::list(&hook.path(&distribution.path(PROGRAM)), &hook.path(CONFIG_FILE))?;
    let fits = |rule: &&check::Rule| {
        tag.as_ref().is_none_or(|tag| rule.tags.contains(tag))
            && priority.as_ref().is_none_or(|priority| rule.priority.eq_ignore_ascii_case(priority))
    };
    let rules: Vec<&check::Rule> = rules.iter().filter(fits).collect();
    juju::action_set(&show::rules(&rules)?)
}

/// The falco.yaml in use.
fn show_config(hook: &Hook) -> Result<()> {
    let Some(yaml) = files::read(&hook.path(CONFIG_FILE))? else {
        bail!(not_installed());
    };
    let links = store::links(hook)?;
    let ids = [("generation", links.current), ("previous-generation", links.previous)];
    let ids = ids.into_iter().filter_map(|(name, id): (_, Option<Id>)| Some((name.to_owned(), id?.to_string())));
    let mut results: BTreeMap<String, String> = ids.collect();
    results.insert("falco-yaml".to_owned(), show::falco_yaml(&yaml)?);
    juju::action_set(&results)
}

/// Causes one harmless alert, and says what became of it.
async fn test_alert(hook: &Hook) -> Result<()> {
    let yaml = files::read(&hook.path(CONFIG_FILE))?.unwrap_or_default();
    let Some(port) = falco_yaml::port_of(&yaml) else {
        bail!(not_installed());
    };
    let sends = falco_yaml::url_of(&yaml).is_some();
    let logs = falco_yaml::is_logged(&yaml);
    let outcome = test_alert::run(hook, port, logs, sends).await?.map_err(Status::Blocked)?;
    let mut results = BTreeMap::from([("delivery".to_owned(), outcome.delivery.to_string())]);
    results.extend(outcome.alert.map(|alert| ("alert".to_owned(), alert)));
    juju::action_set(&results)?;
    match outcome.delivery {
        Delivery::Failed(reason) => bail!(Status::Blocked(format!("the alert was not delivered: {reason}"))),
        Delivery::Sent | Delivery::NotSent => Ok(()),
    }
}

/// Everything about this unit that somebody needs who helps from afar.
async fn support_bundle(hook: &Hook) -> Result<()> {
    let facts = facts::gather(hook, Look::Stored).await?;
    let yaml = facts.machine.files.get(CONFIG_FILE).map(|file| file.content.as_slice()).unwrap_or_default();
    let status = match decide::decide(&facts) {
        Ok(plan) => Status::worst(plan.notes).unwrap_or_else(Status::active),
        Err(status) => status,
    };
    let known = support_bundle::Known {
        falco: facts.available.to_run().map(|distribution| distribution.version().to_owned()).unwrap_or_default(),
        status: status.to_string(),
        falco_yaml: if yaml.is_empty() { String::new() } else { show::falco_yaml(yaml)? },
        metrics: match falco_yaml::port_of(yaml) {
            Some(port) => facts::metrics(port).await.unwrap_or_default(),
            None => String::new(),
        },
        options: show::options(&facts.config),
        host: facts.machine.abilities.clone(),
        containers: facts.machine.containers.clone(),
    };
    juju::action_set(&support_bundle::write(hook, &known)?)
}

/// Carries out what follows, sets the status of the unit as a hook would, and says how it is.
async fn finish(hook: &Hook, facts: Facts, mut results: BTreeMap<String, String>) -> Result<()> {
    let status = carry_out(hook, facts).await?;
    juju::status_set(&status)?;
    if let Some(id) = store::links(hook)?.current {
        results.insert("generation".to_owned(), id.to_string());
    }
    results.insert("status".to_owned(), status.to_string());
    juju::action_set(&results)?;
    match status {
        Status::Active(_) => Ok(()),
        other => bail!(other),
    }
}

fn not_installed() -> Status {
    Status::Blocked("Falco is not installed on this unit yet; see its status".to_owned())
}
