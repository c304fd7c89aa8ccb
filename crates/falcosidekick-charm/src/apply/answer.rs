//! Does Falcosidekick answer, and as whom?

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::Result;
use charm_core::http::{self, Answer};
use charm_core::https::{self, Trust};
use charm_core::x509::Certificate;
use charm_core::{Hook, files};
use url::Url;

use super::cut;
use crate::address::WayIn;
use crate::listener::{Listener, PING};
use crate::names::KNOWN_AUTHORITIES_FILE;
use crate::plan::Question;

/// Falcosidekick answers a tenth of a second after its start. One that needs longer than this is in trouble.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(100);

/// Why there is no answer that counts.
#[derive(Debug)]
pub enum NoAnswer {
    /// Nobody is there, or somebody else.
    Silent(String),
    /// Whom we send there will not believe it.
    NotTrusted(String),
}

/// Asks the listener until it answers as only Falcosidekick does, as everybody as whom it is to answer.
pub async fn wait_for(listener: Listener, question: &Question) -> Result<(), NoAnswer> {
    let begin = Instant::now();
    loop {
        match once(listener, question).await {
            Err(NoAnswer::Silent(_)) if begin.elapsed() < PATIENCE => tokio::time::sleep(PAUSE).await,
            other => return other,
        }
    }
}

/// The same once.
pub async fn once(listener: Listener, question: &Question) -> Result<(), NoAnswer> {
    let (urls, authorities) = match question {
        Question::Plain => return in_clear_text(&listener.ping_url()).await,
        Question::Tls { urls, authorities } => (urls, authorities),
    };
    if urls.is_empty() {
        return Err(NoAnswer::NotTrusted("the certificate is for nobody".to_owned()));
    }
    let trust = Trust::only(authorities);
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, listener.port));
    for url in urls {
        let mut url = url.clone();
        url.set_path(PING);
        over_tls(&url, Some(here), &trust).await?;
    }
    Ok(())
}

/// Asks through the way in from outside, as a caller from there would.
pub async fn through(hook: &Hook, WayIn { ping, authorities }: &WayIn) -> Result<Result<(), NoAnswer>> {
    if ping.scheme() == "http" {
        return Ok(in_clear_text(ping).await);
    }
    let known = files::read(&hook.path(KNOWN_AUTHORITIES_FILE))?.unwrap_or_default();
    let mut all = Certificate::all(&String::from_utf8_lossy(&known));
    all.extend(authorities.iter().cloned());
    Ok(over_tls(ping, None, &Trust::only(&all)).await)
}

async fn in_clear_text(url: &Url) -> Result<(), NoAnswer> {
    match http::get(url.as_str()).await {
        Ok(answer) => is_pong(url, &answer),
        Err(error) => Err(NoAnswer::Silent(format!("{}: {}", shown(url), anyhow::Error::new(error).root_cause()))),
    }
}

async fn over_tls(url: &Url, at: Option<SocketAddr>, trust: &Trust) -> Result<(), NoAnswer> {
    match https::get(url, at, trust).await {
        Ok(answer) => is_pong(url, &answer),
        Err(https::Error::NoAnswer(words)) => Err(NoAnswer::Silent(format!("{}: {words}", shown(url)))),
        Err(https::Error::NotTrusted(words)) => Err(NoAnswer::NotTrusted(format!("{}: {words}", shown(url)))),
    }
}

/// Neither user nor path: a peer may have put a password into either.
fn shown(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn is_pong(url: &Url, answer: &Answer) -> Result<(), NoAnswer> {
    match answer {
        Answer { status: 200, body } if body.trim_end() == "pong" => Ok(()),
        Answer { status, body } => Err(NoAnswer::Silent(format!("{} answers {status} {:?}", shown(url), cut(body)))),
    }
}
