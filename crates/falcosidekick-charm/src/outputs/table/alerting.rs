//! Places that wake people up.

use crate::outputs::block::{Block, Kind, key, secret, switch, text};
use crate::outputs::traps;

const ANY: i64 = i64::MAX;

pub const BLOCKS: &[Block] = &[
    Block::http(
        "alertmanager",
        "AlertManager",
        &[
            key("hostport", Kind::BaseUrls).needed("http://alertmanager.example:9093"),
            text("endpoint").default("/api/v2/alerts"),
            key("expiresafter", Kind::Integer(0, ANY)).default("0").about("seconds; 0 leaves the end to Alertmanager"),
            key("extralabels", Kind::Labels),
            key("extraannotations", Kind::Labels),
            key("customseveritymap", Kind::Severities).about("the label `severity` by priority: `warning: page`"),
            key("dropeventthresholds", Kind::Thresholds)
                .default("10000:critical, 1000:critical, 100:critical, 10:warning, 1:warning")
                .about("the priority of Falco's alarm about dropped events, by their number"),
            key("dropeventdefaultpriority", Kind::Priority).default("critical"),
            key("customheaders", Kind::Headers).secret(),
        ],
    )
    .trap(traps::endpoint)
    .about(&["One bad address of several would drop all of them, so each is checked."]),
    Block::http(
        "opsgenie",
        "Opsgenie",
        &[secret("apikey").needed("key"), key("region", Kind::Word(&["us", "eu"])).default("us")],
    ),
    Block::http(
        "pagerduty",
        "Pagerduty",
        &[
            secret("routingkey").needed("key"),
            key("region", Kind::Word(&["us"]))
                .default("us")
                .about("Falcosidekick takes `eu` and sends to the United States all the same, so it is refused"),
        ],
    ),
    Block::http(
        "grafana",
        "Grafana",
        &[
            key("hostport", Kind::BaseUrl).needed("https://grafana.example"),
            secret("apikey").needed("key"),
            key("dashboardid", Kind::Integer(0, ANY)).default("0"),
            key("panelid", Kind::Integer(0, ANY)).default("0"),
            switch("allfieldsastags").default("false"),
            key("customheaders", Kind::Headers).secret(),
        ],
    )
    .about(&["Each event becomes an annotation."]),
    Block::http(
        "grafanaoncall",
        "GrafanaOnCall",
        &[
            key("webhookurl", Kind::Url).secret().needed("https://oncall.example/integrations/v1/webhook/token/"),
            key("customheaders", Kind::Headers).secret(),
        ],
    ),
    Block::own(
        "smtp",
        "SMTP",
        &[
            key("hostport", Kind::HostPort).needed("mail.example:587"),
            text("from").needed("falco@mail.example"),
            text("to").needed("security@mail.example").about("several addresses with commas between them"),
            switch("tls").default("true").about("STARTTLS"),
            key("authmechanism", Kind::Word(&["plain", "oauthbearer", "external", "anonymous", "none"]))
                .default("plain")
                .sample("none")
                .about("`none` sends without authentication"),
            text("user"),
            secret("password"),
            secret("token").about("for `oauthbearer`"),
            text("identity"),
            text("trace"),
            key("outputformat", Kind::Word(&["html", "text"])).default("html"),
        ],
    )
    .trap(traps::smtp)
    .about(&["Falcosidekick does not count its mails in its metrics."]),
    Block::checked(
        "gotify",
        "Gotify",
        &[
            key("hostport", Kind::BaseUrl).needed("https://gotify.example"),
            secret("token"),
            key("format", Kind::Word(&["markdown", "plaintext", "text", "json"])).default("markdown"),
        ],
    ),
];
