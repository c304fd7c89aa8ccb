//! The falcosidekick-k8s charm as scenarios run it: the same program as the one that is packed.

use std::process::ExitCode;

fn main() -> ExitCode {
    falcosidekick_charm::main()
}
