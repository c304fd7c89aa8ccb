//! Whether alerts would get to where they are sent: whom Falco is to trust there, and one handshake to see whether that is
//! enough. Changes nothing, but that the leader asks for certificates.

use anyhow::Result;
use charm_core::files::{self, File};
use charm_core::interfaces::certificate_transfer::{self, Provider};
use charm_core::interfaces::{DatabagError, RelationData};
use charm_core::names::{AppName, RelationId};
use charm_core::relation::{self, Databag, Side};
use charm_core::{Event, Hook, Status, juju};

use crate::authorities::Authorities;
use crate::facts::Sidekick;
use crate::paths::AUTHORITIES_OF_HOST;
use crate::probe::{self, Failure};
use crate::remotes::Remotes;

/// The endpoint that brings authorities.
const ENDPOINT: &str = "receive-ca-cert";

/// What is known of it.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The applications that bring authorities, and what they published.
    pub bringers: Vec<Bringer>,
    /// Where this unit, as the leader, has not said yet that it wants certificates, and what to say.
    pub unasked: Vec<(RelationId, Databag)>,
    /// Falco's file of authorities, when relations bring any and alerts are sent to an https URL.
    pub file: Option<File>,
    /// Why an alert would not get through.
    pub failure: Option<Failure>,
}

/// An application that brings authorities.
#[derive(Clone, Debug)]
pub struct Bringer {
    /// Its name.
    pub app: AppName,
    /// Not yet published, usable, or not.
    pub data: Result<Option<Provider>, DatabagError>,
}

impl Bringer {
    /// What of it cannot be used.
    pub fn problem(&self) -> Option<Status> {
        let Self { app, data } = self;
        let words = match data {
            Err(error) => format!("{error}; it is not used"),
            Ok(provider) => provider.as_ref()?.problem()?,
        };
        Some(Status::Blocked(format!("{ENDPOINT}: {app} {words}")))
    }
}

/// Reads it. The handshake is at the end, as it may take seconds.
pub async fn gather(hook: &Hook, remotes: &Remotes, sidekick: Option<&Sidekick>) -> Result<Trust> {
    let remote = remotes.apps(hook, ENDPOINT)?;
    let ids: Vec<RelationId> = remote.iter().map(|remote| remote.id).collect();
    let bringers = remote.into_iter().map(|remote| Bringer { app: remote.app, data: Provider::read(&remote.data) });
    let mut trust = Trust { bringers: bringers.collect(), unasked: unasked(hook, &ids)?, ..Trust::default() };
    let Some(Ok(Some(receiver))) = sidekick.map(|sidekick| &sidekick.data) else { return Ok(trust) };
    if receiver.url.scheme() != "https" {
        return Ok(trust);
    }
    let brought = trust.bringers.iter().filter_map(|bringer| bringer.data.as_ref().ok()?.as_ref());
    let authorities = Authorities::of(receiver.ca.iter().chain(brought.flat_map(|provider| &provider.certificates)));
    let of_host = files::read(&hook.path(AUTHORITIES_OF_HOST))?.unwrap_or_default();
    trust.file = authorities.file(&of_host);
    if !is_last(hook) {
        trust.failure = probe::probe(&receiver.url, authorities.trusted(&of_host), probe::LIMIT).await.err();
    }
    Ok(trust)
}

/// Says that this application wants certificates. Whatever becomes of Falco here: the other units need the answer, too.
pub fn ask(hook: &Hook, trust: &Trust) -> Result<()> {
    for (id, databag) in trust.unasked.iter().filter(|_| !hook.dry_run) {
        relation::publish(*id, Side::App, databag)?;
    }
    Ok(())
}

/// Whether `event` is about nothing but authorities: then nobody else has to hear anything new.
pub fn is_all_about(event: &Event) -> bool {
    matches!(event, Event::Reconcile(name) if name == "leader-elected" || name.starts_with(ENDPOINT))
}

/// Only the leader may look into the databag, and only a new relation or a new leader can make a difference in it. Juju
/// runs a hook that failed once more, so that none of them is missed.
fn unasked(hook: &Hook, ids: &[RelationId]) -> Result<Vec<(RelationId, Databag)>> {
    if ids.is_empty() || !is_all_about(&hook.event) || !juju::is_leader()? {
        return Ok(Vec::new());
    }
    let mut unasked = Vec::new();
    for id in ids {
        let own = relation::own(hook, *id, Side::App)?;
        let difference = own.map(|own| relation::difference(&own, &certificate_transfer::requirer()));
        unasked.extend(difference.filter(|it| !it.is_empty()).map(|difference| (*id, difference)));
    }
    Ok(unasked)
}

/// Whether the unit is on its way out, where nobody would read what is found.
fn is_last(hook: &Hook) -> bool {
    hook.event.is("stop")
}
