//! Small questions to servers nearby: does a port answer, and what. Plain HTTP, short limits, bounded answers.

use std::time::Duration;

/// A server on the same machine that needs longer is not healthy, and a hook may not wait for it.
const LIMIT: Duration = Duration::from_secs(2);

/// More than any answer the charms look at. One of this length was cut.
pub const LARGEST: usize = 4 * 1024 * 1024;

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
    answer(client()?.get(url)).await
}

/// Sends a JSON text once, as [`get`] asks.
pub async fn post_json(url: &str, json: String) -> Result<Answer, reqwest::Error> {
    answer(client()?.post(url).header(reqwest::header::CONTENT_TYPE, "application/json").body(json)).await
}

/// Where a server sends whoever comes with something to leave, and would have them come without it: the `Location` of a
/// redirect 301, 302 or 303. Asked with OPTIONS, which changes nothing there.
pub async fn redirect_of(url: &str) -> Result<Option<String>, reqwest::Error> {
    let answer = client()?.request(reqwest::Method::OPTIONS, url).send().await?;
    Ok(elsewhere(answer.status().as_u16(), answer.headers()))
}

/// The same of an answer that is there.
pub(crate) fn elsewhere(status: u16, headers: &reqwest::header::HeaderMap) -> Option<String> {
    let location = headers.get(reqwest::header::LOCATION).and_then(|place| place.to_str().ok());
    location.filter(|_| matches!(status, 301..=303)).map(str::to_owned)
}

fn client() -> Result<reqwest::Client, reqwest::Error> {
    // Proxies are for servers far away, and a redirect would be an answer of somebody else.
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(LIMIT).build()
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
    let mut response = request.send().await?;
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
