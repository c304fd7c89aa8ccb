//! The relation to whoever has a way in from outside.

use anyhow::Result;
use charm_core::Hook;
use charm_core::interfaces::RelationData;
use charm_core::interfaces::ingress::Provider;
use charm_core::notes::Notes;
use charm_core::relation::{RemoteApp, Side};

use super::Ingress;
use crate::names::INGRESS;

/// Who has a way in, if there is somebody: two hook commands, and one if nobody has.
pub fn ingress(hook: &Hook, leader: bool, notes: &mut Notes) -> Result<Option<Ingress>> {
    let Some(RemoteApp { id, app, data }) = notes.remote_apps(hook, INGRESS)?.into_iter().next() else {
        return Ok(None);
    };
    let Some(told_unit) = notes.told(hook, id, Side::Unit)? else { return Ok(None) };
    let told_app = if leader { notes.told(hook, id, Side::App)? } else { None };
    Ok(Some(Ingress { relation: id, app, published: Provider::read(&data), told_app, told_unit }))
}
