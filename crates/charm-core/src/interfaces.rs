//! The relation interfaces: one file each, plain structs, one per direction that our charms speak or read.
//!
//! The schema and real databags of each stand in `metadata/interfaces`; a test compares the two lists and reads every
//! databag.

use std::fmt;

use url::Url;

use crate::relation::Databag;
use crate::status::one_line;

pub mod certificate_transfer;
pub mod cos_agent;
pub mod falcosidekick_http_endpoint;
pub mod grafana_dashboard;
pub mod ingress;
pub mod loki_push_api;
pub mod prometheus_scrape;
pub mod tls_certificates;

/// The longest URL taken from a databag, in bytes. Servers refuse longer ones, too.
const LONGEST_URL: usize = 2_048;

/// How much of a bad value a message quotes, in characters.
const LONGEST_QUOTE: usize = 80;

/// What one side of an interface says in one databag.
pub trait RelationData: Sized {
    /// `Ok(None)`: not published yet. `Err`: published, and unusable. Keys that are not known are of no account.
    fn read(databag: &Databag) -> Result<Option<Self>, DatabagError>;

    /// What to set. A key that the data no longer has gets the empty value, which removes it.
    fn write(&self) -> Databag;
}

/// A databag that cannot be used, in words for a status: `published url "x": it is not a URL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabagError {
    key: &'static str,
    value: String,
    problem: String,
}

impl DatabagError {
    /// `problem` is a sentence about the value, without a full stop.
    pub fn new(key: &'static str, value: &str, problem: impl Into<String>) -> Self {
        // What stands before an @ may be a password, and in a value that is no URL nobody can tell where that begins.
        let shown = match value.rsplit_once('@') {
            Some((_, rest)) => &format!("…@{rest}"),
            None => value,
        };
        Self { key, value: one_line(shown, LONGEST_QUOTE), problem: problem.into() }
    }
}

impl fmt::Display for DatabagError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, problem } = self;
        write!(out, "published {key} {value:?}: {problem}")
    }
}

impl std::error::Error for DatabagError {}

/// An http or https URL with a host. What comes out is normalised: no blanks, quotes, control characters or line feeds,
/// whatever the other side wrote.
fn http_url(key: &'static str, text: &str) -> Result<Url, DatabagError> {
    let failed = |problem: &str| DatabagError::new(key, text, problem);
    if text.len() > LONGEST_URL {
        return Err(failed(&format!("it is longer than {LONGEST_URL} bytes")));
    }
    let url = Url::parse(text).map_err(|error| failed(&format!("it is not a URL ({error})")))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err(failed("it is not an http or https URL")),
    }
}
