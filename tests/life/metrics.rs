//! What `/metrics` of a running node has is what docs/operations.md lists.

use std::{collections::BTreeMap, fs};

use anyhow::Result;
use ssync_tests::{Cluster, exchange, repository};

use crate::{
    load::{objects, put},
    told::Started,
};

/// Names with their kinds, and whether they have labels, from the document's tables.
fn listed() -> Result<BTreeMap<String, (String, bool)>> {
    let document = fs::read_to_string(repository().join("docs/operations.md"))?;
    // A node without certificates has nothing to say of them.
    let (document, _) = document.split_once("### With certificates").unwrap_or((&document, ""));
    let rows = document.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind @ ("counter" | "gauge" | "histogram"), labels, _] = cells.as_slice() else {
            return None;
        };
        Some((name.trim_matches('`').to_owned(), ((*kind).to_owned(), !labels.is_empty())))
    });
    Ok(rows.collect())
}

/// The same from Prometheus' text, without labels.
fn shown(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect()
}

#[test]
fn are_those_of_the_document() -> Result<()> {
    let cluster = Cluster::of(1).setting("object-replicator", "interval", "3600").build()?;
    let node = cluster.node(1);
    let mut daemon = Started::ssync(&cluster, "node", |_| {})?;
    daemon.says("Object replication complete.")?;
    let stored = exchange(node.address(), &put(&objects(node, 1)?[0], 1, "body"))?;
    assert_eq!(stored.status, 201);

    let text = exchange(node.admin_address(), b"GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n")?.text();
    let (listed, shown) = (listed()?, shown(&text));
    assert!(listed.len() > 30 && shown.len() > 20, "{} and {}:\n{text}", listed.len(), shown.len());
    for (name, kind) in shown.iter().filter(|(name, _)| **name != "target_info") {
        let known = listed.get(*name).map(|(kind, _)| kind.as_str());
        assert_eq!(known, Some(*kind), "{name} in docs/operations.md");
    }
    for (name, (_, labelled)) in &listed {
        assert!(*labelled || shown.contains_key(name.as_str()), "{name} is not shown:\n{text}");
    }
    for line in [
        "ssync_ready 1",
        "ssync_receiver_requests_total 1",
        "ssync_receiver_commit_duration_seconds_count{device=\"sdb1\"} 1",
        "ssync_replicator_pass_partitions{state=\"pending\"} 0",
        "ssync_replicator_pass_duration_seconds_count{end=\"complete\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line}:\n{text}");
    }
    Ok(())
}
