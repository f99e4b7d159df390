//! What is deployed has what it needs.

use std::{collections::BTreeSet, fs};

use ssync_tests::repository;

use crate::tree::texts;

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
    let place = repository().join("deploy/kustomize/base/three/ssync.yaml");
    let manifest = fs::read_to_string(place).expect("a manifest");
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

/// Variables that are no options: the file to read.
const NO_OPTIONS: [&str; 1] = ["SSYNC_CONF"];

/// Words that begin as the variables of options do.
fn variables(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
    words.filter(|word| word.starts_with("SSYNC_") && word.len() > "SSYNC_".len()).collect()
}

/// Whether the sample, which is made from the table of options, has an option that a variable sets.
fn is_option(sample: &str, variable: &str) -> bool {
    let name = variable.trim_start_matches("SSYNC_").to_lowercase();
    // Those of the replicator and of filters have their section in front.
    let own = name.strip_prefix("replicator_").unwrap_or(&name);
    [name.as_str(), own].iter().any(|name| {
        let line = format!("# {name} =");
        sample.lines().any(|found| found.starts_with(&line))
    })
}

/// A variable that is misspelt would be passed over in silence.
#[test]
fn every_variable_of_a_manifest_sets_an_option() {
    let sample = fs::read_to_string(repository().join("deploy/swift/object-server.conf-sample")).expect("it");
    let mut count = 0;
    for file in texts().into_iter().filter(|file| file.path.starts_with("deploy/")) {
        let of_a_manifest =
            [".yaml", ".service", ".conf", "/default"].iter().any(|end| file.path.ends_with(end));
        for variable in variables(&file.text) {
            if of_a_manifest && !NO_OPTIONS.contains(&variable) {
                count += 1;
                assert!(is_option(&sample, variable), "{}: {variable} sets no option", file.path);
            }
        }
    }
    assert!(count > 0, "no variable was found");
}
