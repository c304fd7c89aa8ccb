//! Relations to those who tell us whom to believe.

use anyhow::Result;
use charm_core::Hook;
use charm_core::interfaces::RelationData;
use charm_core::interfaces::certificate_transfer::Provider;
use charm_core::notes::Notes;
use charm_core::relation::{RemoteApp, Side};

use super::Received;
use crate::names::RECEIVE_CA_CERT;

/// One hook command, and one for each relation.
pub fn received(hook: &Hook, leader: bool, notes: &mut Notes) -> Result<Vec<Received>> {
    let apps = notes.remote_apps(hook, RECEIVE_CA_CERT)?;
    let read = |RemoteApp { id, app, data }| {
        let told = if leader { notes.told(hook, id, Side::App)? } else { None };
        Ok(Received { relation: id, app, published: Provider::read(&data), told })
    };
    apps.into_iter().map(read).collect()
}
