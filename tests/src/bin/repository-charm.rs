//! A charm that is nothing but the repository of the falco charm: it brings what the options ask for, and shows it in a
//! file and in its status. Tests so see what git, ssh and a killed hook do to it, without Falco around.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context, Result};
use charm_core::config::RawConfig;
use charm_core::{Event, Hook, Status, files, juju};
use falco_charm::repository::{self, Brought, Content, File, KNOWN_HOSTS, Look, REPOSITORY, SSH_KEY, TOKEN, Wanted};

fn main() -> ExitCode {
    charm_core::run(dispatch)
}

async fn dispatch(hook: Hook) -> Result<Option<Status>> {
    if hook.event == Event::Remove {
        repository::forget(&hook)?;
        return Ok(None);
    }
    let wanted = wanted(&juju::config_get()?)?;
    // The hook that comes with each start of the machine stands for those that have no reason to ask.
    let look = if hook.event == Event::Reconcile("start".to_owned()) { Look::Stored } else { Look::Remote };
    let Brought { content, problem } = repository::bring(&hook, wanted.as_ref(), look)?;
    let shown = serde_json::to_vec(&content.as_ref().map(show)).context("failed to show the content")?;
    let status = problem.unwrap_or_else(|| Status::Active(content.map(|content| content.commit).unwrap_or_default()));
    if hook.dry_run {
        charm_core::run::print_plan(&BTreeMap::from([("status", status.to_string())]))?;
    } else {
        files::replace(&hook.path("/brought.json"), &shown, 0o644)?;
    }
    Ok(Some(status))
}

fn wanted(raw: &RawConfig) -> Result<Option<Wanted>, Status> {
    let text = |option| Ok::<_, Status>(raw.get::<String>(option)?.filter(|text| !text.is_empty()));
    let parsed = |option, text: String| move |error: String| Status::Blocked(format!("{option}: {text:?} {error}"));
    let Some(url) = text(REPOSITORY)? else { return Ok(None) };
    let known_hosts = text(KNOWN_HOSTS)?;
    Ok(Some(Wanted {
        url: url.parse().map_err(parsed(REPOSITORY, url))?,
        key: text(SSH_KEY)?,
        token: text(TOKEN)?,
        known_hosts: known_hosts.map(|text| text.parse().map_err(parsed(KNOWN_HOSTS, text))).transpose()?,
    }))
}

fn show(content: &Content) -> BTreeMap<String, String> {
    let named = |folder: &'static str, files: &[File]| -> Vec<(String, String)> {
        let shown = files
            .iter()
            .map(|file| (format!("{folder}/{}", file.name), String::from_utf8_lossy(&file.content).into_owned()));
        shown.collect()
    };
    [named("rules.d", &content.rules), named("config.override.d", &content.overrides)].concat().into_iter().collect()
}
