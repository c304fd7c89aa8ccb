//! Relations to those who tell us whom to believe.

use anyhow::Result;
use charm_core::Hook;
use charm_core::interfaces::RelationData;
use charm_core::interfaces::certificate_transfer::Provider;
use charm_core::relation::{self, RemoteApp, Side};

use super::Received;
use crate::names::RECEIVE_CA_CERT;

/// One hook command, and two for each relation; three for the leader.
pub fn received(hook: &Hook, leader: bool) -> Result<Vec<Received>> {
    let told = |id| if leader { relation::own(hook, id, Side::App) } else { Ok(None) };
    let read = |RemoteApp { id, app, data }| {
        Ok(Received { relation: id, app, published: Provider::read(&data), told: told(id)? })
    };
    relation::remote_apps(hook, RECEIVE_CA_CERT)?.into_iter().map(read).collect()
}
