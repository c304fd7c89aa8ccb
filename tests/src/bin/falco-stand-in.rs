//! The stand-in for Falco 0.44.1: see `charm_tests::stand_in::falco`.

use std::process::ExitCode;

fn main() -> ExitCode {
    charm_tests::stand_in::falco::main()
}
