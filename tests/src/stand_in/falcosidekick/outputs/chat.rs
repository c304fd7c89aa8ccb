//! What chats get: a message with a table of the event, in the form of each. Texts that are long, and values that are no
//! text, are treated as each does it.

use super::NOT_PLAYED;
use super::client::Delivery;
use crate::stand_in::falcosidekick::event::Event;
use crate::stand_in::falcosidekick::json;
use crate::stand_in::falcosidekick::log;
use crate::stand_in::falcosidekick::priority::Priority;
use crate::stand_in::falcosidekick::settings::Settings;

/// Texts of Slack that are shorter than this stand beside each other.
const SHORT: usize = 36;

/// The colours of priorities, the least severe first: in Slack, Teams and Discord.
const COLOURS: [[&str; 3]; 8] = [
    ["#ccfff2", "ccfff2", "12370112"],
    ["#68c2ff", "68c2ff", "3447003"],
    ["#5bffb5", "5bffb5", "3066993"],
    ["#ffc700", "ffff00", "12745742"],
    ["#e20b0b", "ffc700", "15844367"],
    ["#ff5400", "ff9000", "15105570"],
    ["#ff5400", "ff5400", "11027200"],
    ["#e20b0b", "e20b0b", "15158332"],
];

/// What a row of the table is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Row {
    /// Something that every event has.
    Own,
    /// A field of the event.
    Field,
    /// Its time.
    Time,
}

/// What is wrong with a template that does not end what it begins, in Go's words.
pub fn bad_template(text: &str) -> Option<&'static str> {
    let is_open = text.rsplit_once("{{").is_some_and(|(_, rest)| !rest.contains("}}"));
    is_open.then_some("unclosed action")
}

/// The request for Slack.
pub fn slack(event: &Event, settings: &Settings) -> Delivery {
    let text = |key: &str| settings.text(&format!("slack.{key}"));
    let Some(message) = message(event, text("messageformat")).filter(|_| text("outputformat") == "all") else {
        return refused("Slack");
    };
    let field = |(title, value, row): (String, String, Row)| {
        let is_short = row != Row::Time && value.chars().count() < SHORT;
        format!("{{\"title\":{},\"value\":{},\"short\":{is_short}}}", json::text(&title), json::text(&value))
    };
    let mut rows = rows(event);
    // Here tags come before the fields of the event.
    rows.sort_by_key(|(title, _, row)| (*row != Row::Own, *row == Row::Time, title == "tags"));
    let [output, colour] = [&event.output, colours(event)[0]].map(json::text);
    let message = if message.is_empty() { message } else { format!("\"text\":{},", json::text(&message)) };
    post(format!(
        "{{{message}\"username\":{},\"icon_url\":{},\"attachments\":[{{\"fallback\":{output},\"color\":{colour},\"text\":{output},\
         \"fields\":[{}],\"footer\":{}}}]}}\n",
        json::text(text("username")),
        json::text(text("icon")),
        list(rows.into_iter().map(field)),
        json::text(text("footer")),
    ))
}

/// The request for Teams.
pub fn teams(event: &Event, settings: &Settings) -> Delivery {
    if settings.text("teams.outputformat") != "all" {
        return refused("Teams");
    }
    let fact = |(name, value, _): (String, String, Row)| {
        format!("{{\"name\":{},\"value\":{}}}", json::text(&name), json::text(&value))
    };
    let facts = rows(event).into_iter().filter(|(.., row)| *row != Row::Time).map(fact);
    let [output, colour] = [&event.output, colours(event)[1]].map(json::text);
    post(format!(
        "{{\"@type\":\"MessageCard\",\"summary\":{output},\"themeColor\":{colour},\"sections\":[{{\"activityTitle\":\"Falcosidekick\",\
         \"activitySubtitle\":{},\"activityImage\":{},\"text\":{output},\"facts\":[{}]}}]}}\n",
        json::text(&event.shown_time()),
        json::text(settings.text("teams.activityimage")),
        list(facts),
    ))
}

/// The request for Discord.
pub fn discord(event: &Event, settings: &Settings) -> Delivery {
    let field = |(name, value, row): (String, String, Row)| {
        let value = if row == Row::Field { format!("```{value}```") } else { value };
        format!("{{\"name\":{},\"value\":{},\"inline\":true}}", json::text(&name), json::text(&value))
    };
    let [output, colour] = [&event.output, colours(event)[2]].map(json::text);
    post(format!(
        "{{\"content\":\"\",\"avatar_url\":{},\"embeds\":[{{\"title\":\"\",\"url\":\"\",\"description\":{output},\"color\":{colour},\
         \"fields\":[{}]}}]}}\n",
        json::text(settings.text("discord.icon")),
        list(rows(event).into_iter().map(field)),
    ))
}

/// The rows of the table, in the order of Teams and Discord.
fn rows(event: &Event) -> Vec<(String, String, Row)> {
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned(), Row::Own);
    let mut rows = vec![
        own("rule", &event.rule),
        own("priority", event.priority.map_or("", Priority::title)),
        own("source", &event.source),
    ];
    if !event.hostname.is_empty() {
        rows.push(own("hostname", &event.hostname));
    }
    let texts = event.fields.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
    rows.extend(texts.map(|(name, value)| (name.clone(), value.to_owned(), Row::Field)));
    if !event.tags.is_empty() {
        rows.push(own("tags", &event.tags.join(", ")));
    }
    rows.push(("time".to_owned(), event.shown_time(), Row::Time));
    rows
}

/// The text above the table: empty without a template, or with one that could not be read. `None`: one that names more
/// than the stand-in knows.
fn message(event: &Event, template: &str) -> Option<String> {
    if bad_template(template).is_some() {
        return Some(String::new());
    }
    let known = [
        ("{{ .Rule }}", event.rule.as_str()),
        ("{{ .Output }}", &event.output),
        ("{{ .Source }}", &event.source),
        ("{{ .Hostname }}", &event.hostname),
        ("{{ .Priority }}", event.priority.map_or("", Priority::title)),
    ];
    let rest = known.iter().fold(template.to_owned(), |rest, (name, _)| rest.replace(name, ""));
    let text = || known.iter().fold(template.to_owned(), |text, (name, value)| text.replace(name, value));
    (!rest.contains("{{")).then(text)
}

fn colours(event: &Event) -> [&'static str; 3] {
    event.priority.map_or(["", "", ""], |priority| COLOURS[priority.number() - 1])
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",")
}

fn post(body: String) -> Delivery {
    let headers = vec![("Content-Type".to_owned(), "application/json; charset=utf-8".to_owned())];
    Delivery { method: "POST".into(), headers, body: Some(body), address: None }
}

fn refused(name: &str) -> Delivery {
    log::stand_in(&format!("{name} - {NOT_PLAYED} in this format"));
    Delivery::refused()
}
