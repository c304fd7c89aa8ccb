//! Does Falcosidekick answer, and as whom?

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use charm_core::http::{self, Answer};
use charm_core::https::{self, Trust};
use url::Url;

use super::cut;
use crate::listener::{Listener, PING};
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
        over_tls(url, here, &trust).await?;
    }
    Ok(())
}

async fn in_clear_text(url: &str) -> Result<(), NoAnswer> {
    match http::get(url).await {
        Ok(answer) => is_pong(url, &answer),
        Err(error) => Err(NoAnswer::Silent(format!("{url}: {}", anyhow::Error::new(error).root_cause()))),
    }
}

async fn over_tls(url: &Url, here: SocketAddr, trust: &Trust) -> Result<(), NoAnswer> {
    let mut url = url.clone();
    url.set_path(PING);
    match https::get(&url, Some(here), trust).await {
        Ok(answer) => is_pong(url.as_str(), &answer),
        Err(https::Error::NoAnswer(words)) => Err(NoAnswer::Silent(format!("{here} as {url}: {words}"))),
        Err(https::Error::NotTrusted(words)) => Err(NoAnswer::NotTrusted(format!("{url}: {words}"))),
    }
}

fn is_pong(url: &str, answer: &Answer) -> Result<(), NoAnswer> {
    match answer {
        Answer { status: 200, body } if body.trim_end() == "pong" => Ok(()),
        Answer { status, body } => Err(NoAnswer::Silent(format!("{url} answers {status} {:?}", cut(body)))),
    }
}
