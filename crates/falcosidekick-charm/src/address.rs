//! Where callers are sent: one address that does not depend on which unit leads, or how many there are. Pure.
//!
//! An ingress comes first, then an address that the cluster has for callers from outside; then, for callers in the same
//! model and so in the same cluster, the name of the Service, and for all others the address that Kubernetes gave to it. With a certificate, only what it is for.

use std::collections::BTreeMap;

use charm_core::Status;
use charm_core::interfaces::falcosidekick_http_endpoint::Provider;
use charm_core::names::RelationId;
use charm_core::x509::{Certificate, Name};
use serde::{Serialize, Serializer};
use url::Url;

use crate::config::{ALLOW_PLAIN_HTTP, Config};
use crate::facts::Facts;
use crate::kubernetes::{self, Outside};
use crate::listener::{Listener, PING};
use crate::names::{CERTIFICATES, HTTP_ENDPOINT, INGRESS};
use crate::tls::{Identity, Tls};
use crate::trust;

/// What was decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// What each Falco is told; those that have to wait are not in it.
    pub told: BTreeMap<RelationId, Provider>,
    /// As whom the listener has to answer, of what is told and what is not.
    pub hosts: Vec<Url>,
    /// The way in from outside, which has to answer before anybody is sent there.
    pub way_in: Option<WayIn>,
    /// Why somebody has to wait.
    pub note: Option<Status>,
}

/// A way in from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WayIn {
    /// Where Falcosidekick answers `pong` through it.
    #[serde(serialize_with = "as_text")]
    pub ping: Url,
    /// Whom to believe there, beside those whom everybody believes.
    #[serde(skip)]
    pub authorities: Vec<Certificate>,
}

fn as_text<S: Serializer>(url: &Url, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(url)
}

/// The name of the Service, which resolves everywhere in the cluster.
pub fn service_name(facts: &Facts) -> String {
    format!("{}.{}.svc.cluster.local", facts.topology.application, facts.topology.model)
}

/// Decides.
pub fn decide(facts: &Facts, config: &Config, listener: Listener, tls: Option<&Tls>) -> Address {
    let service = service_name(facts);
    let outside = kubernetes::decide::outside(&facts.cluster, listener.port);
    let own: Vec<&str> = facts.addresses.iter().map(String::as_str).collect();
    let (for_near, for_far, port) = match &outside {
        Outside::At { hosts, port } => {
            let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
            (hosts.clone(), hosts, *port)
        }
        Outside::NotWanted | Outside::Pending => ([&[service.as_str()], &own[..]].concat(), own, listener.port),
    };
    let (near, far) = (urls(&for_near, port, listener, tls), urls(&for_far, port, listener, tls));
    // Everybody who asks the listener itself has to be able to believe it, the proxy of an ingress included.
    let mut hosts: Vec<Url> = [near.first(), far.first()].into_iter().flatten().cloned().collect();
    hosts.dedup();
    if facts.ingress.is_some() {
        return Address { hosts, ..through_ingress(facts, config) };
    }
    if outside == Outside::Pending {
        return Address { hosts, ..Address::default() }; // The reason stands in the status already.
    }
    let ca = tls.map(Tls::authorities).unwrap_or_default().to_vec();
    let url_of = |relation: &RelationId| if facts.near.contains(relation) { near.first() } else { far.first() };
    let told: BTreeMap<RelationId, Provider> = facts
        .told_falcos
        .keys()
        .filter_map(|relation| Some((*relation, Provider { url: url_of(relation)?.clone(), ca: ca.clone() })))
        .collect();
    let is_waiting = told.len() < facts.told_falcos.len() || (far.is_empty() && !for_far.is_empty());
    let note = is_waiting.then(|| why_nowhere(&for_far, listener, tls));
    Address { told, hosts, way_in: None, note }
}

/// Where the listener is reached and believed at these hosts and this port.
fn urls(hosts: &[&str], port: u16, listener: Listener, tls: Option<&Tls>) -> Vec<Url> {
    let leaf = tls.and_then(|tls| tls.identity.as_ref()).map(Identity::leaf);
    let is_named = |host: &str| {
        let name = Name::of_host(host);
        leaf.is_none_or(|leaf| name.is_some_and(|name| leaf.names.contains(&name)))
    };
    hosts.iter().filter(|host| is_named(host)).filter_map(|host| listener.url_on(host, port)).collect()
}

fn why_nowhere(hosts: &[&str], listener: Listener, tls: Option<&Tls>) -> Status {
    let host = hosts.iter().find(|host| listener.url_at(host).is_some());
    match (host, tls) {
        (Some(host), Some(tls)) if tls.is_awaited => {
            Status::Waiting(format!("{CERTIFICATES}: waiting for a certificate that is for {host}"))
        }
        (Some(host), Some(_)) => {
            Status::Blocked(format!("{CERTIFICATES}: the certificate was asked for {host}, and is not for it"))
        }
        _ => Status::Waiting(format!("{HTTP_ENDPOINT}: waiting for an address of this application")),
    }
}

fn through_ingress(facts: &Facts, config: &Config) -> Address {
    let nowhere = |status| Address { note: Some(status), ..Address::default() };
    let Some(ingress) = &facts.ingress else { return Address::default() };
    let app = &ingress.app;
    let url = match &ingress.published {
        Ok(Some(provider)) => provider.url.clone(),
        Ok(None) => {
            return nowhere(Status::Waiting(format!("{INGRESS}: waiting for {app} to publish the URL of its way in")));
        }
        Err(error) => return nowhere(Status::Blocked(format!("{INGRESS}: {app} {error}"))),
    };
    if url.scheme() == "http" && !config.allow_plain_http {
        return nowhere(Status::Blocked(format!(
            "{INGRESS}: {app} published {}, where alerts would come in in clear text; give it a certificate; in a \
             laboratory: juju config {} {ALLOW_PLAIN_HTTP}=true",
            url.origin().ascii_serialization(),
            facts.topology.application
        )));
    }
    let mut ping = url.clone();
    ping.set_path(&format!("{}{PING}", url.path().trim_end_matches('/')));
    ping.set_query(None);
    // Whoever vouches for the way in to us has to vouch for it to them.
    let authorities = if url.scheme() == "https" { trust::received(facts) } else { Vec::new() };
    let provider = Provider { url, ca: authorities.clone() };
    let told = facts.told_falcos.keys().map(|relation| (*relation, provider.clone())).collect();
    Address { told, way_in: Some(WayIn { ping, authorities }), ..Address::default() }
}
