//! The pins of metadata/workloads.yaml: complete, well formed, and the same wherever another file has to repeat one.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::charm::Charm;
use crate::text;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Workloads {
    falco: Falco,
    falcosidekick: Falcosidekick,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Falco {
    version: String,
    url: String,
    signing_key: String,
    platforms: BTreeMap<String, Platform>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Platform {
    arch: String,
    file: String,
    size: u64,
    sha256: Option<String>,
    sha512: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Falcosidekick {
    version: String,
    image: String,
}

fn workloads() -> Workloads {
    serde_yaml::from_str(&text("metadata/workloads.yaml"))
        .unwrap_or_else(|error| panic!("metadata/workloads.yaml: {error}"))
}

fn is_lower_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.chars().all(|it| matches!(it, '0'..='9' | 'a'..='f'))
}

fn is_version(text: &str) -> bool {
    text.split('.').count() == 3 && text.split('.').all(|part| part.parse::<u32>().is_ok())
}

#[test]
fn versions_are_versions() {
    let Workloads { falco, falcosidekick } = workloads();
    assert!(is_version(&falco.version) && is_version(&falcosidekick.version));
}

#[test]
fn every_platform_of_the_charm_has_a_distribution_with_size_and_digests() {
    let falco = workloads().falco;
    assert_eq!(falco.platforms.keys().collect::<Vec<_>>(), Charm::read("falco").platforms.keys().collect::<Vec<_>>());
    for (name, Platform { arch, file, size, sha256, sha512 }) in &falco.platforms {
        assert_eq!(arch, if name == "amd64" { "x86_64" } else { "aarch64" });
        assert_eq!(file, &format!("falco-{}-{arch}.tar.gz", falco.version));
        assert!((10_000_000..200_000_000).contains(size), "{name}: {size} bytes");
        assert!(sha256.as_deref().is_none_or(|digest| is_lower_hex(digest, 64)), "{name}: sha256");
        assert!(is_lower_hex(sha512, 128), "{name}: sha512");
    }
    let distinct: std::collections::BTreeSet<_> = falco.platforms.values().map(|platform| &platform.sha512).collect();
    assert_eq!(distinct.len(), falco.platforms.len(), "two files cannot have one digest");
}

#[test]
fn the_download_is_encrypted_and_its_key_is_a_whole_fingerprint() {
    let falco = workloads().falco;
    assert!(falco.url.starts_with("https://"));
    assert_eq!(
        (falco.url.matches("{arch}").count(), falco.url.matches("{file}").count(), falco.url.matches('{').count()),
        (1, 1, 2)
    );
    assert!(is_lower_hex(&falco.signing_key.to_lowercase(), 40));
}

#[test]
fn the_image_is_the_one_of_the_version_and_the_charm_names_the_same() {
    let falcosidekick = workloads().falcosidekick;
    let (_, tag) = falcosidekick.image.split_once(':').unwrap();
    assert_eq!(tag.split('@').next(), Some(falcosidekick.version.as_str()));
    let charm = Charm::read("falcosidekick-k8s");
    assert_eq!(charm.resources["falcosidekick-image"].upstream_source.as_ref(), Some(&falcosidekick.image));
}
