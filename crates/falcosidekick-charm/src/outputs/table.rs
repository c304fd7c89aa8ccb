//! Every output of Falcosidekick 2.34.1, with its keys. The one place that knows them: what is checked, what is written,
//! and the reference for operators all come from here.

mod alerting;
mod chat;
mod cloud;
mod functions;
mod logs;
mod metrics;
mod queues;

pub use super::block::Block;
use super::block::Key;

/// The table, in parts that belong together, each with its title in the reference.
pub const PARTS: [(&str, &[Block]); 7] = [
    ("Chat", chat::BLOCKS),
    ("Alerting and mail", alerting::BLOCKS),
    ("Logs and search", logs::BLOCKS),
    ("Metrics and databases", metrics::BLOCKS),
    ("Queues and streams", queues::BLOCKS),
    ("Clouds", cloud::BLOCKS),
    ("Functions, webhooks and reports", functions::BLOCKS),
];

/// Where Loki is. The charm itself writes into this block.
pub const LOKI: &str = "loki";

/// All blocks.
pub fn blocks() -> impl Iterator<Item = &'static Block> {
    PARTS.iter().flat_map(|(_, blocks)| *blocks)
}

/// All outputs.
pub fn outputs() -> impl Iterator<Item = &'static Block> {
    blocks().filter(|block| block.is_output())
}

/// The block at this place.
pub fn block(path: &str) -> Option<&'static Block> {
    blocks().find(|block| block.path == path)
}

/// Whether blocks lie below this place: `aws` for `aws.lambda`.
pub fn has_blocks_below(path: &str) -> bool {
    blocks().any(|block| block.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// The key at this place: `aws.lambda.functionname`, `elasticsearch.batching.enabled`.
pub fn key(path: &str) -> Option<(&'static Block, &'static Key)> {
    let mut place = path;
    while let Some((above, _)) = place.rsplit_once('.') {
        if let Some(found) = block(above).and_then(|block| Some((block, block.key(&path[above.len() + 1..])?))) {
            return Some(found);
        }
        place = above;
    }
    None
}

/// Whether keys lie below this place: `elasticsearch.batching`.
pub fn has_keys_below(path: &str) -> bool {
    blocks().any(|block| {
        block.all_keys().any(|key| {
            let rest = path.strip_prefix(block.path).and_then(|rest| rest.strip_prefix('.'));
            rest.is_some_and(|rest| key.name.strip_prefix(rest).is_some_and(|below| below.starts_with('.')))
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_place_and_no_name_stands_for_two_outputs() {
        let paths: Vec<_> = blocks().map(|block| block.path).collect();
        assert_eq!(paths.iter().collect::<BTreeSet<_>>().len(), paths.len());
        let names: Vec<_> = outputs().map(|block| block.name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        for block in blocks() {
            let keys: Vec<_> = block.all_keys().map(|key| key.name).collect();
            assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len(), "{}", block.path);
        }
    }

    #[test]
    fn every_output_needs_a_key_and_every_needed_key_has_a_sample() {
        for block in outputs() {
            assert!(block.keys.iter().any(|key| key.needed), "{}", block.path);
            for key in block.all_keys().filter(|key| key.needed) {
                assert!(!key.sample.is_empty(), "{}.{}", block.path, key.name);
            }
            for (other, needed) in block.needs {
                assert!(super::block(other).unwrap().key(needed).is_some_and(|key| !key.sample.is_empty()));
            }
        }
    }

    #[test]
    fn keys_are_found_by_their_place() {
        assert_eq!(key("aws.lambda.functionname").unwrap().0.path, "aws.lambda");
        assert_eq!(key("elasticsearch.batching.enabled").unwrap().1.name, "batching.enabled");
        assert!(key("aws.lambda").is_none() && key("slack").is_none() && key("slack.nothing").is_none());
        assert!(has_blocks_below("aws") && !has_blocks_below("slack") && !has_blocks_below("aw"));
        assert!(has_keys_below("elasticsearch.batching") && !has_keys_below("elasticsearch.batch"));
    }
}
