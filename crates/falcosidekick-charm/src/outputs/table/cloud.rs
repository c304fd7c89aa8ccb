//! Services of clouds. Falcosidekick leaves the credentials of Amazon and Azure to their libraries, which look for
//! variables and files; the charm makes those from the keys here.

use crate::outputs::block::{Block, Key, Kind, key, secret, switch, text};
use crate::outputs::{late, traps};

const GCP: &[(&str, &str)] = &[("gcp", "credentials")];
const YANDEX: &[(&str, &str)] = &[("yandex", "accesskeyid"), ("yandex", "secretaccesskey")];
const ANY: i64 = i64::MAX;

/// A JSON object in base64.
const CREDENTIALS: &str = "eyJ0eXBlIjoiYXV0aG9yaXplZF91c2VyIiwiY2xpZW50X2lkIjoiaWQiLCJjbGllbnRfc2VjcmV0Ijoic2VjcmV0IiwicmVmcmVzaF90b2tlbiI6InRva2VuIn0=";

pub const BLOCKS: &[Block] = &[
    Block::settings(
        "aws",
        &[
            text("accesskeyid").about("together with `secretaccesskey`; neither where the pod has a role of its own"),
            secret("secretaccesskey"),
            key("region", Kind::Name),
            text("rolearn").about("a role to assume with the key"),
            text("externalid").about("for `rolearn`"),
            switch("checkidentity").default("true").about("`false` for S3 of others than Amazon"),
        ],
    )
    .trap(traps::aws)
    .about(&[
        "Falcosidekick reads these keys and does not use them; the charm hands them to Amazon's library.",
        "All outputs of `aws` are dropped when the identity cannot be checked while Falcosidekick starts.",
    ]),
    aws(
        "aws.lambda",
        "AWSLambda",
        &[
            text("functionname").needed("falco"),
            key("invocationtype", Kind::Word(&["RequestResponse", "Event", "DryRun"])).default("RequestResponse"),
            key("logtype", Kind::Word(&["Tail", "None"])).default("Tail"),
        ],
    ),
    aws(
        "aws.sqs",
        "AWSSQS",
        &[key("url", Kind::Url).needed("https://sqs.eu-central-1.amazonaws.com/123456789012/falco")],
    ),
    aws(
        "aws.sns",
        "AWSSNS",
        &[text("topicarn").needed("arn:aws:sns:eu-central-1:123456789012:falco"), switch("rawjson").default("false")],
    ),
    aws("aws.cloudwatchlogs", "AWSCloudWatchLogs", &[text("loggroup").needed("falco"), text("logstream")]),
    aws(
        "aws.s3",
        "AWSS3",
        &[
            key("bucket", Kind::Name).needed("falco"),
            text("prefix").default("falco"),
            key("endpoint", Kind::BaseUrl).about("the bucket becomes part of the host name"),
            text("objectcannedacl").default("bucket-owner-full-control"),
        ],
    ),
    aws("aws.kinesis", "AWSKinesis", &[key("streamname", Kind::Name).needed("falco")]),
    aws(
        "aws.securitylake",
        "AWSSecurityLake",
        &[
            key("bucket", Kind::Name).needed("falco"),
            key("region", Kind::Name).needed("eu-central-1"),
            text("prefix").needed("ext/falco"),
            key("accountid", Kind::Name).needed("123456789012"),
            key("interval", Kind::Integer(5, 60)).default("5").about("minutes"),
            key("batchsize", Kind::Integer(1, ANY)).default("1000"),
        ],
    ),
    Block::settings(
        "azure",
        &[
            text("tenantid"),
            text("clientid"),
            key("clientcertificate", Kind::Pem).secret().about("private key and certificate of the client, as PEM"),
        ],
    )
    .trap(traps::azure)
    .about(&["These keys are the charm's own. None of them is needed where the pod has an identity of its own."]),
    Block::own(
        "azure.eventhub",
        "EventHub",
        &[key("name", Kind::Name).needed("falco"), key("namespace", Kind::Host).needed("falco.servicebus.windows.net")],
    )
    .says("AzureEventHub"),
    Block::settings(
        "gcp",
        &[
            key("credentials", Kind::Base64Json).secret().sample(CREDENTIALS),
            switch("workloadidentity").default("false"),
        ],
    )
    .about(&["One output of `gcp` whose client cannot be made drops all of them."]),
    gcp(
        "gcp.pubsub",
        "GCPPubSub",
        &[
            key("projectid", Kind::Name).needed("project"),
            key("topic", Kind::Name).needed("falco"),
            key("customattributes", Kind::Labels),
        ],
    ),
    gcp("gcp.storage", "GCPStorage", &[key("bucket", Kind::Name).needed("falco"), text("prefix")]).needs(GCP),
    gcp(
        "gcp.cloudfunctions",
        "GCPCloudFunctions",
        &[text("name").needed("projects/project/locations/l/functions/falco")],
    ),
    gcp(
        "gcp.cloudrun",
        "GCPCloudRun",
        &[key("endpoint", Kind::Url).needed("https://falco-abc.a.run.app"), secret("jwt").needed("token")],
    ),
    gcp(
        "gcp.chronicle",
        "GCPChronicle",
        &[
            key("projectid", Kind::Name).needed("project"),
            key("instanceid", Kind::Name).needed("instance"),
            key("region", Kind::Name).needed("eu"),
            key("logtype", Kind::Name).default("FALCO_IDS"),
        ],
    ),
    Block::settings(
        "yandex",
        &[
            text("accesskeyid").sample("key"),
            secret("secretaccesskey").sample("secret"),
            key("region", Kind::Name).default("ru-central1"),
        ],
    ),
    Block::own(
        "yandex.s3",
        "YandexS3",
        &[
            key("bucket", Kind::Name).needed("falco"),
            text("prefix").default("falco"),
            key("endpoint", Kind::BaseUrl).default("https://storage.yandexcloud.net"),
        ],
    )
    .says("Yandex")
    .needs(YANDEX),
    Block::own(
        "yandex.datastreams",
        "YandexDataStreams",
        &[
            text("streamname").needed("/ru-central1/cloud/database/stream"),
            key("endpoint", Kind::BaseUrl).default("https://yds.serverless.yandexcloud.net"),
        ],
    )
    .says("Yandex")
    .needs(YANDEX),
];

const fn aws(path: &'static str, name: &'static str, keys: &'static [Key]) -> Block {
    Block::own(path, name, keys).says("AWS").only_at_start(late::aws)
}

const fn gcp(path: &'static str, name: &'static str, keys: &'static [Key]) -> Block {
    Block::own(path, name, keys).says("GCP")
}
