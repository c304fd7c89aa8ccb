//! `dispatch` of the falcosidekick-k8s charm.

use std::process::ExitCode;

fn main() -> ExitCode {
    falcosidekick_charm::main()
}
