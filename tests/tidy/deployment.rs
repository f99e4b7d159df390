//! What is deployed has what it needs.

use std::fs;

use ssync_tests::repository;

/// The containers of a manifest, each by its lines.
fn containers(manifest: &str) -> Vec<Vec<&str>> {
    let mut found: Vec<Vec<&str>> = Vec::new();
    let mut depth = None;
    for line in manifest.lines().filter(|line| !line.trim().is_empty()) {
        let indent = line.len() - line.trim_start().len();
        match depth {
            None if line.trim() == "containers:" => depth = Some(indent),
            Some(depth) if indent <= depth => break,
            Some(depth) if indent == depth + 2 && line.trim_start().starts_with("- ") => {
                found.push(vec![line.trim()]);
            }
            Some(_) => found.iter_mut().last().expect("an item comes first").push(line.trim()),
            None => {}
        }
    }
    found
}

/// Whoever answers `/recon` reads what Swift's daemons leave there; the replicator writes it.
#[test]
fn who_serves_recon_sees_its_cache() {
    let manifest = fs::read_to_string(repository().join("deploy/kubernetes/split.yaml")).expect("a manifest");
    let containers = containers(&manifest);
    for part in ["sidecar", "replicator"] {
        let begins = format!("args: [\"{part}\"");
        let container = containers
            .iter()
            .find(|lines| lines.iter().any(|line| line.starts_with(&begins)))
            .unwrap_or_else(|| panic!("no container is the {part}"));
        assert!(container.contains(&"mountPath: /var/cache/swift"), "the {part} does not see recon's cache");
    }
}
