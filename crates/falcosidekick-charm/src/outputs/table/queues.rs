//! Queues and streams.

use crate::outputs::block::{Block, Kind, key, secret, switch, text};
use crate::outputs::{late, traps};

const SUBJECT: &str = "falco.<priority>.<rule>";

pub const BLOCKS: &[Block] = &[
    Block::http(
        "nats",
        "NATS",
        &[key("hostport", Kind::UrlOf(&["nats"])).needed("nats://nats.example:4222"), text("subjecttemplate").default(SUBJECT)],
    ),
    Block::http(
        "stan",
        "STAN",
        &[
            key("hostport", Kind::UrlOf(&["nats"])).needed("nats://stan.example:4222"),
            text("clusterid").needed("cluster"),
            text("clientid").needed("falcosidekick"),
            text("subjecttemplate").default(SUBJECT),
        ],
    ),
    Block::own(
        "kafka",
        "Kafka",
        &[
            key("hostport", Kind::HostPorts).needed("kafka.example:9092"),
            text("topic").needed("falco"),
            key("sasl", Kind::Word(&["PLAIN", "SCRAM_SHA256", "SCRAM_SHA512"])),
            text("username"),
            secret("password"),
            switch("tls").default("false").about("with the certificate authorities of the image only"),
            key(
                "balancer",
                Kind::Word(&["round_robin", "least_bytes", "crc32", "crc32_random", "murmur2", "murmur2_random"]),
            )
            .default("round_robin"),
            text("clientid"),
            key("compression", Kind::Word(&["NONE", "GZIP", "SNAPPY", "LZ4", "ZSTD"])).default("NONE"),
            switch("async").default("false"),
            key("requiredacks", Kind::Word(&["NONE", "ONE", "ALL"])).default("NONE"),
            switch("topiccreation").default("false"),
        ],
    )
    .trap(traps::kafka),
    Block::http(
        "kafkarest",
        "KafkaRest",
        &[
            key("address", Kind::Url).needed("http://kafka-rest.example:8082/topics/falco"),
            key("version", Kind::Integer(1, 2)).default("2"),
        ],
    ),
    Block::own(
        "rabbitmq",
        "RabbitMQ",
        &[
            key("url", Kind::UrlOf(&["amqp", "amqps"])).secret().needed("amqp://user:password@rabbitmq.example:5672/"),
            text("queue").needed("falco"),
        ],
    )
    .says("Rabbitmq")
    .only_at_start(late::rabbitmq)
    .about(&["Dropped when RabbitMQ is down while Falcosidekick starts. The charm starts it once more when RabbitMQ answers."]),
    Block::own(
        "mqtt",
        "MQTT",
        &[
            key("broker", Kind::UrlOf(&["tcp", "ssl", "tls", "ws", "wss", "mqtt", "mqtts"]))
                .needed("tcp://mqtt.example:1883"),
            text("topic").default("falco/events"),
            key("qos", Kind::Integer(0, 2)).default("0"),
            switch("retained").default("false"),
            text("user"),
            secret("password"),
            switch("checkcert").default("true"),
        ],
    ),
];
