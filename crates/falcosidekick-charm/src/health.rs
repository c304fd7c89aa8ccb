//! Do alerts arrive, and does Pebble find Falcosidekick alive? Falcosidekick answers each alert before it passes it on,
//! drops what it cannot deliver, and says it is healthy all the while. So this is only to be seen in what it counts.
//!
//! A look costs one question to `/metrics`, which is not one to Juju or to Pebble. Pebble is asked only after it told
//! that the check failed, and until it is up again; what Pebble starts again by itself is left to it.

pub mod known;
pub mod metrics;
pub mod redirects;

use anyhow::Result;
use charm_core::pebble::{CheckInfo, CheckStatus};
use charm_core::status::one_line;
use charm_core::{Hook, Status, clock, files, http};

use self::known::Known;
use self::metrics::Counters;
use crate::listener::Listener;
use crate::log;
use crate::names::{CHECK, CONTAINER, SERVICE};
use crate::plan::{Plan, Seen, ServiceAction};

/// What was known after the last look. Gone with the pod, as the counters are.
pub const FILE: &str = "/run/juju-falcosidekick/health.json";

/// How much of an answer is quoted, in characters.
const LONGEST: usize = 150;

/// What a look has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// The check is down.
    check: Option<Status>,
    /// What does not keep Falcosidekick from working.
    remarks: Vec<String>,
}

impl Health {
    /// The status of a unit whose status is this one otherwise.
    pub fn status(self, other: Status) -> Status {
        let Self { check, mut remarks } = self;
        if let Status::Active(text) = &other {
            remarks.extend(Some(text.clone()).filter(|text| !text.is_empty()));
        }
        let with_remarks = match other {
            Status::Active(_) => Status::Active(remarks.join("; ")),
            other => other,
        };
        Status::worst(check.into_iter().chain([with_remarks.clone()])).unwrap_or(with_remarks)
    }
}

/// Looks at Falcosidekick once it was found to serve, and remembers what it has counted by now.
pub async fn look(hook: &Hook, plan: &Plan, seen: &Seen) -> Result<Health> {
    let (ServiceAction::Run(listener, _), Seen::Serving | Seen::Without { .. }) = (&plan.service, seen) else {
        return Ok(Health::default());
    };
    let before = read(hook)?;
    let check = check(hook, &before).await?;
    let mut health = Health::default();
    let mut known = match counters(*listener).await {
        Ok(counters) => before.after(&counters, clock::now()),
        Err(words) => {
            let words = log::without(&words, plan.secrets.expose());
            health.remarks.push(format!("metrics: what becomes of alerts is not known: {words}"));
            before.clone()
        }
    };
    let pebble = hook.container(CONTAINER)?;
    let trust = async || redirects::trust(&pebble).await;
    known.redirects = before.redirects.after(known.started(), plan.targets.expose(), trust).await;
    health.remarks.extend(known.remarks());
    known.check_is_down = check.is_some();
    if let Some(check) = check {
        let answer = ask(&listener.health_url()).await.map(|_| ());
        health.check = Some(check_status(&check, &listener.health_url(), answer, &hook.unit.to_string()));
    }
    if known != before {
        write(hook, &known);
    }
    Ok(health)
}

/// What was known. Without the file, everything is new.
pub fn read(hook: &Hook) -> Result<Known> {
    Ok(files::noted(&hook.path(FILE))?.unwrap_or_default())
}

/// Alerts are passed on whether this can be written or not.
fn write(hook: &Hook, known: &Known) {
    if let Err(error) = files::note(&hook.path(FILE), known) {
        tracing::warn!("the next look will count from zero: {error:#}");
    }
}

/// What Falcosidekick counts, or why that is not known.
pub async fn counters(listener: Listener) -> Result<Counters, String> {
    let url = listener.metrics_url();
    let body = ask(&url).await?;
    Counters::parse(&body).ok_or_else(|| format!("{url} answers with no metrics: {:?}", one_line(&body, LONGEST)))
}

async fn ask(url: &str) -> Result<String, String> {
    match http::get(url).await {
        Ok(http::Answer { status: 200, body }) if body.len() < http::LARGEST => Ok(body),
        Ok(http::Answer { status: 200, .. }) => Err(format!("{url} answers with more than {} bytes", http::LARGEST)),
        Ok(http::Answer { status, body }) => Err(format!("{url} answers {status} {:?}", one_line(&body, LONGEST))),
        Err(error) if error.is_timeout() => Err(format!("{url} does not answer in time")),
        Err(error) => Err(format!("{url}: {}", anyhow::Error::new(error).root_cause())),
    }
}

/// The check, if it is down. Pebble is asked only when there is a reason to.
async fn check(hook: &Hook, known: &Known) -> Result<Option<CheckInfo>> {
    let is_told = ["failed", "recovered"].iter().any(|what| hook.event.is(&format!("{CONTAINER}-pebble-check-{what}")));
    if !is_told && !known.check_is_down {
        return Ok(None);
    }
    match hook.container(CONTAINER)?.checks(&[CHECK]).await {
        Ok(checks) => Ok(checks.into_iter().find(|check| check.status == CheckStatus::Down)),
        Err(error) if error.is_not_ready() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What to tell of a check that is down, from what answers by now.
fn check_status(check: &CheckInfo, url: &str, answer: Result<(), String>, unit: &str) -> Status {
    let CheckInfo { name, failures, .. } = check;
    match answer {
        Ok(()) => Status::Waiting(format!(
            "{name}: the check failed {failures} times in a row, and {url} answers by now; waiting for Pebble to see it"
        )),
        // Pebble restarts once when a check goes down, and not again before it was up.
        Err(words) => Status::Blocked(format!(
            "{name}: the check failed {failures} times in a row, and a restart of {SERVICE} by Pebble has not helped: \
             {words}; look at what it logs, and run: juju run {unit} restart"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn down() -> CheckInfo {
        CheckInfo { name: CHECK.to_owned(), status: CheckStatus::Down, failures: 3, threshold: 3 }
    }

    #[test]
    fn a_check_that_is_down_waits_while_it_is_answered_and_blocks_while_it_is_not() {
        let url = "http://127.0.0.1:2810/healthz";
        let Status::Waiting(text) = check_status(&down(), url, Ok(()), "sidekick/0") else { panic!() };
        assert!(text.starts_with("health: the check failed 3 times in a row, and http://127.0.0.1:2810/"), "{text}");
        let refused = Err(format!("{url}: Connection refused"));
        let Status::Blocked(text) = check_status(&down(), url, refused, "sidekick/0") else { panic!() };
        assert!(text.contains("Connection refused") && text.ends_with("juju run sidekick/0 restart"), "{text}");
    }

    #[test]
    fn remarks_stand_before_others_and_never_hide_what_is_worse() {
        let health = |check| Health { check, remarks: vec!["a".to_owned(), "b".to_owned()] };
        assert_eq!(health(None).status(Status::active()), Status::Active("a; b".into()));
        assert_eq!(health(None).status(Status::Active("c".into())), Status::Active("a; b; c".into()));
        assert_eq!(health(None).status(Status::Blocked("c".into())), Status::Blocked("c".into()));
        let waiting = Status::Waiting("w".into());
        assert_eq!(health(Some(waiting.clone())).status(Status::active()), waiting);
        assert_eq!(health(Some(waiting)).status(Status::Blocked("c".into())), Status::Blocked("c".into()));
        assert_eq!(Health::default().status(Status::active()), Status::active());
    }

    /// A server that gives this answer to every question.
    fn answers(answer: Vec<u8>) -> Listener {
        use std::io::{Read as _, Write as _};
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for mut stream in server.incoming().flatten() {
                let mut request = [0; 4096];
                // Who goes away before the end has seen enough.
                drop(stream.read(&mut request).and_then(|_| stream.write_all(&answer)));
            }
        });
        Listener::plain(port.to_string().parse().unwrap())
    }

    fn counters(listener: Listener) -> Result<Counters, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(super::counters(listener))
    }

    fn page(status: &str, body: &str) -> Vec<u8> {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[test]
    fn whatever_is_answered_in_place_of_metrics_is_told_in_a_few_words() {
        let long = "# TYPE x counter\n".repeat(300_000);
        for (answer, words) in [
            (page("200 OK", "<html>hello</html>"), "answers with no metrics: \"<html>hello</html>\""),
            (page("200 OK", ""), "answers with no metrics: \"\""),
            (page("404 Not Found", "404 page not found\n"), "answers 404 \"404 page not found\""),
            (page("200 OK", &long), "answers with more than 4194304 bytes"),
            (b"\x00\xffnot HTTP at all\r\n\r\n".to_vec(), ""),
            (Vec::new(), ""),
        ] {
            let told = counters(answers(answer)).unwrap_err();
            assert!(told.starts_with("http://127.0.0.1:") && told.contains(words) && told.len() < 400, "{told}");
        }
        let good = counters(answers(page("200 OK", "# TYPE go_goroutines gauge\ngo_goroutines 9\n")));
        assert_eq!(good, Ok(Counters::default()));
    }

    #[test]
    fn nobody_and_somebody_who_never_answers_are_told() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = Listener::plain(server.local_addr().unwrap().port().to_string().parse().unwrap());
        assert!(counters(listener).unwrap_err().ends_with("does not answer in time"));
        drop(server);
        assert!(counters(listener).unwrap_err().to_lowercase().contains("refused"));
    }
}
