//! Grafana dashboards as databags carry them: base64 of an xz stream of their JSON. Pure.
//!
//! The same dashboard always gives the same text, so that a databag is not written without a reason.

use std::io::Write;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lzma_rust2::{XzOptions, XzWriter};

/// As far back as the encoder looks, in bytes. It allocates ten times that, and no dashboard of ours is longer.
const WINDOW: u32 = 64 * 1024;

/// How hard the encoder tries. Every hook of every unit does this, and more than this takes three times as long for a
/// few bytes in a hundred.
const PRESET: u32 = 3;

/// Encodes a dashboard. Blanks between the parts of the JSON are left out.
pub fn encode(json: &str) -> Result<String> {
    let failed = "failed to encode a dashboard";
    let dashboard: serde_json::Value = serde_json::from_str(json).context(failed)?;
    let mut options = XzOptions::with_preset(PRESET);
    options.lzma_options.dict_size = WINDOW;
    let mut writer = XzWriter::new(Vec::new(), options).context(failed)?;
    writer.write_all(dashboard.to_string().as_bytes()).context(failed)?;
    Ok(STANDARD.encode(writer.finish().context(failed)?))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use lzma_rust2::XzReader;

    use super::*;

    #[test]
    fn what_is_encoded_is_the_dashboard_without_blanks_and_shorter() {
        let long = "x".repeat(100_000);
        let json = format!("{{ \"title\" : \"Ünit\", \"panels\": [ ], \"text\": \"{long}\" }}\n");
        let text = encode(&json).unwrap();
        assert!(text.len() < 1_000 && !text.contains(char::is_whitespace), "{} bytes", text.len());
        let mut read = String::new();
        XzReader::new(&*STANDARD.decode(&text).unwrap(), false).read_to_string(&mut read).unwrap();
        assert_eq!(read, format!("{{\"panels\":[],\"text\":\"{long}\",\"title\":\"Ünit\"}}"));
        assert_eq!(text, encode(&json).unwrap());
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        assert!(encode("{").is_err());
    }
}
