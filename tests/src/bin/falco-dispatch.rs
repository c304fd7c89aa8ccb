//! The `dispatch` of the falco charm, built again in this package so that Cargo knows its path.

use std::process::ExitCode;

fn main() -> ExitCode {
    falco_charm::main()
}
