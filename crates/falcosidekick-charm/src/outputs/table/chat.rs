//! Places where people talk.

use crate::outputs::block::{Block, Key, Kind, key, secret, switch, text};
use crate::outputs::traps;

const OUTPUT_FORMAT: Key = key("outputformat", Kind::Word(&["all", "text", "fields"])).default("all");
const MESSAGE_FORMAT: Key = key("messageformat", Kind::Template).about("over the event");
const USERNAME: Key = text("username").default("Falcosidekick");
const FOOTER: Key = text("footer").default("https://github.com/falcosecurity/falcosidekick");
const ICON: Key = text("icon").default("the logo of Falcosidekick");

/// A URL with a token in it: whoever knows it can write there.
const fn webhook(sample: &'static str) -> Key {
    key("webhookurl", Kind::Url).secret().needed(sample)
}

pub const BLOCKS: &[Block] = &[
    Block::http(
        "slack",
        "Slack",
        &[
            webhook("https://hooks.slack.com/services/T00000000/B00000000/token"),
            text("channel"),
            USERNAME,
            ICON,
            FOOTER,
            OUTPUT_FORMAT,
            MESSAGE_FORMAT,
        ],
    ),
    Block::http(
        "rocketchat",
        "Rocketchat",
        &[webhook("https://rocket.example/hooks/token"), USERNAME, ICON, FOOTER, OUTPUT_FORMAT, MESSAGE_FORMAT],
    ),
    Block::http(
        "mattermost",
        "Mattermost",
        &[webhook("https://mattermost.example/hooks/token"), USERNAME, ICON, FOOTER, OUTPUT_FORMAT, MESSAGE_FORMAT],
    ),
    Block::http(
        "cliq",
        "Cliq",
        &[
            webhook("https://cliq.zoho.eu/api/v2/channelsbyname/alerts/message?zapikey=token"),
            ICON,
            switch("useemoji").default("false"),
            OUTPUT_FORMAT,
            MESSAGE_FORMAT,
        ],
    ),
    Block::http(
        "teams",
        "Teams",
        &[
            webhook("https://example.webhook.office.com/webhookb2/token"),
            text("activityimage").default("the logo of Falcosidekick"),
            key("outputformat", Kind::Word(&["all", "text", "facts"])).default("all"),
        ],
    ),
    Block::http("webex", "Webex", &[webhook("https://webexapis.com/v1/webhooks/incoming/token")]),
    Block::http("discord", "Discord", &[webhook("https://discord.com/api/webhooks/1/token"), ICON]),
    Block::http(
        "googlechat",
        "GoogleChat",
        &[
            webhook("https://chat.googleapis.com/v1/spaces/S/messages?key=key&token=token"),
            key("outputformat", Kind::Word(&["all", "text"])).default("all"),
            MESSAGE_FORMAT,
        ],
    )
    .says("Googlechat"),
    Block::checked(
        "telegram",
        "Telegram",
        &[
            Key { kind: Kind::UrlPart, ..secret("token") }.needed("123456:token"),
            text("chatid").needed("-1001234567890"),
            text("messagethreadid"),
        ],
    )
    .trap(traps::telegram),
];
