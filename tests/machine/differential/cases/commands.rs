//! What is started, with which words and which environment, and what cannot be started.

use super::super::Step::{Ctl, File, Journal, Unit, Until};
use super::{Case, SLEEPER, STATE};

pub const CASES: &[Case] = &[
    (
        "a program that is not there",
        &[
            Unit("[Service]\nExecStart=/nosuch/program\n"),
            Ctl("start UNIT"),
            Until("ActiveState", "failed"),
            Ctl(STATE),
            Journal,
        ],
    ),
    (
        "a program that is not there, and somebody who waits for it",
        &[
            Unit("[Service]\nType=exec\nExecStart=/nosuch/program\n"),
            Ctl("start UNIT"),
            Ctl(STATE),
            Ctl("restart UNIT"),
            Journal,
        ],
    ),
    (
        "a folder that is not there",
        &[
            Unit("[Service]\nExecStart=/bin/sleep 1000\nWorkingDirectory=/nosuch\n"),
            Ctl("start UNIT"),
            Until("ActiveState", "failed"),
            Ctl(STATE),
            Journal,
        ],
    ),
    (
        "an environment file that is not there",
        &[
            Unit("[Service]\nExecStart=/bin/sleep 1000\nEnvironmentFile=/etc/nosuch\n"),
            Ctl("start UNIT"),
            Ctl(STATE),
            Unit("[Service]\nExecStart=/bin/sleep 1000\nEnvironmentFile=-/etc/nosuch\n"),
            Ctl("daemon-reload"),
            Ctl("start UNIT"),
            Ctl("show -p EnvironmentFiles,ActiveState UNIT"),
            Journal,
        ],
    ),
    (
        "a check before the start that fails",
        &[
            Unit("[Service]\nExecStartPre=/bin/sh -c 'echo bad rule; exit 1'\nExecStart=/bin/sleep 1000\n"),
            Ctl("start UNIT"),
            Ctl(STATE),
            Journal,
        ],
    ),
    (
        "an environment",
        &[
            File(
                "/etc/UNIT.env",
                "# c\nX=plain value  \nY=\"quoted # v\"\nZ='sq'\nW=a\\\n b\nQ=a\"b\"c\n; c\nA=over\nS=x\\ny\nT=\"x\\ny\\$z\"\nV=\"a\"b\nU=\n",
            ),
            Unit(
                "[Service]\nType=oneshot\nExecStart=/usr/bin/env\nEnvironment=\"A=b c\" D=e GONE=1\nEnvironment=\nEnvironment=\"A=b c\" D=e\n\
                 Environment=PCT=100%% DLR=a$b H=\"it's\" I=a\"b\" bad =z N=%n\nEnvironmentFile=/etc/UNIT.env\n",
            ),
            Ctl("start UNIT"),
            Ctl("show -p Environment,EnvironmentFiles,Type UNIT"),
            Journal,
        ],
    ),
    (
        "the words of a command",
        &[
            Unit(
                "[Service]\nType=oneshot\nEnvironment=\"ONE=a b\" TWO=c\n\
                 ExecStart=/usr/bin/printf <%%s>\\n $ONE ${ONE} x${TWO}y $$TWO x$TWO $TWO/x \"a b\" 'c d' $NOPE ${NOPE} end\n\
                 ExecStart=/usr/bin/printf (%%s)\\n e\\x41f \"q\\\"q\" a\\db %n %N %p %% 50% %!x foo\"bar baz\"qux \"$ONE\" \"x ${ONE}\" \\\n\
                 # a comment between\n  more \\\\n ; /bin/echo second \\; third\n\
                 ExecStart=@/bin/sh argzero -c \"echo $0\"\nExecStart=:/bin/echo $TWO\nExecStart=echo found\n",
            ),
            Ctl("start UNIT"),
            Journal,
        ],
    ),
    (
        "a mask and a folder",
        &[
            Unit(
                "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'umask; pwd; id -u'\nUMask=0077\nWorkingDirectory=/usr\n",
            ),
            Ctl("start UNIT"),
            Journal,
        ],
    ),
    (
        "several at once",
        &[
            Unit(SLEEPER),
            Ctl("start UNIT UNIT-nosuch"),
            Ctl("is-active UNIT UNIT-nosuch"),
            Ctl("is-active -q UNIT"),
            Ctl("show -p LoadState,ActiveState UNIT UNIT-nosuch"),
            Ctl("show --value --property=LoadState,ActiveState UNIT"),
            Ctl("show -p LoadState -p ActiveState UNIT"),
            Ctl("show -P LoadState UNIT"),
            Ctl("show -pLoadState UNIT"),
            Ctl("is-enabled UNIT UNIT-nosuch"),
            Ctl("stop UNIT UNIT-nosuch"),
        ],
    ),
    (
        "misuse",
        &[
            Ctl("frob"),
            Ctl("start"),
            Ctl("is-active"),
            Ctl("is-enabled"),
            Ctl("enable"),
            Ctl("--frob start UNIT"),
            Ctl("start UNIT.foo"),
        ],
    ),
];
