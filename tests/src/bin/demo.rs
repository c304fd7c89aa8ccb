//! `make demo`: an alert on its way from a machine with Falco, through both charms, to Loki.

use std::process::ExitCode;

fn main() -> ExitCode {
    charm_tests::demo::main()
}
