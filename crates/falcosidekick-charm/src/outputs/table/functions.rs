//! Programs that do something with an event.

use crate::outputs::block::{Block, Kind, NO_FILE, key, only, refused, secret, switch, text};
use crate::outputs::traps;

const ANY: i64 = i64::MAX;

pub const BLOCKS: &[Block] = &[
    Block::http(
        "webhook",
        "Webhook",
        &[
            key("address", Kind::Url).needed("https://webhook.example/falco"),
            key("method", Kind::Word(&["POST", "PUT"])).default("POST"),
            key("customheaders", Kind::Headers).secret(),
        ],
    ),
    Block::http(
        "nodered",
        "NodeRed",
        &[
            key("address", Kind::Url).needed("http://nodered.example:1880/falco"),
            text("user"),
            secret("password"),
            key("customheaders", Kind::Headers).secret(),
        ],
    ),
    Block::checked(
        "n8n",
        "n8n",
        &[
            key("address", Kind::Url).needed("https://n8n.example/webhook/falco"),
            text("user"),
            secret("password"),
            text("headerauthname"),
            secret("headerauthvalue"),
        ],
    ),
    Block::http(
        "cloudevents",
        "CloudEvents",
        &[key("address", Kind::Url).needed("http://broker.example/"), key("extensions", Kind::Labels)],
    )
    .about(&["Falcosidekick counts every event as sent, also those that were not."]),
    Block::http("tekton", "Tekton", &[key("eventlistener", Kind::Url).needed("http://el-falco.example:8080")])
        .about(&["Falcosidekick crashes with a bad URL here."]),
    Block::checked("talon", "Talon", &[key("address", Kind::Url).needed("http://talon.example:2803")]),
    Block::unfiltered_http("webui", "WebUI", &[key("url", Kind::Url).needed("http://falcosidekick-ui.example:2802")])
        .about(&["Falcosidekick's own user interface. It gets every event."]),
    Block::http(
        "kubeless",
        "Kubeless",
        &[
            key("namespace", Kind::Name).needed("kubeless"),
            key("function", Kind::Name).needed("falco"),
            key("port", Kind::Integer(1, 65535)).default("8080"),
            refused("kubeconfig", NO_FILE),
        ],
    ),
    Block::http(
        "openfaas",
        "OpenFaaS",
        &[
            key("functionname", Kind::Name).needed("falco"),
            key("functionnamespace", Kind::Name).default("openfaas-fn"),
            key("gatewayservice", Kind::Name).default("gateway"),
            key("gatewaynamespace", Kind::Name).default("openfaas"),
            key("gatewayport", Kind::Integer(1, 65535)).default("8080"),
            refused("kubeconfig", NO_FILE),
        ],
    ),
    Block::http(
        "fission",
        "Fission",
        &[
            key("function", Kind::Name).needed("falco"),
            key("routernamespace", Kind::Name).default("fission"),
            key("routerservice", Kind::Name).default("router"),
            key("routerport", Kind::Integer(1, 65535)).default("80"),
            refused("kubeconfig", NO_FILE),
        ],
    ),
    Block::own(
        "policyreport",
        "PolicyReport",
        &[
            switch("enabled").needed("true"),
            switch("prunebypriority").default("false"),
            key("maxevents", Kind::Integer(1, ANY)).default("1000"),
            key("falconamespace", Kind::Name).default("the namespace of the model"),
            refused("kubeconfig", NO_FILE),
        ],
    )
    .trap(traps::policyreport)
    .about(&["The pod needs a role on the resources of `wgpolicyk8s.io`."]),
    Block::own(
        "otlp.traces",
        "OTLPTraces",
        &[
            key("endpoint", Kind::Url).needed("http://collector.example:4318/v1/traces").about("with its whole path"),
            key("protocol", Kind::Word(&["http/protobuf", "grpc"])).default("http/protobuf"),
            key("timeout", Kind::Integer(1, ANY)).default("10000").about("milliseconds"),
            key("headers", Kind::Pairs).secret(),
            key("duration", Kind::Integer(1, ANY)).default("1000").about("milliseconds"),
            switch("synced").default("false"),
            only("checkcert", true, traps::PLAIN_OTLP),
            refused("extraenvvars", traps::LOWER_CASE_VARIABLES),
        ],
    )
    .says("OTLP Traces")
    .trap(traps::otlp)
    .about(&["Only events of system calls, and only those with fields of a container or a host."]),
    Block::own(
        "otlp.logs",
        "OTLPLogs",
        &[
            key("endpoint", Kind::Url).needed("http://collector.example:4318/v1/logs").about("with its whole path"),
            key("protocol", Kind::Word(&["http/protobuf", "grpc"])).default("http/protobuf"),
            key("timeout", Kind::Integer(1, ANY)).default("10000").about("milliseconds"),
            key("headers", Kind::Pairs).secret(),
            switch("synced").default("false"),
            only("checkcert", true, traps::PLAIN_OTLP),
            refused("extraenvvars", traps::LOWER_CASE_VARIABLES),
        ],
    )
    .says("OTLP Logs")
    .trap(traps::otlp)
    .about(&["The text of an event and few of its fields; Falcosidekick does not count them in its metrics."]),
];
