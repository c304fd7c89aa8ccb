//! Every name and path that this charm shares with Juju, Pebble or the image, once.

/// The name of the charm, which the application need not share. Also the label of its layer.
pub const CHARM: &str = "falcosidekick-k8s";

/// The container, as `charmcraft.yaml` declares it.
pub const CONTAINER: &str = "falcosidekick";

/// The service. A rock of Falcosidekick comes with one of this name, which ours replaces.
pub const SERVICE: &str = "falcosidekick";

/// The check, of which the same is true.
pub const CHECK: &str = "health";

/// Where Falcos are told where to send alerts to.
pub const HTTP_ENDPOINT: &str = "http-endpoint";

/// Where alerts go.
pub const SEND_LOKI_LOGS: &str = "send-loki-logs";

/// Who signs our certificate.
pub const CERTIFICATES: &str = "certificates";

/// A way in from outside.
pub const INGRESS: &str = "ingress";

/// Who tells us whom to believe.
pub const RECEIVE_CA_CERT: &str = "receive-ca-cert";

/// Who is told whom to believe here.
pub const SEND_CA_CERT: &str = "send-ca-cert";

/// Where units agree on who restarts.
pub const RESTART_TURNS: &str = "restart-turns";

/// Who scrapes.
pub const METRICS_ENDPOINT: &str = "metrics-endpoint";

/// Who shows our dashboard.
pub const GRAFANA_DASHBOARD: &str = "grafana-dashboard";

/// Where the log of Falcosidekick itself goes.
pub const LOGGING: &str = "logging";

/// What Falcosidekick reads, unless one of [`SHADOWS`] is there.
pub const CONFIG_FILE: &str = "/etc/falcosidekick/falcosidekick.yaml";

/// The certificate under which alerts are received, and those up to the one who signed it.
pub const CERTIFICATE_FILE: &str = "/etc/falcosidekick/certs/server/server.crt";

/// Its private key.
pub const KEY_FILE: &str = "/etc/falcosidekick/certs/server/server.key";

/// Whom Falcosidekick believes beside those whom everybody believes.
pub const AUTHORITIES_FILE: &str = "/etc/falcosidekick/certs/client/ca.crt";

/// Whom everybody believes, in one file: in Ubuntu, of which the charm and a rock are, and in the project's own image.
pub const KNOWN_AUTHORITIES_FILE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What the library of the Python charm put before the labels of its secrets. Ours have the same, so that the private
/// key outlives a refresh.
pub const SECRETS: &str = "afd8c2bccf834997afce12c2706d2ede";

/// Where the program may stand: in the project's own image, and in a rock.
pub const PROGRAMS: [&str; 4] =
    ["/app/falcosidekick", "/usr/bin/falcosidekick", "/usr/local/bin/falcosidekick", "/bin/falcosidekick"];

/// Credentials of clouds, for the libraries that look for them by themselves. Not in the folder of the configuration,
/// where a file of the wrong name would take its place.
pub const AWS_CREDENTIALS_FILE: &str = "/etc/falcosidekick-credentials/aws-credentials";
/// The role to assume with them.
pub const AWS_CONFIG_FILE: &str = "/etc/falcosidekick-credentials/aws-config";
/// A client's key and certificate.
pub const AZURE_CERTIFICATE_FILE: &str = "/etc/falcosidekick-credentials/azure-client.pem";

/// Every file of ours in the container.
pub const FILES: [&str; 7] = [
    CONFIG_FILE,
    CERTIFICATE_FILE,
    KEY_FILE,
    AUTHORITIES_FILE,
    AWS_CREDENTIALS_FILE,
    AWS_CONFIG_FILE,
    AZURE_CERTIFICATE_FILE,
];

/// Files of the same name that Falcosidekick would read in its place, without a word. An image may hold one.
pub const SHADOWS: [&str; 2] = ["/etc/falcosidekick/falcosidekick.json", "/etc/falcosidekick/falcosidekick.toml"];
