//! `ssync object`: what it says of an object, whoever serves its nodes.

use anyhow::{Context as _, Result};
use serde_json::Value;
use ssync_tests::{Cluster, Node, Server, Serving, Shape};

use crate::{
    ssync::{Said, ssync},
    told::ask,
};

const OURS: Server = Server::Ssync(Shape::OneProcess);

/// Four nodes, three replicas of policy 0.
struct Scene {
    cluster: Cluster,
    serving: Vec<Option<Serving>>,
}

/// Where an object belongs: its partition, and the numbers of its nodes, primaries first.
struct Places {
    partition: u64,
    nodes: Vec<u8>,
}

impl Scene {
    fn of(servers: [Server; 4]) -> Result<Self> {
        let cluster = Cluster::of(4).spread(3, 2).build()?;
        let mut serving = Vec::new();
        for (number, server) in (1..).zip(servers) {
            serving.push(Some(cluster.node(number).serve(server)?));
        }
        Ok(Self { cluster, serving })
    }

    fn object(&self, arguments: &[&str]) -> Result<Said> {
        let all: Vec<&str> = ["object"].into_iter().chain(arguments.iter().copied()).collect();
        ssync(self.cluster.node(1), &all)
    }

    /// One policy's answer.
    fn told(&self, path: &str) -> Result<(Option<i32>, Value)> {
        let said = self.object(&[path, "--json"])?;
        let told = said.last_json()?;
        assert_eq!(told.as_array().map(Vec::len), Some(1), "{told}");
        Ok((said.code, told[0].clone()))
    }

    fn places(&self, path: &str) -> Result<Places> {
        let said = self.object(&[path, "--json", "--policy", "gold", "--handoffs", "all"])?;
        let told = said.last_json()?[0].clone();
        let devices = told["devices"].as_array().context("devices")?;
        let number = |device: &Value| {
            (1..=4).find(|&n| {
                self.cluster.node(n).ring_address().to_string() == device["node"].as_str().unwrap_or_default()
            })
        };
        let nodes = devices
            .iter()
            .map(|device| number(device).context("a node of the cluster"))
            .collect::<Result<_>>()?;
        Ok(Places { partition: told["partition"].as_u64().context("a partition")?, nodes })
    }

    fn node(&self, places: &Places, place: usize) -> &Node {
        self.cluster.node(places.nodes[place])
    }

    /// A request of a proxy to the node in a place.
    fn request(
        &self,
        method: &str,
        path: &str,
        at: &str,
        places: &Places,
        place: usize,
        body: &[u8],
    ) -> Result<()> {
        let target = format!("/sdb1/{}{path}", places.partition);
        let headers = [("X-Timestamp", at), ("Content-Type", "text/plain"), ("X-Object-Meta-Color", "red")];
        let answer = ask(self.node(places, place).address(), method, &target, &headers, body)?;
        assert!(
            (200..300).contains(&answer.status) || answer.status == 404,
            "{method} {target}: {}",
            answer.text()
        );
        Ok(())
    }

    fn put(&self, path: &str, at: &str, places: &Places, at_places: &[usize]) -> Result<()> {
        at_places.iter().try_for_each(|&place| self.request("PUT", path, at, places, place, b"body"))
    }
}

fn problems(told: &Value) -> Vec<String> {
    let problems = told["problems"].as_array().into_iter().flatten();
    problems.filter_map(|problem| problem["what"].as_str().map(str::to_owned)).collect()
}

#[test]
fn of_stock_nodes() -> Result<()> {
    tells_each_state([Server::Stock; 4])
}

#[test]
fn of_our_nodes() -> Result<()> {
    tells_each_state([OURS; 4])
}

#[test]
fn of_nodes_of_both_kinds() -> Result<()> {
    tells_each_state([OURS, Server::Stock, OURS, Server::Stock])
}

fn tells_each_state(servers: [Server; 4]) -> Result<()> {
    let mut scene = Scene::of(servers)?;
    all_have_it(&scene)?;
    one_lacks_it(&scene)?;
    one_lacks_a_post(&scene)?;
    a_handoff_is_ahead(&scene)?;
    one_missed_the_deletion(&scene)?;
    etags_are_mixed(&scene)?;
    nobody_has_it(&scene)?;
    one_is_down(&mut scene)
}

fn all_have_it(scene: &Scene) -> Result<()> {
    let path = "/AUTH_test/c/whole";
    let places = scene.places(path)?;
    scene.put(path, "1700000000.12345", &places, &[0, 1, 2])?;
    let (code, told) = scene.told(path)?;
    assert_eq!((code, told["healthy"].as_bool()), (Some(0), Some(true)), "{told}");
    assert!(told["summary"].as_str().unwrap_or_default().starts_with("3 of 3 primaries have it"), "{told}");
    let device = &told["devices"][0];
    assert_eq!(device["data_timestamp"], "1700000000.12345");
    assert_eq!(device["content_type_timestamp"], "1700000000.12345");
    assert_eq!(
        (device["bytes"].as_u64(), device["etag"].as_str()),
        (Some(4), Some("841a2d689ad86bd1611447453c22c6fc"))
    );
    // By its hash, where the asking node has a copy; and for people.
    let hash = told["hash"].as_str().context("a hash")?;
    if places.nodes[..3].contains(&1) {
        let by_hash = scene.object(&[hash])?;
        assert_eq!(by_hash.code, Some(0));
        assert!(
            by_hash.output.starts_with(path) && by_hash.output.contains("Nothing is wrong."),
            "{}",
            by_hash.output
        );
        assert!(by_hash.output.contains("2023-11-14 22:13:20.12345  1700000000.12345"), "{}", by_hash.output);
    } else {
        assert_eq!(scene.object(&[hash])?.code, Some(2));
    }
    Ok(())
}

fn one_lacks_it(scene: &Scene) -> Result<()> {
    let path = "/AUTH_test/c/lacking";
    let places = scene.places(path)?;
    scene.put(path, "1700000000.00000", &places, &[0, 2])?;
    let (code, told) = scene.told(path)?;
    assert_eq!(code, Some(1));
    assert!(told["summary"].as_str().unwrap_or_default().starts_with("2 of 3 primaries have it"), "{told}");
    let problem = &told["problems"][0];
    let lacking = scene.node(&places, 1).ring_address();
    assert!(
        problem["what"]
            .as_str()
            .unwrap_or_default()
            .contains(&format!("sdb1 of {lacking} (primary 1) lacks it")),
        "{told}"
    );
    let command =
        format!("ssync push --device sdb1 --partition {} --policy 0 --to {lacking}/sdb1", places.partition);
    assert!(problem["remedy"].as_str().unwrap_or_default().ends_with(&command), "{told}");
    Ok(())
}

fn one_lacks_a_post(scene: &Scene) -> Result<()> {
    let path = "/AUTH_test/c/posted";
    let places = scene.places(path)?;
    scene.put(path, "1700000000.00000", &places, &[0, 1, 2])?;
    scene.request("POST", path, "1700000500.00000", &places, 0, b"")?;
    scene.request("POST", path, "1700000500.00000", &places, 2, b"")?;
    let (code, told) = scene.told(path)?;
    assert_eq!(code, Some(1));
    let found = problems(&told);
    assert!(
        found.len() == 1
            && found[0].contains("(primary 1) lacks the metadata of the POST at 2023-11-14 22:21:40"),
        "{found:?}"
    );
    assert_eq!(told["devices"][0]["meta_timestamp"], "1700000500.00000");
    Ok(())
}

fn a_handoff_is_ahead(scene: &Scene) -> Result<()> {
    let path = "/AUTH_test/c/ahead";
    let places = scene.places(path)?;
    scene.put(path, "1700000000.00000", &places, &[0, 1, 2])?;
    scene.put(path, "1700000900.00000", &places, &[3])?;
    let (code, told) = scene.told(path)?;
    assert_eq!(code, Some(1));
    let found = problems(&told);
    assert!(
        found[0].starts_with("only sdb1 of ")
            && found[0].ends_with("holds the newest version, and no primary does"),
        "{found:?}"
    );
    assert_eq!(found.iter().filter(|what| what.contains("has an older version")).count(), 3, "{found:?}");
    Ok(())
}

fn one_missed_the_deletion(scene: &Scene) -> Result<()> {
    let path = "/AUTH_test/c/deleted";
    let places = scene.places(path)?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let (stored, deleted) = (format!("{}.00000", now - 100), format!("{}.00000", now - 50));
    scene.put(path, &stored, &places, &[0, 1])?;
    scene.request("DELETE", path, &deleted, &places, 0, b"")?;
    let (code, told) = scene.told(path)?;
    assert_eq!(code, Some(1));
    let summary = told["summary"].as_str().unwrap_or_default();
    assert!(
        summary.starts_with("deleted at ") && summary.ends_with("the tombstone is on 1 of 3 primaries"),
        "{summary}"
    );
    let found = problems(&told);
    assert!(
        found[0].contains("(primary 1) still has the data")
            && found[1].contains("(primary 2) lacks the tombstone"),
        "{found:?}"
    );
    for place in [1, 2] {
        scene.request("DELETE", path, &deleted, &places, place, b"")?;
    }
    let (code, told) = scene.told(path)?;
    assert_eq!(code, Some(0), "a deletion that all know is well: {told}");
    Ok(())
}

fn etags_are_mixed(scene: &Scene) -> Result<()> {
    let path = "/AUTH_test/c/mixed";
    let places = scene.places(path)?;
    scene.put(path, "1700000000.00000", &places, &[0, 1])?;
    scene.request("PUT", path, "1700000000.00000", &places, 2, b"other")?;
    let (code, told) = scene.told(path)?;
    assert_eq!(code, Some(1));
    let found = problems(&told);
    assert!(found.len() == 1 && found[0].starts_with("mixed etags at the same timestamp: "), "{found:?}");
    Ok(())
}

fn nobody_has_it(scene: &Scene) -> Result<()> {
    let (code, told) = scene.told("/AUTH_test/c/never")?;
    assert_eq!(code, Some(1));
    assert!(told["summary"].as_str().unwrap_or_default().starts_with("none of the"), "{told}");
    for usage in
        [&["/AUTH_test/c"][..], &["no-path"], &["/a/c/o", "--policy", "tin"], &["/a/c/o", "--handoffs", "x"]]
    {
        assert_eq!(scene.object(usage)?.code, Some(2), "{usage:?}");
    }
    assert_eq!(
        scene.object(&["d41d8cd98f00b204e9800998ecf8427e"])?.code,
        Some(2),
        "no device here holds that"
    );
    Ok(())
}

fn one_is_down(scene: &mut Scene) -> Result<()> {
    let path = "/AUTH_test/c/whole";
    let places = scene.places(path)?;
    let down = places.nodes[1];
    scene.serving[usize::from(down) - 1] = None;
    let (code, told) = scene.told(path)?;
    assert_eq!(code, Some(1));
    assert!(told["summary"].as_str().unwrap_or_default().starts_with("2 of 3 primaries have it"), "{told}");
    let found = problems(&told);
    assert!(found.len() == 1 && found[0].contains("(primary 1) cannot be reached"), "{found:?}");
    assert_eq!(told["devices"][1]["state"], "error");
    Ok(())
}
