//! The stand-in for Falcosidekick 2.34.1: see `charm_tests::stand_in::falcosidekick`.

use std::process::ExitCode;

fn main() -> ExitCode {
    charm_tests::stand_in::falcosidekick::main()
}
