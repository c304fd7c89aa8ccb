//! How exposed the unit of Falco leaves the host, beside the one that Falco's packages bring.
//!
//! `systemd-analyze security` weighs what a unit may do; it knows nothing of what the program needs. Lower is better, and
//! a program that watches all of a host cannot come near zero.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use charm_core::config::RawConfig;
use charm_core::topology::Topology;
use falco_charm::config::Config;
use falco_charm::containers::Containers;
use falco_charm::distribution::Distribution;
use falco_charm::generation::Generation;
use falco_charm::render::{Inputs, unit::unit_file};

/// The settings of the unit of Falco 0.44 for the modern probe, as far as systemd weighs them.
const UPSTREAM: [&str; 9] = [
    "User=root",
    "UMask=0077",
    "NoNewPrivileges=yes",
    "PrivateTmp=true",
    "ProtectHome=read-only",
    "ProtectKernelTunables=true",
    "ProtectSystem=full",
    "RestrictAddressFamilies=~AF_PACKET",
    "RestrictRealtime=true",
];

/// The lines about it, or why there are none.
pub fn text() -> Result<String> {
    let folder = tempfile::tempdir().context("failed to make a folder")?;
    let upstream = format!("[Service]\nExecStart=/usr/bin/falco -o engine.kind=modern_ebpf\n{}\n", UPSTREAM.join("\n"));
    let mut text =
        "\nWhat each unit leaves open, by systemd-analyze security: 0 is nothing, 10 is everything\n\n".to_owned();
    for (name, unit) in [("falco.service of the charm", ours()?), ("falco-modern-bpf.service of 0.44", upstream)] {
        match exposure(folder.path(), &unit)? {
            Ok(level) => {
                let _ = writeln!(text, "  {name:<34}{level:>10}");
            }
            Err(reason) => return Ok(format!("\nexposure of the unit: NOT MEASURED: {reason}\n")),
        }
    }
    Ok(text)
}

/// The unit file of a unit in production, without any option.
fn ours() -> Result<String> {
    let config = Config::parse(&RawConfig::default()).map_err(|status| anyhow::anyhow!("{status}"))?;
    let inputs = Inputs {
        config: &config,
        topology: &Topology {
            model: "prod".into(),
            model_uuid: "12345678-1234-4234-8234-123456789abc".into(),
            application: "falco".into(),
            unit: "falco/0".into(),
            charm_name: "falco".into(),
        },
        root: "",
        distribution: &Distribution { name: "0.44.1-0123456789ab".into(), ..Distribution::default() },
        containers: &Containers::default(),
        generation: &Generation::default(),
        audit: None,
        url: None,
        authorities: None,
    };
    Ok(unit_file(&inputs).0)
}

/// The level of one unit. The inner error is why this machine cannot tell.
fn exposure(folder: &Path, unit: &str) -> Result<Result<String, String>> {
    let place = folder.join("falco.service");
    std::fs::write(&place, unit).context("failed to write a unit file")?;
    let command =
        Command::new("systemd-analyze").args(["security", "--offline=true", "--no-pager"]).arg(&place).output();
    let output = match command {
        Ok(output) => output,
        Err(error) => return Ok(Err(format!("systemd-analyze cannot be started: {error}"))),
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(level(&said).ok_or_else(|| match String::from_utf8_lossy(&output.stderr).trim() {
        "" => "systemd-analyze names no level".to_owned(),
        error => error.to_owned(),
    }))
}

/// `→ Overall exposure level for falco.service: 6.0 MEDIUM`, with a face behind it.
fn level(said: &str) -> Option<String> {
    let line = said.lines().find(|line| line.contains("Overall exposure level"))?;
    let mut words = line.rsplit_once(": ")?.1.split_whitespace();
    Some(format!("{} {}", words.next()?, words.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_taken_from_the_last_line() {
        let said =
            "✓ UMask=  Files of it: nobody else's\n\n→ Overall exposure level for falco.service: 6.0 MEDIUM 😐\n";
        assert_eq!(level(said).as_deref(), Some("6.0 MEDIUM"));
        assert_eq!(level("Unknown command\n"), None);
    }

    #[test]
    #[ignore = "needs systemd-analyze: make test-machine"]
    fn the_unit_of_the_charm_leaves_less_open_than_that_of_the_packages() {
        let text = text().unwrap();
        let levels: Vec<f64> =
            text.lines().filter_map(|line| line.get(36..)?.split_whitespace().next()?.parse().ok()).collect();
        assert!(matches!(levels[..], [ours, upstream] if ours < upstream), "{text}");
    }
}
