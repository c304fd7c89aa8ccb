//! Under which names this unit is reached, and what is asked there before anybody is told. Pure.

use std::collections::BTreeSet;

use charm_core::x509::Name;
use url::Url;

use crate::facts::Facts;
use crate::kubernetes;
use crate::listener::Listener;
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
    let way_in = facts.ingress.as_ref().and_then(|ingress| ingress.published.as_ref().ok()?.as_ref());
    let way_in = way_in.and_then(|provider| provider.url.host_str());
    let outside = kubernetes::decide::hosts(&facts.cluster);
    let told = outside.iter().chain(&facts.addresses).map(String::as_str).chain(way_in);
    let told: BTreeSet<Name> = told.filter_map(Name::of_host).collect();
    let all = hosts.iter().filter_map(|host| Name::of_host(host)).chain(told.iter().cloned()).collect();
    Names { common: pod, all, told }
}

/// What is asked before anybody is told. A unit that has nobody to tell asks as whom the certificate is for.
pub fn question(listener: Listener, identity: Option<&Identity>, mut urls: Vec<Url>) -> Question {
    let Some(identity) = identity else { return Question::Plain };
    if urls.is_empty() {
        urls.extend(identity.leaf().names.iter().find_map(|name| listener.url_at(&name.to_string())));
    }
    Question::Tls { urls, authorities: identity.authorities.clone() }
}
