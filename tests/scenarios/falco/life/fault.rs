//! What can go wrong with one hook.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use charm_tests::falco_host::FalcoHost;
use charm_tests::juju::command::{Answer, HostCommand as _, Invocation};
use charm_tests::juju::{Context, Exit, Verdict};
use charm_tests::programs;
use fastrand::Rng;

/// Writing fails as on a full disk, of the charm and of all that it starts.
const FULL_DISK: &str = "trap '' XFSZ; ulimit -f 0; exec \"$@\"";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is killed before the effect of this number on the world, counted from 1.
    KilledBeforeEffect(usize),
    /// It is killed while it waits for the answer to the call of this number, which was carried out.
    KilledAfterCall(usize),
    /// systemd does not answer the first call with this verb.
    NoSystemd(&'static str),
    /// systemd does what it was asked to, and the answer gets lost.
    NoAnswerOfSystemd(&'static str),
    /// Nothing can be written to the disk.
    FullDisk,
    /// The controller does not take what the hook sends at its end.
    RefusedCommit,
}

impl Fault {
    pub fn choose(rng: &mut Rng) -> Self {
        const VERBS: [&str; 6] = ["show", "daemon-reload", "enable", "start", "restart", "reload"];
        let verb = VERBS[rng.usize(..VERBS.len())];
        match rng.u8(..10) {
            0..4 => Self::KilledBeforeEffect(rng.usize(1..80)),
            4 | 5 => Self::KilledAfterCall(rng.usize(..25)),
            6 => Self::NoSystemd(verb),
            7 => Self::NoAnswerOfSystemd(verb),
            8 => Self::FullDisk,
            _ => Self::RefusedCommit,
        }
    }

    /// The way to run a hook with it. What the traced charm did goes into the report.
    pub fn prepare(self, context: Context, host: &FalcoHost, report: &Path) -> Context {
        // What an earlier one left says nothing of this one.
        let _ = std::fs::remove_file(report);
        match self {
            Self::KilledBeforeEffect(number) => {
                let tracer = programs::built("traced").into_os_string();
                context.launcher([tracer, report.into(), number.to_string().into()])
            }
            Self::KilledAfterCall(number) => context
                .gate(move |moment| if moment.index == number && moment.done { Verdict::Kill } else { Verdict::Go }),
            Self::NoSystemd(verb) | Self::NoAnswerOfSystemd(verb) => {
                let (mut systemctl, is_over) = (host.machine.systemctl(), AtomicBool::new(false));
                context.host_function("systemctl", move |invocation: &Invocation| {
                    let is_meant = invocation.args.first().is_some_and(|word| word == verb);
                    if !is_meant || is_over.swap(true, Ordering::Relaxed) {
                        return systemctl.run(invocation);
                    }
                    if matches!(self, Self::NoAnswerOfSystemd(_)) {
                        systemctl.run(invocation);
                    }
                    Answer::failure(1, "Failed to connect to bus: Connection refused\n")
                })
            }
            Self::FullDisk => context.launcher(["/bin/sh", "-c", FULL_DISK, "sh"]),
            Self::RefusedCommit => context.refuse_commit("the controller is away"),
        }
    }

    /// A machine that is broken is no status but a failed hook, which Juju runs again.
    pub fn may_fail(self, exit: Exit) -> bool {
        match self {
            Self::KilledBeforeEffect(_) | Self::KilledAfterCall(_) => exit != Exit::Code(1),
            Self::NoSystemd(_) | Self::NoAnswerOfSystemd(_) | Self::FullDisk => true,
            Self::RefusedCommit => exit.is_success(),
        }
    }
}
