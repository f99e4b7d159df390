//! A stock reconstructor brings fragments to our nodes, takes them from there, and finds nothing to do afterwards.
//!
//! One partition of a policy 2+1 over four nodes, each served by the server under test: three primaries, of which the last
//! lacks what it should have, and a handoff that holds some of it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use ssync_tests::{Cluster, DEVICE, Server, Serving, Shape, helper};

in_every_shape!(a_stock_reconstructor_mends_our_nodes);

#[test]
fn as_it_mends_stock_nodes() -> Result<()> {
    mends(Server::Stock)
}

fn a_stock_reconstructor_mends_our_nodes(shape: Shape) -> Result<()> {
    mends(Server::Ssync(shape))
}

const NODES: u8 = 4;
const POLICY: u8 = 2;

#[derive(Debug, Deserialize)]
struct Spread {
    /// By place: "0", "1", "2", "handoff".
    nodes: BTreeMap<String, u8>,
    objects: BTreeMap<String, Placed>,
}

#[derive(Debug, Deserialize)]
struct Placed {
    directory: String,
    /// Of each fragment as Swift's coder makes it.
    md5: Vec<String>,
}

/// What is in an object's directory, by the end of each file's name.
type Files = BTreeMap<String, Value>;

struct Scene {
    cluster: Cluster,
    spread: Spread,
}

impl Scene {
    fn new() -> Result<Self> {
        // What is not durable may be taken for given up at once.
        let cluster = Cluster::of(NODES).spread(3, 2).setting("DEFAULT", "commit_window", "0").build()?;
        let devices: BTreeMap<String, String> = (1..=NODES)
            .map(|number| (number.to_string(), cluster.node(number).devices().display().to_string()))
            .collect();
        let spread = helper(
            "write_fragments",
            &json!({"swift_dir": cluster.node(1).swift_dir(), "policy": POLICY, "devices": devices, "device": DEVICE,
            "objects": {
                "rebuilt": {"second": 1, "at": {"0": "durable", "1": "durable"}},
                "rebuilt-posted": {"second": 2, "post": 12, "at": {"0": "durable", "1": "durable"}},
                "reverted": {"second": 3, "at": {"0": "durable", "1": "durable", "handoff": "durable"}},
                "reverted-pending": {"second": 4, "at": {"0": "pending", "1": "pending", "handoff": "pending"}},
                "marked": {"second": 5, "at": {"0": "durable", "1": "durable", "2": "pending", "handoff": "durable"}},
                "both-pending": {"second": 6, "at": {"0": "pending", "1": "pending", "2": "pending", "handoff": "pending"}},
                "deleted": {"second": 7, "at": {"0": "durable", "1": "durable", "2": "durable", "handoff": "deleted"}},
            }}),
        )?;
        Ok(Self { cluster, spread: serde_json::from_value(spread)? })
    }

    fn node(&self, place: &str) -> Result<u8> {
        self.spread.nodes.get(place).copied().with_context(|| format!("no place {place}"))
    }

    fn reconstruct(&self, place: &str) -> Result<()> {
        self.cluster.node(self.node(place)?).run_stock("swift-object-reconstructor", &[]).map(drop)
    }

    /// The files of each object at a place.
    fn files(&self, place: &str) -> Result<BTreeMap<String, Files>> {
        let node = self.cluster.node(self.node(place)?);
        let directories: BTreeMap<_, _> =
            self.spread.objects.iter().map(|(name, object)| (name, &object.directory)).collect();
        let found = helper(
            "read_fragments",
            &json!({"swift_dir": node.swift_dir(), "devices": node.devices(), "device": DEVICE, "policy": POLICY,
                "directories": directories}),
        )?;
        Ok(serde_json::from_value(found)?)
    }

    /// Fails unless a place holds exactly these files.
    fn assert_files(&self, place: &str, expected: &[(&str, &[&str])]) -> Result<()> {
        let files = self.files(place)?;
        let names = |files: &Files| files.keys().cloned().collect::<BTreeSet<String>>();
        let found: BTreeMap<&str, _> =
            files.iter().map(|(name, files)| (name.as_str(), names(files))).collect();
        let expected: BTreeMap<&str, BTreeSet<String>> = expected
            .iter()
            .map(|(name, files)| (*name, files.iter().map(|&file| file.to_owned()).collect()))
            .collect();
        assert_eq!(found, expected, "at {place}");
        self.assert_sound(place, &files);
        Ok(())
    }

    /// Fails unless each fragment is the one that its name says, with its metadata.
    fn assert_sound(&self, place: &str, files: &BTreeMap<String, Files>) {
        for (name, files) in files {
            for (file, found) in files.iter().filter(|(file, _)| file.ends_with(".data")) {
                let index: usize = file[1..2].parse().expect("an index");
                let (md5, metadata) = (&found["md5"], &found["metadata"]);
                assert_eq!(*md5, json!(self.spread.objects[name].md5[index]), "{name}{file} at {place}");
                assert_eq!(
                    metadata["X-Object-Sysmeta-Ec-Frag-Index"],
                    json!(index.to_string()),
                    "{name} {metadata}"
                );
                assert_eq!(metadata["ETag"], *md5, "{name} {metadata}");
                assert_eq!(metadata["Content-Type"], json!("text/plain"), "{name} {metadata}");
            }
        }
    }
}

fn mends(server: Server) -> Result<()> {
    let scene = Scene::new()?;
    let mut serving =
        (1..=NODES).map(|number| scene.cluster.node(number).serve(server)).collect::<Result<Vec<_>>>()?;

    // Brings home what it holds for others: sent, marked where it is, or there already.
    scene.reconstruct("handoff")?;
    scene.assert_files("handoff", &[])?;
    let brought: [(&str, &[&str]); 4] = [
        ("reverted", &["#2#d.data"]),
        ("reverted-pending", &["#2.data"]),
        ("marked", &["#2#d.data"]),
        ("both-pending", &["#2.data"]),
    ];
    let files = scene.files("2")?;
    for (name, expected) in brought {
        let found: Vec<_> = files.get(name).map(|files| files.keys().collect()).unwrap_or_default();
        assert_eq!(found, expected, "{name}");
    }
    scene.assert_sound("2", &files);

    // What nobody had is made anew; the tombstone goes round.
    for place in ["0", "1", "2"] {
        scene.reconstruct(place)?;
    }
    let at = |index: u8| [format!("#{index}#d.data"), format!("#{index}.data")];
    for (place, [durable, pending]) in [("0", at(0)), ("1", at(1)), ("2", at(2))] {
        scene.assert_files(
            place,
            &[
                ("rebuilt", &[&durable]),
                ("rebuilt-posted", &[&durable, ".meta"]),
                ("reverted", &[&durable]),
                ("reverted-pending", &[&pending]),
                ("marked", &[&durable]),
                ("both-pending", &[&pending]),
                ("deleted", &[".ts"]),
            ],
        )?;
    }

    let objects = || {
        (1..=NODES)
            .map(|number| Ok(scene.cluster.node(number).snapshot()?.objects()))
            .collect::<Result<Vec<_>>>()
    };
    let before = objects()?;
    for place in ["0", "1", "2", "handoff"] {
        scene.reconstruct(place)?;
    }
    for (before, after) in before.iter().zip(objects()?) {
        before.assert_unchanged(&after, "the second round");
    }
    serving.iter_mut().for_each(Serving::assert_running);
    Ok(())
}
