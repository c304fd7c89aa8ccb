//! The relation to the one who signs, and the secrets that belong to it.

use anyhow::Result;
use charm_core::interfaces::RelationData;
use charm_core::interfaces::tls_certificates::Provider;
use charm_core::notes::Notes;
use charm_core::relation::{self, Databag, RemoteApp, Side};
use charm_core::{Hook, juju};

use crate::names::CERTIFICATES;
use crate::tls::{Authority, PRIVATE_KEY, certificate_label, key_label};

/// Who signs, if there is somebody: four hook commands, one if not.
pub fn authority(hook: &Hook, notes: &mut Notes) -> Result<Option<Authority>> {
    let Some(RemoteApp { id, app, data }) = notes.remote_apps(hook, CERTIFICATES)?.into_iter().next() else {
        return Ok(None);
    };
    let Some(asked) = notes.databag(hook, id)? else { return Ok(None) };
    let unit = hook.unit.number;
    Ok(Some(Authority {
        relation: id,
        app,
        published: Provider::read(&data),
        asked,
        key: juju::secret_get_by_label(&key_label(unit))?.and_then(|mut content| content.remove(PRIVATE_KEY)),
        stored: juju::secret_get_by_label(&certificate_label(unit))?,
    }))
}

/// What was asked for, if this is the last hook of the relation.
pub fn last_asked(hook: &Hook) -> Result<Option<Databag>> {
    match hook.broken() {
        Some(id) if hook.event.is(&format!("{CERTIFICATES}-relation-broken")) => {
            Ok(Some(relation::own(hook, id, Side::Unit)?.unwrap_or_default()))
        }
        _ => Ok(None),
    }
}
