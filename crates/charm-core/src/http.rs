//! Small questions to servers nearby: does a port answer, and what. Plain HTTP, short limits, bounded answers.

use std::time::Duration;

/// A server on the same machine that needs longer is not healthy, and a hook may not wait for it.
const LIMIT: Duration = Duration::from_secs(2);

/// More than any answer the charms look at.
const LARGEST: usize = 4 * 1024 * 1024;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, cut at 4 MiB.
    pub body: String,
}

/// Asks once. No answer in time, or none at all, is `Err` with the reason.
pub async fn get(url: &str) -> Result<Answer, reqwest::Error> {
    // Proxies are for servers far away, and a redirect would be an answer of somebody else.
    let client =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(LIMIT).build()?;
    let mut response = client.get(url).send().await?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk[..chunk.len().min(LARGEST - body.len())]);
        if body.len() == LARGEST {
            break;
        }
    }
    Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
}
