//! Dependencies point down only (ARCHITECTURE.md).

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::texts;

/// From the bottom up; a crate may depend on those of lower rows only.
const LAYERS: [&[&str]; 8] = [
    &["ssync-types", "ssync-pickle", "ssync-conf", "ssync-statsd", "ssync-background", "ssync-instruments"],
    &["ssync-tls"],
    &["ssync-ring", "ssync-diskfile", "ssync-protocol"],
    &["ssync-api"],
    &["ssync-store", "ssync-runtime", "ssync-page"],
    &["ssync-receiver", "ssync-replicator", "ssync-sidecar", "ssync-client"],
    &["ssync"],
    &["ssync-tests", "ssync-simulation", "ssync-fuzz"],
];

/// What a crate must not depend on although it stands lower.
const NEVER: [(&str, &[&str]); 11] = [
    ("ssync-types", &["tokio", "tonic", "prost", "async-trait", "hyper"]),
    ("ssync-pickle", &["tokio", "tonic", "prost"]),
    ("ssync-conf", &["tokio", "tonic", "prost"]),
    ("ssync-ring", &["tokio", "tonic", "prost"]),
    ("ssync-diskfile", &["tokio", "tonic", "prost", "ssync-conf"]),
    ("ssync-protocol", &["tokio", "tonic", "prost", "rustix"]),
    ("ssync-api", &["ssync-ring", "ssync-diskfile", "ssync-protocol", "ssync-pickle", "ssync-conf"]),
    ("ssync-store", &["ssync-diskfile"]),
    (
        "ssync-page",
        &["tokio", "tonic", "axum", "ssync-ring", "ssync-diskfile", "ssync-store", "ssync-runtime"],
    ),
    ("ssync-sidecar", &["ssync-diskfile", "tonic", "prost"]),
    (
        "ssync-tests",
        &["ssync-receiver", "ssync-sidecar", "ssync-replicator", "ssync-diskfile", "ssync-store"],
    ),
];

/// The crates' names, each with what it depends on to be built (not what its tests use).
fn manifests() -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    for manifest in texts().into_iter().filter(|file| file.path.ends_with("Cargo.toml")) {
        let mut section = String::new();
        let mut name = String::new();
        let mut dependencies = BTreeSet::new();
        for line in manifest.text.lines().map(str::trim) {
            if let Some(header) = line.strip_prefix('[') {
                section = header.trim_end_matches(']').to_owned();
            } else if let Some((key, value)) = line.split_once('=') {
                let key = key.trim();
                match section.as_str() {
                    "package" if key == "name" => name = value.trim().trim_matches('"').to_owned(),
                    "dependencies" => {
                        dependencies.insert(key.split('.').next().unwrap_or(key).to_owned());
                    }
                    _ => {}
                }
            }
        }
        found.insert(name, dependencies);
    }
    found
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

#[test]
fn point_down_only() {
    let manifests = manifests();
    assert_eq!(
        manifests.len(),
        LAYERS.iter().map(|layer| layer.len()).sum::<usize>(),
        "{:?}",
        manifests.keys()
    );
    for (name, dependencies) in &manifests {
        let own = layer(name).unwrap_or_else(|| panic!("{name} has no place in ARCHITECTURE.md's picture"));
        for dependency in dependencies.iter().filter(|dependency| dependency.starts_with("ssync")) {
            let below = layer(dependency).unwrap_or_else(|| panic!("{dependency} has no place"));
            assert!(below < own, "{name} must not depend on {dependency}: dependencies point down only");
        }
    }
}

#[test]
fn leave_out_what_a_crate_must_do_without() {
    let manifests = manifests();
    for (name, never) in NEVER {
        let dependencies = manifests.get(name).unwrap_or_else(|| panic!("no crate {name}"));
        for unwanted in never {
            assert!(!dependencies.contains(*unwanted), "{name} must do without {unwanted}");
        }
    }
}
