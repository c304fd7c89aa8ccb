//! Servers that send alerts elsewhere. Falcosidekick follows a redirect 301, 302 or 303 as a GET, without the alert, and
//! counts it as delivered: nothing of it is to be seen in its counters or its log. So the servers are asked.
//!
//! They are asked once for each start of Falcosidekick, which is what another configuration or another authority takes,
//! with a question that changes nothing there, and again only those that were found to send elsewhere. Each is asked at the URL to which its alerts go, without a user, a password, a header or
//! an alert, and nobody is asked anything at the place that a redirect names. A server over HTTPS is asked only if it
//! shows a certificate that Falcosidekick believes as well. To one that does not, no alert is delivered, which is counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use charm_core::digest::Digest;
use charm_core::http;
use charm_core::https::{self, Trust};
use charm_core::pebble::Client;
use charm_core::x509::Certificate;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::Url;

use crate::names::{AUTHORITIES_FILE, KNOWN_AUTHORITIES_FILE};
use crate::outputs::hosts_only;

/// For all servers together, which are asked at the same time. One that is not there costs three seconds.
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
    /// Of which process with which targets; the digest of all of it.
    of: String,
    /// What to tell of an output that sends elsewhere. Holds nothing but hosts.
    found: BTreeMap<String, String>,
}

impl Redirects {
    /// What to tell the operator.
    pub fn remarks(&self) -> impl Iterator<Item = &String> {
        self.found.values()
    }

    /// What is known after those were asked that have to be. `started`: when the process began; `trust`: whom it believes.
    pub async fn after(&self, started: &str, targets: &[Target], trust: impl AsyncFnOnce() -> Trust) -> Self {
        let urls = targets.iter().map(|target| target.url.as_str());
        let of = Digest::of_all([started].into_iter().chain(urls).map(str::as_bytes)).to_string();
        let is_new = of != self.of;
        let asked: Vec<&Target> =
            targets.iter().filter(|target| is_new || self.found.contains_key(target.path)).collect();
        let is_secure = |target: &&Target| target.url.scheme() == "https";
        let trust = if asked.iter().any(is_secure) { Some(Arc::new(trust().await)) } else { None };
        let mut answers = JoinSet::new();
        for (place, target) in asked.into_iter().cloned().enumerate() {
            let trust = trust.clone();
            answers.spawn(async move { Some((place, target.path, remark(&target, &ask(&target, trust).await?)?)) });
        }
        let mut found = Vec::new();
        let all = async {
            while let Some(answer) = answers.join_next().await {
                found.extend(answer.ok().flatten());
            }
        };
        // Those that were not reached in time are not known to send elsewhere.
        drop(timeout(PATIENCE, all).await);
        // Of several servers of an output the first one is told, whoever answers first.
        found.sort_by_key(|(place, ..)| std::cmp::Reverse(*place));
        Self { of, found: found.into_iter().map(|(_, path, text)| (path.to_owned(), text)).collect() }
    }
}

/// Whom Falcosidekick believes: whoever its image does, and whom the charm was told to.
pub async fn trust(pebble: &Client) -> Trust {
    // Without them nobody is believed, and so nobody asked.
    let files = pebble.read_files(&[KNOWN_AUTHORITIES_FILE, AUTHORITIES_FILE]).await.unwrap_or_else(|error| {
        tracing::warn!("servers over HTTPS are not asked whether they send alerts elsewhere: {error}");
        BTreeMap::new()
    });
    let all: Vec<Certificate> =
        files.values().flat_map(|file| Certificate::all(&String::from_utf8_lossy(file))).collect();
    Trust::only(&all)
}

/// Where a server sends whoever comes with an alert.
async fn ask(target: &Target, trust: Option<Arc<Trust>>) -> Option<String> {
    let mut url = target.url.clone();
    url.set_username("").and_then(|()| url.set_password(None)).ok()?;
    match (url.scheme(), trust) {
        ("http", _) => http::redirect_of(url.as_str()).await.ok()?,
        ("https", Some(trust)) => https::redirect_of(&url, &trust).await.ok()?,
        _ => None,
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
    use std::net::TcpListener;

    use super::*;

    fn target(url: &str, is_whole: bool) -> Target {
        Target { path: "webhook", url: url.parse().unwrap(), is_whole }
    }

    async fn nobody() -> Trust {
        Trust::only(&[])
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

    /// What a server gets with the next question, which it answers with this.
    fn asked(listener: &TcpListener, head: &'static str) -> std::thread::JoinHandle<String> {
        use std::io::{Read as _, Write as _};
        let listener = listener.try_clone().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap();
            write!(stream, "HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n").unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        })
    }

    #[test]
    fn a_server_is_asked_once_a_start_and_again_while_it_sends_elsewhere_and_never_with_a_password() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let targets = [target(&format!("http://u:hunter2@{}/", listener.local_addr().unwrap()), true)];
        let after = |known: &Redirects, started| runtime.block_on(known.after(started, &targets, nobody));
        let elsewhere = "302 Found\r\nLocation: http://elsewhere/";

        let server = asked(&listener, elsewhere);
        let known = after(&Redirects::default(), "1");
        assert_eq!(known.remarks().count(), 1);
        let request = server.join().unwrap().to_lowercase();
        assert!(request.starts_with("options / ") && !request.contains("authorization"), "{request}");
        let server = asked(&listener, elsewhere);
        assert_eq!(after(&known, "1"), known);
        server.join().unwrap();

        let server = asked(&listener, "200 OK");
        let known = after(&known, "1");
        server.join().unwrap();
        assert_eq!(known.remarks().count(), 0);
        listener.set_nonblocking(true).unwrap();
        assert_eq!(after(&known, "1"), known);
        assert!(listener.accept().is_err(), "it was asked again");
        listener.set_nonblocking(false).unwrap();

        let server = asked(&listener, elsewhere);
        assert_eq!(after(&known, "2").remarks().count(), 1);
        server.join().unwrap();
    }

    #[test]
    fn whom_falcosidekick_believes_is_looked_up_only_to_ask_a_server_over_https() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let looked_up = std::cell::Cell::new(0);
        let trust = async || {
            looked_up.set(looked_up.get() + 1);
            nobody().await
        };
        let plain = [target(&format!("http://{closed}/"), true)];
        let known = runtime.block_on(Redirects::default().after("1", &plain, trust));
        assert_eq!(looked_up.get(), 0);
        let secure = [target(&format!("https://{closed}/"), true)];
        let known = runtime.block_on(known.after("1", &secure, trust));
        assert_eq!(looked_up.get(), 1);
        runtime.block_on(known.after("1", &secure, trust));
        assert_eq!(looked_up.get(), 1, "nothing is asked again");
    }
}
