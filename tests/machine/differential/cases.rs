//! What a charm, an operator or an accident may do to a service.

pub mod commands;
pub mod files;
pub mod lives;

use super::Step;

/// What it is about, and what is done.
pub type Case = (&'static str, &'static [Step]);

const SLEEPER: &str = "[Unit]\nDescription=Sleeper\n[Service]\nExecStart=/bin/sleep 1000\nEnvironment=D=one\n\
    ExecReload=/bin/kill -CONT $MAINPID\nRestart=on-failure\nRestartSec=15\n[Install]\nWantedBy=multi-user.target\n";

const CHANGED: &str = "[Unit]\nDescription=Sleeper\n[Service]\nExecStart=/bin/sleep 2000\nEnvironment=D=two\n\
    ExecReload=/bin/kill -CONT $MAINPID\nRestart=on-failure\nRestartSec=15\n[Install]\nWantedBy=multi-user.target\n";

const FILE: &str = "/etc/systemd/system/UNIT.service";

const STATE: &str =
    "show -p LoadState,ActiveState,SubState,Result,MainPID,NRestarts,ExecMainCode,ExecMainStatus,NeedDaemonReload UNIT";

const NAMES: &str =
    "show -p Id,Names,Description,LoadState,ActiveState,FragmentPath,UnitFileState,DropInPaths,LoadError UNIT";
