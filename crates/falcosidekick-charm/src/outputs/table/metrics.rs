//! Counters, databases, and Falcosidekick's own metrics.

use crate::outputs::block::{Block, Kind, NO_FILE, key, only, refused, secret, switch, text};
use crate::outputs::{late, traps};

const ANY: i64 = i64::MAX;

pub const BLOCKS: &[Block] = &[
    Block::http(
        "influxdb",
        "Influxdb",
        &[
            key("hostport", Kind::BaseUrl).needed("http://influxdb.example:8086"),
            key("database", Kind::UrlPart).default("falco").about("InfluxDB 1"),
            key("organization", Kind::UrlPart).about("InfluxDB 2, together with `bucket`"),
            key("bucket", Kind::UrlPart).default("falco"),
            key("precision", Kind::Word(&["ns", "us", "ms", "s"])).default("ns"),
            key("user", Kind::UrlPart),
            key("password", Kind::UrlPart).secret(),
            secret("token"),
        ],
    )
    .trap(traps::influxdb),
    Block::unfiltered(
        "statsd",
        "StatsD",
        &[
            key("forwarder", Kind::HostPort).needed("statsd.example:8125"),
            text("namespace").default("falcosidekick."),
            key("tags", Kind::List),
        ],
    )
    .only_at_start(late::statsd)
    .about(&["Counters only. Dropped when the name cannot be resolved while Falcosidekick starts."]),
    Block::unfiltered(
        "dogstatsd",
        "DogStatsD",
        &[
            key("forwarder", Kind::HostPort).needed("datadog-agent.example:8125"),
            text("namespace").default("falcosidekick."),
            key("tags", Kind::List),
        ],
    )
    .only_at_start(late::statsd)
    .about(&["Counters only. Dropped when the name cannot be resolved while Falcosidekick starts."]),
    Block::own(
        "wavefront",
        "Wavefront",
        &[
            key("endpointtype", Kind::Word(&["direct", "proxy"])).needed("proxy"),
            text("endpointhost")
                .needed("http://wavefront.example")
                .about("for `proxy` a URL that begins with http://, for `direct` a host name"),
            key("endpointtoken", Kind::UrlPart).secret().about("for `direct`"),
            key("endpointmetricport", Kind::Integer(1, 65535)).default("2878").about("for `proxy`"),
            text("metricname").default("falco.alert"),
            key("flushintervalseconds", Kind::Integer(1, ANY)).default("1"),
            key("batchsize", Kind::Integer(1, ANY)).default("10000").about("for `direct`"),
        ],
    )
    .trap(traps::wavefront)
    .about(&["Falcosidekick crashes when one of these does not fit the other."]),
    Block::own(
        "timescaledb",
        "TimescaleDB",
        &[
            key("host", Kind::Host).needed("timescaledb.example"),
            key("port", Kind::Integer(1, 65535)).default("5432"),
            key("user", Kind::UrlPart).default("postgres"),
            key("password", Kind::UrlPart).secret().default("postgres"),
            key("database", Kind::UrlPart).default("falcosidekick"),
            key("hypertablename", Kind::Name).default("falcosidekick_events").about("has to exist"),
        ],
    )
    .trap(traps::timescaledb),
    Block::own(
        "redis",
        "Redis",
        &[
            key("address", Kind::HostPort).needed("redis.example:6379"),
            text("username"),
            secret("password"),
            key("database", Kind::Integer(0, ANY)).default("0"),
            key("storagetype", Kind::Word(&["list", "hashmap"])).default("list"),
            text("key").default("falco"),
            key("version", Kind::Integer(0, ANY)),
            switch("tls").default("false"),
            switch("checkcert").default("true"),
            only("mutualtls", false, NO_FILE),
            refused("certfile", NO_FILE),
            refused("keyfile", NO_FILE),
            refused("cacertfile", NO_FILE),
        ],
    )
    .about(&["Falcosidekick counts every event as sent, also those that were not."]),
    Block::own(
        "otlp.metrics",
        "OTLPMetrics",
        &[
            key("endpoint", Kind::Url).needed("http://collector.example:4318/v1/metrics").about("with its whole path"),
            key("protocol", Kind::Word(&["http/protobuf", "grpc"])).default("http/protobuf"),
            key("timeout", Kind::Integer(1, ANY)).default("10000").about("milliseconds"),
            key("headers", Kind::Pairs).secret(),
            key("extraattributes", Kind::Fields),
            only("checkcert", true, traps::PLAIN_OTLP),
            refused("extraenvvars", traps::LOWER_CASE_VARIABLES),
        ],
    )
    .says("OTLP Metrics")
    .trap(traps::otlp),
    Block::settings("prometheus", &[key("extralabels", Kind::Fields).about("labels of `falco_events_total`")])
        .trap(traps::prometheus)
        .about(&[
            "Not an output: labels of Falcosidekick's own metrics. Each value of each field is a time series more.",
        ]),
];
