//! What `systemctl show` and `status` say about a unit.

use super::manager::{LoadState, State, Unit};
use super::settings::{Kind, Restart};

/// The properties that are modelled, in the order in which systemd lists them.
pub const KNOWN: [&str; 28] = [
    "Type",
    "Restart",
    "RestartUSec",
    "TimeoutStopUSec",
    "RemainAfterExit",
    "MainPID",
    "ControlPID",
    "StatusErrno",
    "Result",
    "NRestarts",
    "ExecMainPID",
    "ExecMainCode",
    "ExecMainStatus",
    "Environment",
    "EnvironmentFiles",
    "UMask",
    "Id",
    "Names",
    "Description",
    "LoadState",
    "ActiveState",
    "SubState",
    "FragmentPath",
    "DropInPaths",
    "UnitFileState",
    "CanReload",
    "NeedDaemonReload",
    "LoadError",
];

/// Every modelled property with its value.
pub fn properties(unit: &Unit, needs_reload: bool) -> Vec<(&'static str, String)> {
    KNOWN.into_iter().map(|property| (property, value(unit, property, needs_reload))).collect()
}

fn value(unit: &Unit, property: &str, needs_reload: bool) -> String {
    let settings = unit.settings.as_ref();
    match property {
        "Type" => match settings.map(|settings| settings.kind) {
            Some(Kind::Oneshot) => "oneshot",
            Some(Kind::Exec) => "exec",
            Some(Kind::Simple) | None => "simple",
        }
        .to_owned(),
        "Restart" => match settings.map(|settings| settings.restart) {
            Some(Restart::OnSuccess) => "on-success",
            Some(Restart::OnFailure) => "on-failure",
            Some(Restart::OnAbnormal) => "on-abnormal",
            Some(Restart::OnAbort) => "on-abort",
            Some(Restart::Always) => "always",
            Some(Restart::No) | None => "no",
        }
        .to_owned(),
        "RestartUSec" => settings.map_or_else(|| "100ms".into(), |settings| span(settings.restart_delay)),
        "TimeoutStopUSec" => settings.map_or_else(|| "1min 30s".into(), |settings| span(settings.stop_timeout)),
        "RemainAfterExit" => yes(settings.is_some_and(|settings| settings.remain_after_exit)),
        "MainPID" => unit.main_pid.to_string(),
        "ControlPID" | "StatusErrno" => "0".to_owned(),
        "Result" => unit.result.as_str().to_owned(),
        "NRestarts" => unit.restarts.to_string(),
        "ExecMainPID" => unit.last_pid.to_string(),
        "ExecMainCode" => unit.main_code.to_string(),
        "ExecMainStatus" => unit.main_status.to_string(),
        "Environment" => settings.map_or_else(String::new, |settings| {
            let quoted: Vec<String> =
                settings.environment.iter().map(|(name, value)| quote(&format!("{name}={value}"))).collect();
            quoted.join(" ")
        }),
        "EnvironmentFiles" => settings.map_or_else(String::new, |settings| {
            let files: Vec<String> = settings
                .environment_files
                .iter()
                .map(|(path, optional)| format!("{path} (ignore_errors={})", yes(*optional)))
                .collect();
            files.join(" ")
        }),
        "UMask" => format!("{:04o}", settings.map_or(0o022, |settings| settings.umask)),
        "Id" => unit.id().to_owned(),
        "Names" => unit.names.join(" "),
        "Description" => unit.description().to_owned(),
        "LoadState" => unit.load_state.as_str().to_owned(),
        "ActiveState" => unit.state.words().0.to_owned(),
        "SubState" => unit.state.words().1.to_owned(),
        "FragmentPath" => unit.fragment.clone(),
        "DropInPaths" => {
            let paths: Vec<&str> = unit.drop_ins.iter().map(|(path, _)| path.as_str()).collect();
            paths.join(" ")
        }
        "UnitFileState" => unit.file_state.unwrap_or_default().to_owned(),
        "CanReload" => yes(settings.is_some_and(|settings| !settings.reload.is_empty())),
        "NeedDaemonReload" => yes(needs_reload),
        "LoadError" => load_error(unit),
        _ => String::new(),
    }
}

fn load_error(unit: &Unit) -> String {
    let id = unit.id();
    match unit.load_state {
        LoadState::Loaded => String::new(),
        LoadState::NotFound => format!("org.freedesktop.systemd1.NoSuchUnit \"Unit {id} not found.\""),
        LoadState::BadSetting => {
            format!("org.freedesktop.systemd1.BadUnitSetting \"Unit {id} has a bad unit file setting.\"")
        }
        LoadState::Masked => format!("org.freedesktop.systemd1.UnitMasked \"Unit {id} is masked.\""),
    }
}

fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

/// Quotes an assignment that the shell would not take as one word.
fn quote(word: &str) -> String {
    if word.chars().any(|c| c.is_whitespace() || "\"'\\`$*?[#&;<>|(){}!~".contains(c)) {
        let escaped: String =
            word.chars().flat_map(|c| if "\"\\`$".contains(c) { vec!['\\', c] } else { vec![c] }).collect();
        format!("\"{escaped}\"")
    } else {
        word.to_owned()
    }
}

/// A time span in systemd's words, e.g. `1min 30s`.
fn span(time: std::time::Duration) -> String {
    let parts = [
        (u128::from(time.as_secs() / 3600), "h"),
        (u128::from(time.as_secs() / 60 % 60), "min"),
        (u128::from(time.as_secs() % 60), "s"),
        (u128::from(time.subsec_millis()), "ms"),
    ];
    let words: Vec<String> =
        parts.iter().filter(|(number, _)| *number > 0).map(|(number, unit)| format!("{number}{unit}")).collect();
    if words.is_empty() { "0".into() } else { words.join(" ") }
}

/// The head of `systemctl status`, without times.
pub fn status(unit: &Unit) -> String {
    let (active, sub) = unit.state.words();
    let mark = match unit.state {
        State::Running(_) | State::Exited | State::AutoRestart(_) => '●',
        State::Failed => '×',
        State::Dead => '○',
    };
    let loaded = match unit.load_state {
        LoadState::Loaded => format!("loaded ({})", unit.fragment),
        LoadState::NotFound => format!("not-found (Reason: Unit {} not found.)", unit.id()),
        LoadState::BadSetting => format!("bad-setting (Reason: Unit {} has a bad unit file setting.)", unit.id()),
        LoadState::Masked => format!("masked (Reason: Unit {} is masked.)", unit.id()),
    };
    let detail = match unit.state {
        State::Failed => format!("Result: {}", unit.result.as_str()),
        _ => sub.to_owned(),
    };
    let mut text = format!("{mark} {}\n     Loaded: {loaded}\n     Active: {active} ({detail})\n", unit.title());
    if unit.main_pid != 0 {
        let name = super::processes::name(nix::unistd::Pid::from_raw(unit.main_pid));
        text.push_str("   Main PID: ");
        text.push_str(&unit.main_pid.to_string());
        text.push_str(" (");
        text.push_str(&name);
        text.push_str(")\n");
    }
    text
}
