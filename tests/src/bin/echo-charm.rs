//! A charm that hands a text through everything in charm-core that carries texts to Juju: a databag, a secret and a
//! result of an action. Whatever Juju's readers would change or refuse has to come out as it went in.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context, Result};
use charm_core::relation::{self, Databag, Side};
use charm_core::secret::{self, Redacted, SecretError};
use charm_core::{Event, Hook, Status, juju};

fn main() -> ExitCode {
    charm_core::run(dispatch)
}

async fn dispatch(hook: Hook) -> Result<Option<Status>> {
    if let Event::Action(_) = hook.event {
        let parameters: BTreeMap<String, String> = juju::action_get()?;
        juju::action_set(&parameters)?;
        return Ok(None);
    }
    let config = juju::config_get()?;
    let text: String = config.get("text").map_err(Status::from)?.context("the option text is not set")?;
    for id in relation::ids(&hook, "peer")? {
        // Juju's reader takes no keys of more than 1024 characters.
        let as_key = Some(text.clone()).filter(|key| !key.is_empty() && key.len() < 1_000);
        let entries = [("text".to_owned(), text.clone())].into_iter().chain(as_key.map(|key| (key, "key".to_owned())));
        let wanted: Databag = entries.collect();
        let now = relation::own(&hook, id, Side::Unit)?.unwrap_or_default();
        relation::publish(id, Side::Unit, &relation::difference(&now, &wanted))?;
    }
    if !text.is_empty() {
        secret::store(&hook, "echo", &[("text".to_owned(), Redacted::new(text))].into(), None)?;
    }
    Ok(Some(match config.get::<String>("secret").map_err(Status::from)? {
        None => Status::active(),
        Some(id) => match secret::get(&id, "value")? {
            Ok(content) => Status::Active(format!("{} bytes", content.expose().len())),
            Err(SecretError::NotGranted) => Status::Blocked("not granted".into()),
            Err(SecretError::NotFound) => Status::Blocked("not found".into()),
            Err(SecretError::NoKey) => Status::Blocked("no key".into()),
        },
    }))
}
