//! `ssync object` of an erasure-coded object, at nodes of both kinds.

use anyhow::{Context as _, Result};
use ssync_tests::{Cluster, Server, Shape};

use crate::{ssync::ssync, told::ask};

#[test]
fn are_told_with_what_is_lacking() -> Result<()> {
    let cluster = Cluster::of(4).spread(3, 2).build()?;
    let servers =
        [Server::Ssync(Shape::OneProcess), Server::Stock, Server::Ssync(Shape::OneProcess), Server::Stock];
    let mut serving = Vec::new();
    for (number, server) in (1..).zip(servers) {
        serving.push(cluster.node(number).serve(server)?);
    }
    let object = |code: i32| -> Result<serde_json::Value> {
        let said = ssync(cluster.node(1), &["object", "/AUTH_test/c/coded", "--json", "--policy", "ec21"])?;
        assert_eq!(said.code, Some(code));
        Ok(said.last_json()?[0].clone())
    };
    let before = object(1)?;
    let partition = before["partition"].as_u64().context("a partition")?;
    let store = |place: usize, fragment: &str| -> Result<()> {
        let primaries = cluster.primaries_of(2, u32::try_from(partition)?);
        let headers = [
            ("X-Timestamp", "1700000000.00000"),
            ("X-Backend-Storage-Policy-Index", "2"),
            ("Content-Type", "text/plain"),
            ("X-Object-Sysmeta-Ec-Frag-Index", fragment),
            ("X-Object-Sysmeta-Ec-Etag", "0123456789abcdef0123456789abcdef"),
            ("X-Object-Sysmeta-Ec-Content-Length", "1000"),
        ];
        let path = format!("/sdb1/{partition}/AUTH_test/c/coded");
        let answer = ask(cluster.node(primaries[place]).address(), "PUT", &path, &headers, b"fragment")?;
        assert_eq!(answer.status, 201, "{}", answer.text());
        Ok(())
    };
    store(0, "0")?;
    store(1, "1")?;
    let told = object(1)?;
    assert!(
        told["summary"].as_str().unwrap_or_default().starts_with("2 of 3 fragments are there, 2 are needed"),
        "{told}"
    );
    assert!(
        told["problems"][0]["what"].as_str().unwrap_or_default().contains("(primary 2) lacks fragment 2"),
        "{told}"
    );
    assert_eq!(
        (told["devices"][0]["bytes"].as_u64(), &told["devices"][0]["fragments"][0]["durable"]),
        (Some(1000), &true.into())
    );
    store(2, "2")?;
    let told = object(0)?;
    assert_eq!(told["problems"].as_array().map(Vec::len), Some(0), "{told}");
    Ok(())
}
