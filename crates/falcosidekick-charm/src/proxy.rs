//! The proxies of the model, for Falcosidekick, which looks for them in its environment. Pure.

use std::collections::BTreeMap;

use charm_core::hook::Proxy;
use url::Url;

/// Names and addresses that are never on the other side of a proxy: this pod, and the services of this cluster.
const INSIDE: [&str; 5] = ["localhost", "127.0.0.1", "::1", ".svc", ".cluster.local"];

/// The variables, and a remark about a proxy that cannot be handed on. A proxy with a password is none that can: the
/// environment stands in Pebble's plan, where everybody in the container reads it, and there is no file for it.
pub fn environment(proxy: &Proxy, peers: &[&Url]) -> (BTreeMap<String, String>, Option<String>) {
    let mut variables = BTreeMap::new();
    let mut with_password = Vec::new();
    let mut outside = INSIDE.map(str::to_owned).to_vec();
    for (name, value) in proxy.variables() {
        match name {
            "no_proxy" => outside.extend(value.split(',').map(|entry| entry.trim().to_owned())),
            _ if value.contains('@') => with_password.push(name.replace('_', "-")),
            _ => drop(variables.insert(name.to_uppercase(), value.to_owned())),
        }
    }
    if !variables.is_empty() {
        outside
            .extend(peers.iter().filter_map(|url| url.host_str()).map(|host| host.trim_matches(['[', ']']).to_owned()));
        outside.retain(|entry| !entry.is_empty());
        outside.sort();
        outside.dedup();
        variables.insert("NO_PROXY".to_owned(), outside.join(","));
    }
    let remark = (!with_password.is_empty()).then(|| {
        let names = with_password.join(" and ");
        format!("{names}: of the model, not handed on to Falcosidekick, as the password in it would be seen by others")
    });
    (variables, remark)
}

#[cfg(test)]
mod tests {
    use charm_core::Hook;

    use super::*;

    fn proxy(set: &[(&str, &str)]) -> Proxy {
        let juju = [
            ("JUJU_UNIT_NAME", "sidekick/0"),
            ("JUJU_MODEL_NAME", "prod"),
            ("JUJU_MODEL_UUID", "12345678-1234-4234-8234-123456789abc"),
            ("JUJU_CHARM_DIR", "/charm"),
        ];
        let all = juju.iter().chain(set).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Hook::from_vars(&all).unwrap().proxy
    }

    #[test]
    fn without_proxies_nothing_is_set() {
        assert_eq!(environment(&proxy(&[]), &[]), (BTreeMap::new(), None));
        assert_eq!(environment(&proxy(&[("JUJU_CHARM_NO_PROXY", "a")]), &[]), (BTreeMap::new(), None));
    }

    #[test]
    fn peers_and_what_is_inside_the_cluster_are_reached_without_a_proxy() {
        let set = [("JUJU_CHARM_HTTPS_PROXY", "http://proxy:3128"), ("JUJU_CHARM_NO_PROXY", "10.0.0.0/8, a.example,")];
        let loki = "http://[fd00::1]:3100/".parse().unwrap();
        let (variables, remark) = environment(&proxy(&set), &[&loki]);
        assert_eq!(variables["HTTPS_PROXY"], "http://proxy:3128");
        assert_eq!(variables["NO_PROXY"], ".cluster.local,.svc,10.0.0.0/8,127.0.0.1,::1,a.example,fd00::1,localhost");
        assert_eq!(remark, None);
    }

    #[test]
    fn a_proxy_with_a_password_is_not_handed_on_and_the_password_is_not_told() {
        let set = [("JUJU_CHARM_HTTP_PROXY", "http://user:hunter2@proxy:3128")];
        let (variables, remark) = environment(&proxy(&set), &[]);
        assert!(variables.is_empty());
        let remark = remark.unwrap();
        assert!(remark.starts_with("http-proxy: ") && !remark.contains("hunter2"), "{remark}");
    }
}
