//! One systemd unit: what it does, and what it should do.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::files;
use crate::hook::Hook;
use crate::process::{Command, Error};

/// No start or stop may take longer; systemd's own limit for a unit is below.
const LIMIT: Duration = Duration::from_secs(120);

/// The properties asked for, in the words of systemd.
const PROPERTIES: &str =
    "LoadState,ActiveState,SubState,Result,MainPID,NRestarts,FragmentPath,NeedDaemonReload,UnitFileState";

/// What systemd says about a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// `active`, `inactive`, `failed`, `activating`, …
    pub active_state: String,
    /// `running`, `dead`, `auto-restart`, …
    pub sub_state: String,
    /// Why it is not running: `exit-code`, `signal`, …
    pub result: String,
    /// The main process, while there is one.
    pub main_pid: Option<u32>,
    /// The unit file in use; `None` when there is none.
    pub fragment_path: Option<String>,
    /// The file changed since systemd read it.
    pub needs_reload: bool,
    /// It starts at boot.
    pub enabled: bool,
}

impl Unit {
    /// Is it up, as far as systemd can tell?
    pub fn is_running(&self) -> bool {
        self.active_state == "active" && self.main_pid.is_some()
    }
}

/// What systemd says about a unit, also one that does not exist.
pub fn show(unit: &str) -> Result<Unit> {
    let text = systemctl(&["show", "--property", PROPERTIES, unit])?;
    let text = String::from_utf8(text).context("systemctl show printed no text")?;
    Ok(parse(&text))
}

/// A variable of the environment that the main process of a unit was started with: the unit file may have changed since.
pub async fn running_environment(hook: &Hook, unit: &Unit, variable: &str) -> Result<Option<String>> {
    /// For an instant around its start a process shows no environment at all, which says nothing.
    const LOOKS: u32 = 20;
    const PAUSE: Duration = Duration::from_millis(10);
    let Some(pid) = unit.main_pid else { return Ok(None) };
    for _ in 0..LOOKS {
        // The process may end at any moment, and then has no environment: that is an answer, not an error.
        let Ok(Some(environment)) = files::read(&hook.path(&format!("/proc/{pid}/environ"))) else { return Ok(None) };
        if !environment.is_empty() {
            let entries = environment.split(|byte| *byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok());
            let mut pairs = entries.filter_map(|entry| entry.split_once('='));
            return Ok(pairs.find(|(name, _)| *name == variable).map(|(_, value)| value.to_owned()));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(None)
}

/// Makes systemd read the unit files again.
pub fn daemon_reload() -> Result<()> {
    systemctl(&["daemon-reload"]).map(drop)
}

/// Has a unit started at each boot.
pub fn enable(unit: &str) -> Result<()> {
    systemctl(&["enable", unit]).map(drop)
}

/// Starts a unit.
pub fn start(unit: &str) -> Result<()> {
    // A unit that failed too often refuses to start until its failures are forgotten. The error is that it is not
    // loaded yet.
    let _ = systemctl(&["reset-failed", unit]);
    systemctl(&["start", unit]).map(drop)
}

/// Stops a unit and starts it again.
pub fn restart(unit: &str) -> Result<()> {
    let _ = systemctl(&["reset-failed", unit]);
    systemctl(&["restart", unit]).map(drop)
}

/// Lets a running unit take in its files again.
pub fn reload(unit: &str) -> Result<()> {
    systemctl(&["reload", unit]).map(drop)
}

/// Stops a unit, now and for each boot. One that is not there is stopped.
pub fn disable_and_stop(unit: &str) -> Result<()> {
    for verb in ["stop", "disable"] {
        match systemctl(&[verb, unit]) {
            Err(error) if is_not_loaded(&error) => tracing::debug!("{error:#}"),
            other => other.map(drop)?,
        }
    }
    let _ = systemctl(&["reset-failed", unit]);
    Ok(())
}

/// The last lines that a unit logged, oldest first, or nothing when the journal cannot be read: it only serves to
/// explain.
pub fn last_lines(unit: &str, count: usize) -> Vec<String> {
    let command = Command::new("journalctl").args([
        "--unit",
        unit,
        "--lines",
        &count.to_string(),
        "--output",
        "cat",
        "--no-pager",
    ]);
    match command.limit(Duration::from_secs(10)).run() {
        Ok(text) => String::from_utf8_lossy(&text).lines().map(str::to_owned).collect(),
        Err(error) => {
            tracing::debug!("{error}");
            Vec::new()
        }
    }
}

/// A line that a service printed itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// In microseconds since 1970.
    pub time: u64,
    /// What it says.
    pub text: String,
}

/// The last lines that a unit printed itself, oldest first, or nothing when the journal cannot be read. What it sent to
/// the system log is left out: others may choose the words of that.
pub fn printed_lines(unit: &str, count: usize) -> Vec<Line> {
    let count = count.to_string();
    let command = Command::new("journalctl").args([
        "--unit",
        unit,
        "--lines",
        &count,
        "--output",
        "json",
        "--no-pager",
        "_TRANSPORT=stdout",
    ]);
    match command.limit(Duration::from_secs(10)).run() {
        Ok(text) => String::from_utf8_lossy(&text).lines().filter_map(parse_line).collect(),
        Err(error) => {
            tracing::debug!("{error}");
            Vec::new()
        }
    }
}

fn parse_line(entry: &str) -> Option<Line> {
    let entry: serde_json::Value = serde_json::from_str(entry).ok()?;
    // A message that is no UTF-8 is a list of numbers, and no line of a program that we know.
    let text = entry.get("MESSAGE")?.as_str()?.to_owned();
    Some(Line { time: entry.get("__REALTIME_TIMESTAMP")?.as_str()?.parse().ok()?, text })
}

fn systemctl(arguments: &[&str]) -> Result<Vec<u8>> {
    Ok(Command::new("systemctl").args(arguments).limit(LIMIT).run()?)
}

fn is_not_loaded(error: &anyhow::Error) -> bool {
    let words = ["not loaded", "does not exist", "not found", "No such file"];
    matches!(error.downcast_ref(), Some(Error::Failed(_, output)) if words.iter().any(|words| output.stderr.contains(words)))
}

fn parse(text: &str) -> Unit {
    let properties: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let get = |name: &str| properties.get(name).copied().unwrap_or_default();
    Unit {
        active_state: get("ActiveState").to_owned(),
        sub_state: get("SubState").to_owned(),
        result: get("Result").to_owned(),
        main_pid: get("MainPID").parse().ok().filter(|pid| *pid != 0),
        fragment_path: Some(get("FragmentPath")).filter(|path| !path.is_empty()).map(str::to_owned),
        needs_reload: get("NeedDaemonReload") == "yes",
        enabled: get("UnitFileState") == "enabled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemctl_show_prints_is_read() {
        let unit = parse(
            "ActiveState=active\nSubState=running\nMainPID=77\nFragmentPath=/etc/systemd/system/falco.service\nNeedDaemonReload=no\n",
        );
        assert!(unit.is_running());
        assert_eq!(unit.main_pid, Some(77));
        assert!(!unit.needs_reload);
    }

    #[test]
    fn an_entry_of_the_journal_is_read_and_one_that_is_no_text_is_left_out() {
        let entry = r#"{"__CURSOR":"s=1","__REALTIME_TIMESTAMP":"1764072000123456","MESSAGE":"a b","_PID":"7"}"#;
        assert_eq!(parse_line(entry), Some(Line { time: 1_764_072_000_123_456, text: "a b".into() }));
        assert_eq!(parse_line(&entry.replace("\"a b\"", "[97,255]")), None);
        assert_eq!(parse_line("-- No entries --"), None);
    }

    #[test]
    fn a_unit_that_does_not_exist_is_not_running() {
        let unit = parse("LoadState=not-found\nActiveState=inactive\nSubState=dead\nMainPID=0\nFragmentPath=\n");
        assert!(!unit.is_running());
        assert_eq!(unit.fragment_path, None);
    }
}
