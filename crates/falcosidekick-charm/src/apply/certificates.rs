//! The request for a certificate, and the secrets of keys and certificates.

use anyhow::{Context, Result};
use charm_core::interfaces::RelationData;
use charm_core::interfaces::tls_certificates::Requirer;
use charm_core::notes::Notes;
use charm_core::relation::Side;
use charm_core::x509::Key;
use charm_core::{Hook, juju, secret};

use crate::names::CERTIFICATES;
use crate::tls::{Ask, PRIVATE_KEY, Postpone, Remove, Steps, Store, certificate_label, key_label};

/// Does what was decided. Juju keeps all of it back until the hook succeeds.
pub fn apply(hook: &Hook, steps: &Steps, notes: &mut Notes) -> Result<()> {
    let Steps { ask, store, postpone, forget, remove } = steps;
    let unit = hook.unit.number;
    if let Some(wanted) = ask {
        self::ask(hook, wanted, notes)?;
    }
    if let Some(Store { expire, content }) = store {
        secret::store(hook, &certificate_label(unit), content, Some(expire))?;
        tracing::info!("{CERTIFICATES}: keeps the certificate, which is due at {expire}");
    }
    if let Some(Postpone { id, expire }) = postpone {
        juju::secret_set_expire(id, expire)?;
    }
    for label in forget {
        secret::forget(label)?;
    }
    for Remove { id, revision } in remove {
        juju::secret_remove(id, *revision)?;
    }
    Ok(())
}

fn ask(hook: &Hook, Ask { relation, common_name, names, key }: &Ask, notes: &mut Notes) -> Result<()> {
    let key = if let Some(pem) = key {
        Key::from_pem(pem.expose())?
    } else {
        let key = Key::generate()?;
        let content = [(PRIVATE_KEY.to_owned(), key.pem().clone())].into();
        secret::store(hook, &key_label(hook.unit.number), &content, None)?;
        tracing::info!("{CERTIFICATES}: made a private key");
        key
    };
    let request = key.request(common_name, names).context("failed to ask for a certificate")?;
    notes.publish(*relation, Side::Unit, &Requirer { requests: vec![request.pem()] }.write())?;
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    tracing::info!("{CERTIFICATES}: asked for a certificate for {}", names.join(", "));
    Ok(())
}
