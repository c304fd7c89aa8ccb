//! Servers that send alerts elsewhere. Falcosidekick follows a redirect 301, 302 or 303 as a GET, without the alert, and
//! counts it as delivered: nothing of it is to be seen in its counters or its log. So the servers are asked.
//!
//! They are asked once for each configuration, with a question that changes nothing there, and again only those that
//! were found to send elsewhere. Only servers over plain HTTP: what sends elsewhere is mostly what sends to HTTPS, and
//! over HTTPS it would take the trust of Falcosidekick to ask.

use std::collections::BTreeMap;
use std::time::Duration;

use charm_core::digest::Digest;
use charm_core::http;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use url::Url;

use crate::outputs::hosts_only;

/// For all servers together. One that is not there costs two seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// A URL to which an output sends alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The output.
    pub path: &'static str,
    /// Where to.
    pub url: Url,
    /// Whether alerts go exactly there, and not to a path below.
    pub is_whole: bool,
}

/// What is known of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirects {
    /// Of which targets; the digest of all their URLs.
    of: String,
    /// What to tell of an output that sends elsewhere. Holds nothing but hosts.
    found: BTreeMap<String, String>,
}

impl Redirects {
    /// What to tell the operator.
    pub fn remarks(&self) -> impl Iterator<Item = &String> {
        self.found.values()
    }

    /// What is known after those were asked that have to be.
    pub async fn after(&self, targets: &[Target]) -> Self {
        let of = Digest::of_all(targets.iter().map(|target| target.url.as_str().as_bytes())).to_string();
        let is_new = of != self.of;
        let asked = targets.iter().filter(|target| target.url.scheme() == "http");
        let asked = asked.filter(|target| is_new || self.found.contains_key(target.path));
        let mut found = BTreeMap::new();
        let all = async {
            for target in asked {
                if let Ok(Some(location)) = http::redirect_of(target.url.as_str()).await {
                    found.extend(remark(target, &location).map(|text| (target.path.to_owned(), text)));
                }
            }
        };
        // Those that were not reached in time are not known to send elsewhere.
        drop(timeout(PATIENCE, all).await);
        Self { of, found }
    }
}

/// What to tell of a server that sends elsewhere. At the root of a server that is nothing as long as it stays there:
/// pages for people are often somewhere else.
fn remark(target: &Target, location: &str) -> Option<String> {
    let Target { path, url, is_whole } = target;
    let elsewhere = url.join(location).ok()?;
    let is_other_server = elsewhere.origin() != url.origin();
    let server = |url: &Url| hosts_only(&url.origin().ascii_serialization());
    (*is_whole || is_other_server).then(|| {
        format!(
            "{path}: {} redirects to {}, where Falcosidekick goes without the alert; set the address that it redirects to",
            server(url),
            server(&elsewhere)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str, is_whole: bool) -> Target {
        Target { path: "webhook", url: url.parse().unwrap(), is_whole }
    }

    #[test]
    fn a_redirect_is_told_with_hosts_alone() {
        let text = remark(&target("http://u:hunter2@h:81/hunter2?a=hunter2", true), "https://x/hunter2").unwrap();
        assert_eq!(
            text,
            "webhook: http://h:81 redirects to https://x, where Falcosidekick goes without the alert; set the address that \
             it redirects to"
        );
        assert!(remark(&target("http://h/a", true), "/a/").is_some());
    }

    #[test]
    fn a_page_for_people_at_the_root_of_a_server_is_no_redirect_of_alerts() {
        assert_eq!(remark(&target("http://h/", false), "/login"), None);
        assert!(remark(&target("http://h/", false), "https://h/").is_some());
    }

    #[test]
    fn servers_over_https_and_those_that_were_asked_are_not_asked() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        server.set_nonblocking(true).unwrap();
        let address = server.local_addr().unwrap();
        let secure = [target(&format!("https://{address}/"), true)];
        let known = runtime.block_on(Redirects::default().after(&secure));
        assert!(server.accept().is_err(), "it was asked");
        assert_eq!(runtime.block_on(known.after(&secure)), known);
        let plain = [target(&format!("http://{address}/"), true)];
        let known = runtime.block_on(known.after(&plain));
        assert!(server.accept().is_ok());
        runtime.block_on(known.after(&plain));
        assert!(server.accept().is_err(), "it was asked again");
    }
}
