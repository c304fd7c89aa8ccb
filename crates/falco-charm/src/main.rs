//! `dispatch` of the falco charm.

use std::process::ExitCode;

fn main() -> ExitCode {
    falco_charm::main()
}
