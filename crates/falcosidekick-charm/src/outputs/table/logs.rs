//! Places where events are kept and searched.

use crate::outputs::block::{Block, Kind, NO_FILE, key, only, refused, secret, switch, text};
use crate::outputs::{late, traps};

const ANY: i64 = i64::MAX;

pub const BLOCKS: &[Block] = &[
    Block::http(
        super::LOKI,
        "Loki",
        &[
            key("hostport", Kind::BaseUrl)
                .needed("http://loki.example:3100")
                .about("not beside a relation of `send-loki-logs`, which gives it"),
            text("endpoint").default("/loki/api/v1/push").about("not beside a relation of `send-loki-logs`"),
            text("tenant"),
            text("user").about("for basic authentication, together with `apikey`"),
            secret("apikey"),
            key("format", Kind::Word(&["json", "text"])).default("json").about("the whole event, or its text"),
            key("extralabels", Kind::Fields).about("beside the Juju labels of the Falco unit"),
            key("customheaders", Kind::Headers).secret(),
        ],
    )
    .trap(traps::loki)
    .about(&["Loki takes 15 labels for each stream, unless it is told otherwise."]),
    Block::http(
        "elasticsearch",
        "Elasticsearch",
        &[
            key("hostport", Kind::BaseUrl).needed("https://elasticsearch.example:9200"),
            key("index", Kind::Name).default("falco"),
            key("type", Kind::Name).default("_doc"),
            key("suffix", Kind::Word(&["daily", "monthly", "annually", "none"])).default("daily"),
            text("pipeline"),
            text("username"),
            secret("password"),
            secret("apikey"),
            switch("flattenfields").default("false"),
            switch("createindextemplate").default("false"),
            key("numberofshards", Kind::Integer(1, ANY)).default("3"),
            key("numberofreplicas", Kind::Integer(1, ANY)).default("3").about("Falcosidekick makes 3 of 0"),
            switch("enablecompression").default("false"),
            switch("batching.enabled").default("false"),
            key("batching.batchsize", Kind::Integer(1, ANY)).default("5242880"),
            key("batching.flushinterval", Kind::Duration).default("1s"),
            key("customheaders", Kind::Headers).secret(),
        ],
    )
    .only_at_start(late::elasticsearch)
    .about(&["With `createindextemplate` it is dropped when Elasticsearch is down while Falcosidekick starts."]),
    Block::http(
        "quickwit",
        "Quickwit",
        &[
            key("hostport", Kind::BaseUrl).needed("http://quickwit.example:7280"),
            text("apiendpoint").default("api/v1"),
            key("index", Kind::Name).default("falco"),
            text("version").default("0.7"),
            switch("autocreateindex").default("false"),
            key("customheaders", Kind::Headers).secret(),
        ],
    )
    .only_at_start(late::quickwit)
    .about(&["With `autocreateindex` it is dropped when Quickwit is down while Falcosidekick starts."]),
    Block::checked(
        "zincsearch",
        "Zincsearch",
        &[
            key("hostport", Kind::BaseUrl).needed("http://zincsearch.example:4080"),
            key("index", Kind::Name).default("falco"),
            text("username"),
            secret("password"),
        ],
    ),
    Block::http(
        "openobserve",
        "OpenObserve",
        &[
            key("hostport", Kind::BaseUrl).needed("http://openobserve.example:5080"),
            key("organizationname", Kind::Name).default("default"),
            key("streamname", Kind::Name).default("falco"),
            text("username"),
            secret("password"),
            key("customheaders", Kind::Headers).secret(),
        ],
    ),
    Block::checked(
        "splunk",
        "Splunk",
        &[
            key("host", Kind::Url).needed("https://splunk.example:8088/services/collector/event"),
            secret("token").needed("token"),
            key("customheaders", Kind::Headers).secret(),
        ],
    ),
    Block::http(
        "sumologic",
        "SumoLogic",
        &[
            key("receiverurl", Kind::Url).secret().needed("https://collectors.sumologic.com/receiver/v1/http/token"),
            text("sourcecategory"),
            text("sourcehost"),
            text("name"),
        ],
    ),
    Block::own(
        "logstash",
        "Logstash",
        &[
            key("address", Kind::Host).needed("logstash.example"),
            key("port", Kind::Integer(1, 65535)).default("5044"),
            switch("tls").default("false"),
            switch("checkcert").default("false"),
            key("tags", Kind::List),
            only("mutualtls", false, NO_FILE),
            refused("certfile", NO_FILE),
            refused("keyfile", NO_FILE),
            refused("cacertfile", NO_FILE),
        ],
    )
    .only_at_start(late::logstash)
    .about(&["Dropped when Logstash is down while Falcosidekick starts. The charm starts it once more when Logstash answers."]),
    Block::own(
        "syslog",
        "Syslog",
        &[
            key("host", Kind::Host).needed("syslog.example"),
            key("port", Kind::Integer(1, 65535)).needed("514"),
            key("protocol", Kind::Word(&["tcp", "udp"]))
                .needed("tcp")
                .about("Falcosidekick crashes without it, and over `udp` it counts every event as sent"),
            key("format", Kind::Word(&["json", "cef"])).default("json"),
        ],
    )
    .about(&["Without TLS."]),
    Block::http(
        "datadog",
        "Datadog",
        &[
            key("apikey", Kind::UrlPart).secret().needed("key"),
            key("host", Kind::BaseUrl).default("https://api.datadoghq.com"),
        ],
    ),
    Block::http(
        "datadoglogs",
        "DatadogLogs",
        &[
            secret("apikey").needed("key"),
            key("host", Kind::BaseUrl).default("https://http-intake.logs.datadoghq.com"),
            text("service"),
        ],
    ),
    Block::checked(
        "dynatrace",
        "Dynatrace",
        &[
            secret("apitoken").needed("token"),
            key("apiurl", Kind::BaseUrl).needed("https://environment.live.dynatrace.com/api"),
        ],
    ),
    Block::own(
        "spyderbat",
        "Spyderbat",
        &[
            key("orguid", Kind::Name).needed("organisation"),
            secret("apikey").needed("key"),
            key("apiurl", Kind::BaseUrl).default("https://api.spyderbat.com"),
            text("source").default("falcosidekick"),
            text("sourcedescription"),
        ],
    )
    .crashes_without(late::spyderbat)
    .about(&[
        "Falcosidekick crashes when the API cannot be reached while it starts, so the charm leaves this output out until it can.",
        "It crashes as well when the API refuses the key, which the charm cannot know beforehand.",
    ]),
];
