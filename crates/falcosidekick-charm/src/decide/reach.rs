//! What to decide about how this unit is reached: under which names, at which URL, and what is asked there before anybody
//! is told. Pure.

use std::collections::BTreeSet;

use charm_core::Status;
use charm_core::x509::Name;
use url::Url;

use crate::facts::Facts;
use crate::listener::Listener;
use crate::names::{CERTIFICATES, HTTP_ENDPOINT};
use crate::plan::Question;
use crate::tls::{Identity, Names};

/// Under which names this unit may be called, from near and from far.
pub fn names(facts: &Facts) -> Names {
    let (app, model) = (&facts.topology.application, &facts.topology.model);
    let pod = format!("{app}-{}", facts.unit);
    let hosts = [
        app.clone(),
        format!("{app}.{model}"),
        format!("{app}.{model}.svc"),
        format!("{app}.{model}.svc.cluster.local"),
        format!("{pod}.{app}-endpoints"),
        format!("{pod}.{app}-endpoints.{model}.svc.cluster.local"),
    ];
    let told: BTreeSet<Name> = facts.addresses.iter().filter_map(|address| Name::of_host(address)).collect();
    let all = hosts.iter().filter_map(|host| Name::of_host(host)).chain(told.iter().cloned()).collect();
    Names { common: pod, all, told }
}

/// Where callers are sent, or why nowhere.
pub fn url(
    facts: &Facts,
    listener: Listener,
    identity: Option<&Identity>,
    is_awaited: bool,
) -> (Option<Url>, Option<Status>) {
    let urls: Vec<(&String, Url)> =
        facts.addresses.iter().filter_map(|address| Some((address, listener.url_at(address)?))).collect();
    let Some(identity) = identity else {
        let url = urls.into_iter().next().map(|(_, url)| url);
        let note = (url.is_none() && !facts.told_falcos.is_empty()).then(waiting_for_address);
        return (url, note);
    };
    let is_named = |address: &str| Name::of_host(address).is_some_and(|name| identity.leaf().names.contains(&name));
    let named = urls.iter().find(|(address, _)| is_named(address));
    let note = match (&named, urls.first()) {
        (Some(_), _) => None,
        (None, None) => (!facts.told_falcos.is_empty()).then(waiting_for_address),
        (None, Some((address, _))) if is_awaited => {
            Some(Status::Waiting(format!("{CERTIFICATES}: waiting for a certificate that is for {address}")))
        }
        (None, Some((address, _))) => {
            Some(Status::Blocked(format!("{CERTIFICATES}: the certificate was asked for {address}, and is not for it")))
        }
    };
    (named.map(|(_, url)| url.clone()), note)
}

fn waiting_for_address() -> Status {
    Status::Waiting(format!("{HTTP_ENDPOINT}: waiting for an address of this application"))
}

/// What is asked before anybody is told. A unit that has nobody to tell asks as whom the certificate is for.
pub fn question(listener: Listener, identity: Option<&Identity>, url: Option<&Url>) -> Question {
    let Some(identity) = identity else { return Question::Plain };
    let first_name = || identity.leaf().names.iter().find_map(|name| listener.url_at(&name.to_string()));
    Question::Tls {
        urls: url.cloned().or_else(first_name).into_iter().collect(),
        authorities: identity.authorities.clone(),
    }
}

/// What of the ways here is not served yet.
pub fn remark(facts: &Facts, identity: Option<&Identity>) -> Option<Status> {
    let related = facts.unserved.join(" and ");
    let how = if identity.is_some() { "at the Service of this application" } else { "over plain HTTP" };
    let text = format!("alerts are received {how}: this revision of the charm cannot serve {related} yet");
    (!related.is_empty()).then_some(Status::Active(text))
}
