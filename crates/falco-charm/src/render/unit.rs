//! The systemd unit. Pure.

use charm_core::Hook;
use charm_core::digest::Digest;
use charm_core::names::UnitName;

use super::Inputs;
use crate::config::Engine;
use crate::paths::{CONFIG_FILE, PROGRAM};

/// The variable in the environment of Falco that tells what the process was started with.
pub const DIGEST_VARIABLE: &str = "CHARM_CONFIG_DIGEST";

/// Marks the unit file as ours; the name of the unit follows.
const OWNER_LINE: &str = "# Written for the Juju unit ";

/// Whose a unit file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This unit's, also one that the Python charm wrote for it.
    Us,
    /// Another unit's of this charm.
    Unit(UnitName),
    /// Not a charm's.
    Foreign,
}

/// Whose the unit file is.
pub fn owner_of(unit_file: &[u8], hook: &Hook) -> Owner {
    let text = String::from_utf8_lossy(unit_file);
    let named = text.lines().find_map(|line| line.strip_prefix(OWNER_LINE)?.split_whitespace().next()?.parse().ok());
    // The Python charm ran Falco out of its own folder, whose name tells the unit.
    let out_of_charm = format!("ExecStart={}/falco/", hook.charm_dir.display());
    match named {
        Some(unit) if unit == hook.unit => Owner::Us,
        Some(unit) => Owner::Unit(unit),
        None if text.lines().any(|line| line.starts_with(&out_of_charm)) => Owner::Us,
        None => Owner::Foreign,
    }
}

/// The digest in a unit file.
pub fn digest_in(unit_file: &[u8]) -> Option<Digest> {
    let text = String::from_utf8_lossy(unit_file);
    let digest = text.lines().find_map(|line| line.strip_prefix("Environment=")?.split_once('='));
    digest.filter(|(variable, _)| *variable == DIGEST_VARIABLE).map(|(_, digest)| Digest::from(digest.to_owned()))
}

/// The unit file and the digest in it, which covers what a running Falco cannot take in by a reload: all of the unit.
pub fn unit_file(inputs: &Inputs<'_>) -> (String, Digest) {
    let Inputs { config, topology, root, distribution, containers: _, generation: _, audit: _, url: _, authorities: _ } =
        inputs;
    let program = systemd_word(&format!("{root}{}", distribution.path(PROGRAM)));
    let config_file = systemd_word(&format!("{root}{CONFIG_FILE}"));
    let unit = &topology.unit;
    let memory = config.memory_limit.as_ref().map(|limit| format!("MemoryMax={limit}\n")).unwrap_or_default();
    // The module is loaded by systemd with all rights, so that Falco itself needs none of them. Falco says it best when
    // there is none.
    let module = match config.engine {
        Engine::Kmod => "ExecStartPre=+-/sbin/modprobe falco\n",
        Engine::ModernEbpf | Engine::Nodriver => "",
    };
    let with_digest = |digest: &str| {
        format!(
            "{OWNER_LINE}{unit} and replaced by its hooks: changes are lost.
[Unit]
Description=Falco, run by the Juju unit {unit}
Documentation=https://falco.org/docs/
StartLimitIntervalSec=0

[Service]
Type=simple
{module}ExecStart={program} -c {config_file}
ExecReload=/bin/kill -HUP $MAINPID
Environment={DIGEST_VARIABLE}={digest}
Restart=on-failure
RestartSec=15
TimeoutStopSec=30
{memory}UMask=0077
# Falco tells why it does not start on its standard error only. Alerts go to the system log and over HTTP.
StandardOutput=null
StandardError=journal
SyslogIdentifier=falco
# What the probe needs, and what Falco needs to read of other processes. It raises its limit of locked memory by
# itself, unless there is none.
CapabilityBoundingSet=CAP_BPF CAP_PERFMON CAP_SYS_RESOURCE CAP_SYS_PTRACE CAP_DAC_READ_SEARCH
LimitMEMLOCK=infinity
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full
ProtectHome=read-only
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectHostname=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=~AF_PACKET
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"
        )
    };
    let digest = Digest::of(with_digest(""));
    (with_digest(digest.as_str()), digest)
}

/// A word in a command line of a unit file.
fn systemd_word(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    format!("\"{escaped}\"")
}

#[cfg(test)]
pub(super) mod tests {
    use charm_core::config::RawConfig;
    use charm_core::topology::Topology;

    use super::*;
    use crate::config::Config;
    use crate::containers::Containers;
    use crate::distribution::Distribution;
    use crate::generation::Generation;
    use crate::world::topology;

    /// A unit with these options, and what the closure makes of the inputs.
    pub fn with<T>(options: &[(&str, &str)], make: impl FnOnce(Inputs<'_>) -> T) -> T {
        let raw: RawConfig = options.iter().copied().collect();
        make(Inputs {
            config: &Config::parse(&raw).unwrap(),
            topology: &topology(),
            root: "",
            distribution: &Distribution {
                name: "0.44.1-0123456789ab".into(),
                container_plugin: true,
                ..Distribution::default()
            },
            containers: &Containers::default(),
            generation: &Generation::default(),
            audit: None,
            url: None,
            authorities: None,
        })
    }

    #[test]
    fn the_digest_follows_the_distribution_and_the_memory_limit() {
        let (text, digest) = with(&[], |inputs| unit_file(&inputs));
        assert!(text.contains(&format!("Environment={DIGEST_VARIABLE}={digest}\n")));
        assert_eq!(digest_in(text.as_bytes()), Some(digest.clone()));
        let other =
            Distribution { name: "0.45.0-0123456789ab".into(), container_plugin: true, ..Distribution::default() };
        assert_ne!(with(&[], |inputs| unit_file(&Inputs { distribution: &other, ..inputs })).1, digest);
        let (limited, other) = with(&[("memory-limit", "512M")], |inputs| unit_file(&inputs));
        assert!(limited.contains("\nMemoryMax=512M\n"), "{limited}");
        assert_ne!(other, digest);
        assert!(!text.contains("MemoryMax"));
    }

    #[test]
    fn what_a_reload_can_take_in_is_not_in_the_digest() {
        let (_, digest) = with(&[], |inputs| unit_file(&inputs));
        assert_eq!(with(&[("priority", "error")], |inputs| unit_file(&inputs)).1, digest);
        assert_eq!(with(&[], |inputs| unit_file(&Inputs { url: Some("http://h/"), ..inputs })).1, digest);
    }

    #[test]
    fn the_kernel_module_is_loaded_by_systemd_and_falco_gets_no_right_to_it() {
        let (text, _) = with(&[("engine", "kmod")], |inputs| unit_file(&inputs));
        assert!(text.contains("\nExecStartPre=+-/sbin/modprobe falco\nExecStart="), "{text}");
        assert!(!text.contains("CAP_SYS_MODULE"));
    }

    #[test]
    fn falco_is_started_with_its_configuration_alone_so_that_no_argument_wins_over_it() {
        let (text, _) = with(&[], |inputs| unit_file(&inputs));
        let command = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        assert_eq!(command, r#""/opt/juju-falco/0.44.1-0123456789ab/usr/bin/falco" -c "/etc/juju-falco/falco.yaml""#);
    }

    #[test]
    fn why_falco_does_not_start_reaches_the_journal() {
        let (text, _) = with(&[], |inputs| unit_file(&inputs));
        assert!(text.contains("\nStandardError=journal\n"), "{text}");
        let yaml = with(&[], |inputs| crate::render::falco_yaml::falco_yaml(&inputs));
        assert!(yaml.lines().any(|line| line == "log_stderr: true"), "{yaml}");
    }

    #[test]
    fn a_path_with_special_characters_stays_one_word_of_the_command() {
        assert_eq!(systemd_word(r#"/a b/100%/$x/"q"\"#), r#""/a b/100%%/$$x/\"q\"\\""#);
    }

    #[test]
    fn the_owner_of_a_unit_file_is_known() {
        let variables = [
            ("JUJU_UNIT_NAME", "falco/0"),
            ("JUJU_MODEL_NAME", "m"),
            ("JUJU_MODEL_UUID", "u"),
            ("JUJU_CHARM_DIR", "/var/lib/juju/agents/unit-falco-0/charm"),
        ];
        let hook = Hook::from_vars(&variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()).unwrap();
        let (ours, _) = with(&[], |inputs| unit_file(&inputs));
        assert_eq!(owner_of(ours.as_bytes(), &hook), Owner::Us);
        let other = with(&[], |inputs| {
            let topology = Topology { unit: "falco/1".into(), ..inputs.topology.clone() };
            unit_file(&Inputs { topology: &topology, ..inputs }).0
        });
        assert_eq!(owner_of(other.as_bytes(), &hook), Owner::Unit("falco/1".parse().unwrap()));
        let python = b"[Service]\nExecStart=/var/lib/juju/agents/unit-falco-0/charm/falco/usr/bin/falco -c x\n";
        assert_eq!(owner_of(python, &hook), Owner::Us);
        assert_eq!(owner_of(b"[Service]\nExecStart=/usr/bin/falco\n", &hook), Owner::Foreign);
    }
}
