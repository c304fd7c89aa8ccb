//! Random options and secrets: the file says what was asked, a secret stands nowhere but in it, and nothing panics.

use charm_core::pebble::File;
use charm_core::topology::Topology;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::fields::Fields;
use crate::listener::Listener;
use crate::names::CONFIG_FILE;
use crate::outputs::render::hidden_variables;
use crate::render as service;

/// Marks every secret, so that it is found wherever it is.
const MARK: &str = "hunter2";

/// Text on one line, with all that readers of YAML stumble over.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{1,20}",
        "[\\PC]{1,12}",
        select(vec![
            "007",
            "1e3",
            "yes",
            "null",
            "~",
            "2020-01-01",
            "0x10",
            "{{",
            "*a",
            "&a",
            "- a",
            "a: b",
            "%",
            "'",
            "\"",
            "\u{2028}",
            "\u{feff}x"
        ])
        .prop_map(str::to_owned),
    ]
    // Juju shows bytes that are no text by this one, so a text with it is taken for none.
    .prop_map(|text| text.replace(|c: char| c.is_control() || c == '\u{fffd}', "-"))
    .prop_filter("a reference to a secret is something else", |text| !text.starts_with("secret:") && !text.is_empty())
}

/// Outputs with texts of any kind, as YAML with every text in quotes, and the same as the file should say them.
fn webhook() -> impl Strategy<Value = (serde_json::Value, String, String)> {
    (btree_map("[a-z][a-z0-9-]{0,8}", text(), 1..4), text(), "[a-z0-9]{1,20}").prop_map(|(headers, tenant, path)| {
        let yaml = serde_json::json!({
            "webhook": { "address": format!("https://h/{path}"), "customheaders": headers },
            "loki": { "hostport": "http://h", "tenant": tenant },
        });
        (yaml, tenant, path)
    })
}

proptest! {
    // What failed once belongs into a test of its own, not into a file beside the source.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_file_reads_back_as_what_was_asked((asked, tenant, _) in webhook(), custom in btree_map("[b-d]{1,5}", text(), 0..4), tags in vec("[a-z]{1,5}", 0..3)) {
        let outputs = yaml(&asked.to_string()).unwrap();
        let fields = Fields { custom: custom.clone(), tags: tags.clone(), ..Fields::default() };
        let sections = outputs.sections(None);
        let listener = Listener::plain("2801".parse().unwrap());
        let written = service::configuration(listener, &Topology::default(), &fields, &sections, "", false);
        let read: serde_json::Value = serde_yaml::from_str(&written).unwrap();
        prop_assert_eq!(&read["webhook"]["customheaders"], &asked["webhook"]["customheaders"]);
        prop_assert_eq!(&read["webhook"]["address"], &asked["webhook"]["address"]);
        prop_assert_eq!(read["loki"]["tenant"].as_str(), Some(tenant.as_str()));
        for (name, value) in &custom {
            prop_assert_eq!(read["customfields"][name].as_str(), Some(value.as_str()));
        }
        let known = ["customfields", "customtags", "listenaddress", "listenport", "loki", "webhook"];
        prop_assert!(read.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{}", written);
    }

    #[test]
    fn a_secret_stands_in_the_file_and_nowhere_else(rest in "[a-z0-9]{1,20}", tail in text()) {
        let (token, header) = (format!("{MARK}{rest}"), format!("{MARK}{tail}"));
        let secrets = Secrets::from([secret("secret:one", &[
            ("slack-webhookurl", &format!("https://h/{token}")),
            ("webhook-customheaders-authorization", &header),
            ("timescaledb-password", &header),
            ("aws-secretaccesskey", &token),
        ])]);
        let text = "webhook: {address: 'http://h/'}\ntimescaledb: {host: h, user: u}\naws: {accesskeyid: A, s3: {bucket: b}}\n";
        let outputs = parse(&[(OUTPUTS, text), (OUTPUTS_SECRET, "secret:one")], &secrets).unwrap();
        let sections = outputs.sections(None);
        let listener = Listener::plain("2801".parse().unwrap());
        let written = service::configuration(listener, &Topology::default(), &Fields::default(), &sections, "", false);
        prop_assert!(written.contains(&token));
        let mut environment = outputs.environment("");
        environment.extend(hidden_variables(&sections));
        let files: Vec<File> =
            [service::file(CONFIG_FILE, written)].into_iter().chain(outputs.files()).collect();
        let layer = service::layer(listener, "falcosidekick".into(), &files, environment);
        let open = outputs.without_secrets();
        let listed = table::outputs().map(|block| format!("{:?}", outputs.shown(block, None)));
        let configuration = service::configuration(listener, &Topology::default(), &Fields::default(), &open.sections(None), "", false);
        for shown in [
            configuration,
            format!("{:?}", open.files().iter().map(|file| file.content.clone()).collect::<Vec<_>>()),
            listed.collect::<String>(),
            format!("{outputs:?} {secrets:?} {:?}", outputs.files()),
            serde_json::to_string(&layer).unwrap(),
            outputs.remarks().join(""),
        ] {
            prop_assert!(!shown.contains(MARK), "{}", shown);
        }
        let said = format!("dial https://h/{token}: refused, {header}");
        prop_assert!(!crate::log::without(&said, &outputs.secret_texts()).contains(MARK));
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}", lines in vec("[ -]{0,4}[a-z.]{0,8}(: ?[^\\r\\n]{0,12})?", 0..12)) {
        drop(yaml(&text));
        drop(yaml(&lines.join("\n")));
    }

    #[test]
    fn any_value_of_any_key_is_taken_or_told_without_it(number in 0..1000_usize, tail in text()) {
        let keys: Vec<_> = table::blocks().flat_map(|block| block.all_keys().map(move |key| (block, key))).collect();
        let (block, key) = keys[number % keys.len()];
        let value = format!("{MARK}{tail}");
        let secrets = Secrets::from([secret("secret:one", &[(&secrets::spelled(block, key), &value)])]);
        match parse(&[(OUTPUTS_SECRET, "secret:one")], &secrets) {
            Ok(outputs) => {
                let sections = serde_json::to_string(&outputs.without_secrets().sections(None)).unwrap();
                prop_assert!(!sections.contains(MARK), "{}", sections);
                let shown = format!("{:?}", outputs.shown(block, None));
                prop_assert!(!shown.contains(MARK), "{}", shown);
                drop(outputs.sections(None));
            }
            Err(problem) => prop_assert!(!problem.contains(MARK), "{}", problem),
        }
    }

    #[test]
    fn words_that_quote_a_secret_url_keep_its_host_and_nothing_else(path in "[a-zA-Z0-9/?&=%._-]{0,20}", around in "[ -~]{0,20}") {
        let url = format!("https://h.example/{MARK}/{path}");
        for said in [format!("Post \"{url}\": {around}"), format!("{url} {around}"), format!("<{url}>{around}")] {
            let shown = hosts_only(&said);
            prop_assert!(!shown.contains(MARK) && shown.contains("://h.example/"), "{}", shown);
        }
    }

    #[test]
    fn what_was_asked_for_a_secret_reads_back_from_the_file_for_every_key(number in 0..1000_usize, tail in "[a-z0-9]{1,12}") {
        // Keys that take any text.
        let is_free = |key: &Key| matches!(key.kind, Kind::Text | Kind::Name) && !key.name.contains('.');
        let keys: Vec<_> = table::blocks()
            .filter(|block| !["aws", "azure"].contains(&block.path))
            .flat_map(|block| block.all_keys().filter(|key| is_free(key)).map(move |key| (block, key)))
            .collect();
        let (block, key) = keys[number % keys.len()];
        let value = format!("{MARK}{tail}");
        let secrets = Secrets::from([secret("secret:one", &[(&secrets::spelled(block, key), &value)])]);
        let minimal = minimal(block);
        let Ok(outputs) = parse(&[(OUTPUTS, &minimal), (OUTPUTS_SECRET, "secret:one")], &secrets) else {
            // It stands in the minimal configuration already, or does not go with it.
            return Ok(());
        };
        let (listener, sections) = (Listener::plain("2801".parse().unwrap()), outputs.sections(None));
        let written = service::configuration(listener, &Topology::default(), &Fields::default(), &sections, "", false);
        let read: serde_json::Value = serde_yaml::from_str(&written).unwrap();
        let read = block.path.split('.').fold(read, |read, part| read[part].clone());
        prop_assert_eq!(read[key.name].as_str(), Some(value.as_str()), "{}.{}", block.path, key.name);
    }
}
