//! The configuration keys that the stand-in knows, with their names in Go, which error messages use.

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A whole number.
    Int,
    /// A number from 0 on.
    Uint,
    /// A switch.
    Bool,
    /// A list, or text with commas.
    List,
    /// A map of texts.
    Map,
    /// A map whose keys and values are numbers and texts: only the keys are looked at.
    NumberMap,
}

/// A configuration key.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The key in lower case.
    pub key: &'static str,
    /// The path in Go.
    pub go: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Its default; without one, only a file can set it.
    pub default: Option<&'static str>,
}

const fn field(key: &'static str, go: &'static str, kind: Kind, default: Option<&'static str>) -> Field {
    Field { key, go, kind, default }
}

use Kind::{Bool, Int, List, Map, NumberMap, Text, Uint};

/// The keys.
pub const FIELDS: &[Field] = &[
    field("listenaddress", "ListenAddress", Text, Some("")),
    field("listenport", "ListenPort", Int, Some("2801")),
    field("debug", "Debug", Bool, Some("false")),
    field("bracketreplacer", "BracketReplacer", Text, Some("")),
    field("outputfieldformat", "OutputFieldFormat", Text, Some("")),
    field("customfields", "Customfields", Map, None),
    field("templatedfields", "Templatedfields", Map, None),
    field("customtags", "Customtags", List, None),
    field("mutualtlsfilespath", "MutualTLSFilesPath", Text, Some("/etc/certs")),
    field("mutualtlsclient.certfile", "MutualTLSClient.CertFile", Text, Some("")),
    field("mutualtlsclient.keyfile", "MutualTLSClient.KeyFile", Text, Some("")),
    field("mutualtlsclient.cacertfile", "MutualTLSClient.CaCertFile", Text, Some("")),
    field("tlsclient.cacertfile", "TLSClient.CaCertFile", Text, Some("")),
    field("tlsserver.deploy", "TLSServer.Deploy", Bool, Some("false")),
    field("tlsserver.certfile", "TLSServer.CertFile", Text, Some("/etc/certs/server/server.crt")),
    field("tlsserver.keyfile", "TLSServer.KeyFile", Text, Some("/etc/certs/server/server.key")),
    field("tlsserver.cacertfile", "TLSServer.CaCertFile", Text, Some("/etc/certs/server/ca.crt")),
    field("tlsserver.mutualtls", "TLSServer.MutualTLS", Bool, Some("false")),
    field("tlsserver.notlsport", "TLSServer.NoTLSPort", Int, Some("2810")),
    field("tlsserver.notlspaths", "TLSServer.NoTLSPaths", List, Some("")),
    field("prometheus.extralabels", "Prometheus.ExtraLabels", Text, Some("")),
    field("slack.webhookurl", "Slack.WebhookURL", Text, Some("")),
    field("slack.minimumpriority", "Slack.MinimumPriority", Text, Some("")),
    field("teams.webhookurl", "Teams.WebhookURL", Text, Some("")),
    field("teams.minimumpriority", "Teams.MinimumPriority", Text, Some("")),
    field("discord.webhookurl", "Discord.WebhookURL", Text, Some("")),
    field("discord.minimumpriority", "Discord.MinimumPriority", Text, Some("")),
    field("alertmanager.hostport", "Alertmanager.HostPort", List, Some("")),
    field("alertmanager.endpoint", "Alertmanager.Endpoint", Text, Some("/api/v2/alerts")),
    field("alertmanager.minimumpriority", "Alertmanager.MinimumPriority", Text, Some("")),
    field("alertmanager.customseveritymap", "Alertmanager.CustomSeverityMap", NumberMap, None),
    field("alertmanager.extralabels", "Alertmanager.ExtraLabels", Map, None),
    field("alertmanager.extraannotations", "Alertmanager.ExtraAnnotations", Map, None),
    field("alertmanager.customheaders", "Alertmanager.CustomHeaders", Map, None),
    field("alertmanager.expiresafter", "Alertmanager.ExpiresAfter", Int, Some("0")),
    field("alertmanager.mutualtls", "Alertmanager.MutualTLS", Bool, Some("false")),
    field("alertmanager.checkcert", "Alertmanager.CheckCert", Bool, Some("true")),
    field("alertmanager.maxconcurrentrequests", "Alertmanager.MaxConcurrentRequests", Int, Some("1")),
    field("elasticsearch.hostport", "Elasticsearch.HostPort", Text, Some("")),
    field("elasticsearch.index", "Elasticsearch.Index", Text, Some("falco")),
    field("elasticsearch.type", "Elasticsearch.Type", Text, Some("_doc")),
    field("elasticsearch.suffix", "Elasticsearch.Suffix", Text, Some("daily")),
    field("elasticsearch.username", "Elasticsearch.Username", Text, Some("")),
    field("elasticsearch.password", "Elasticsearch.Password", Text, Some("")),
    field("elasticsearch.apikey", "Elasticsearch.ApiKey", Text, Some("")),
    field("elasticsearch.customheaders", "Elasticsearch.CustomHeaders", Map, None),
    field("elasticsearch.minimumpriority", "Elasticsearch.MinimumPriority", Text, Some("")),
    field("elasticsearch.mutualtls", "Elasticsearch.MutualTLS", Bool, Some("false")),
    field("elasticsearch.checkcert", "Elasticsearch.CheckCert", Bool, Some("true")),
    field("elasticsearch.maxconcurrentrequests", "Elasticsearch.MaxConcurrentRequests", Int, Some("1")),
    field("loki.hostport", "Loki.HostPort", Text, Some("")),
    field("loki.endpoint", "Loki.Endpoint", Text, Some("/loki/api/v1/push")),
    field("loki.user", "Loki.User", Text, Some("")),
    field("loki.apikey", "Loki.APIKey", Text, Some("")),
    field("loki.tenant", "Loki.Tenant", Text, Some("")),
    field("loki.format", "Loki.Format", Text, Some("text")),
    field("loki.extralabels", "Loki.ExtraLabels", Text, Some("")),
    field("loki.customheaders", "Loki.CustomHeaders", Map, None),
    field("loki.minimumpriority", "Loki.MinimumPriority", Text, Some("")),
    field("loki.mutualtls", "Loki.MutualTLS", Bool, Some("false")),
    field("loki.checkcert", "Loki.CheckCert", Bool, Some("true")),
    field("loki.maxconcurrentrequests", "Loki.MaxConcurrentRequests", Int, Some("1")),
    field("influxdb.hostport", "Influxdb.HostPort", Text, Some("")),
    field("smtp.hostport", "SMTP.HostPort", Text, Some("")),
    field("smtp.from", "SMTP.From", Text, Some("")),
    field("smtp.to", "SMTP.To", Text, Some("")),
    field("smtp.tls", "SMTP.TLS", Bool, Some("true")),
    field("smtp.authmechanism", "SMTP.AuthMechanism", Text, Some("plain")),
    field("smtp.user", "SMTP.User", Text, Some("")),
    field("smtp.password", "SMTP.Password", Text, Some("")),
    field("smtp.outputformat", "SMTP.OutputFormat", Text, Some("html")),
    field("smtp.minimumpriority", "SMTP.MinimumPriority", Text, Some("")),
    field("webhook.address", "Webhook.Address", Text, Some("")),
    field("webhook.method", "Webhook.Method", Text, Some("POST")),
    field("webhook.customheaders", "Webhook.CustomHeaders", Map, None),
    field("webhook.minimumpriority", "Webhook.MinimumPriority", Text, Some("")),
    field("webhook.mutualtls", "Webhook.MutualTLS", Bool, Some("false")),
    field("webhook.checkcert", "Webhook.CheckCert", Bool, Some("true")),
    field("webhook.maxconcurrentrequests", "Webhook.MaxConcurrentRequests", Int, Some("1")),
    field("cloudevents.address", "CloudEvents.Address", Text, Some("")),
    field("wavefront.endpointtype", "Wavefront.EndpointType", Text, Some("")),
    field("wavefront.endpointhost", "Wavefront.EndpointHost", Text, Some("")),
    field("grafana.hostport", "Grafana.HostPort", Text, Some("")),
    field("grafana.apikey", "Grafana.APIKey", Text, Some("")),
    field("syslog.host", "Syslog.Host", Text, Some("")),
    field("syslog.port", "Syslog.Port", Text, Some("")),
    field("syslog.protocol", "Syslog.Protocol", Text, Some("")),
    field("syslog.format", "Syslog.Format", Text, Some("json")),
    field("syslog.minimumpriority", "Syslog.MinimumPriority", Text, Some("")),
    field("tekton.eventlistener", "Tekton.EventListener", Text, Some("")),
    field("openobserve.hostport", "OpenObserve.HostPort", Text, Some("")),
    field("otlp.logs.endpoint", "OTLP.Logs.Endpoint", Text, Some("")),
    field("talon.address", "Talon.Address", Text, Some("")),
    field("logstash.address", "Logstash.Address", Text, Some("")),
    field("logstash.port", "Logstash.Port", Uint, Some("5044")),
    field("kubeless.port", "Kubeless.Port", Int, Some("8080")),
    field("splunk.host", "Splunk.Host", Text, Some("")),
    field("splunk.token", "Splunk.Token", Text, Some("")),
];

/// Outputs of Falcosidekick that the stand-in does not know: it says so instead of dropping them in silence.
pub const OTHER_OUTPUTS: &[&str] = &[
    "aws",
    "azure",
    "cliq",
    "datadoglogs",
    "dogstatsd",
    "fission",
    "gcp",
    "googlechat",
    "gotify",
    "grafanaoncall",
    "kafkarest",
    "kubeless",
    "mattermost",
    "mqtt",
    "n8n",
    "nats",
    "nodered",
    "openfaas",
    "pagerduty",
    "policyreport",
    "quickwit",
    "redis",
    "rocketchat",
    "spyderbat",
    "statsd",
    "sumologic",
    "telegram",
    "timescaledb",
    "webex",
    "webui",
    "yandex",
    "zincsearch",
];
