//! What a client of the proxy sees while nodes are away and handoffs stand in for them, and what is on the disks afterwards.
//!
//! Swift's own probe tests (`test_object_handoff`, `test_empty_device_handoff`, `test_dark_data`) tell these stories.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use ssync_tests::{Client, Cloud, CloudBuilder, Replicator, Server, Shape, Snapshot};

use crate::direct::{Change, Clock, Object, ask};

const NODES: u8 = 4;
const OURS: [u8; 2] = [1, 2];

fn server(number: u8) -> Server {
    if OURS.contains(&number) { Server::Ssync(Shape::OneProcess) } else { Server::Stock }
}

struct Scene {
    cloud: Cloud,
    client: Client,
}

/// An object and who has to do with it.
struct Cast {
    object: Object,
    path: String,
    primaries: Vec<u8>,
    handoff: u8,
}

impl Scene {
    fn begin(builder: CloudBuilder) -> Result<Self> {
        let cloud = builder.start_each(server)?;
        let client = cloud.client()?;
        let scene = Self { cloud, client };
        scene.ask("PUT", "/c", b"", 201)?;
        Ok(scene)
    }

    /// An object whose first primary and whose handoff are of these kinds.
    fn cast(&self, name: &str, first_is_ours: bool, handoff_is_ours: bool) -> Result<Cast> {
        let found = (0..8).find_map(|partition| {
            let primaries = self.cloud.cluster().primaries(partition);
            let handoff = (1..=NODES).find(|number| !primaries.contains(number))?;
            let fits = OURS.contains(&handoff) == handoff_is_ours;
            let at = primaries.iter().position(|number| OURS.contains(number) == first_is_ours)?;
            fits.then_some((partition, primaries, handoff, at))
        });
        let (partition, mut primaries, handoff, at) = found.context("no such partition")?;
        primaries.swap(0, at);
        let object = Object::within(partition, name);
        let path = object.path.trim_start_matches("/AUTH_test").to_owned();
        Ok(Cast { object, path, primaries, handoff })
    }

    fn ask(&self, method: &str, path: &str, body: &[u8], status: u16) -> Result<String> {
        let answer = self.client.request(method, path, &[], body)?;
        ensure!(answer.status == status, "{method} {path}: not {status}: {answer:?}");
        Ok(answer.text())
    }

    fn start(&mut self, numbers: &[u8]) -> Result<()> {
        numbers.iter().try_for_each(|number| self.cloud.start_node(*number, server(*number)))
    }

    fn stop(&mut self, numbers: &[u8]) {
        numbers.iter().for_each(|number| self.cloud.stop_node(*number));
    }

    /// What a node itself answers.
    fn status(&self, number: u8, object: &Object) -> Result<u16> {
        let timestamp = Clock::start()?.at(3600);
        let read = Change { method: "GET", timestamp: &timestamp, headers: &[], body: b"" };
        Ok(ask(self.cloud.node(number), object, read)?.status)
    }

    /// One pass of each of these, in this order.
    fn pass(&self, numbers: &[u8]) -> Result<()> {
        for number in numbers {
            let replicator = if OURS.contains(number) { Replicator::Ssync } else { Replicator::Stock };
            let pass = self.cloud.node(*number).replicate(replicator)?;
            ensure!(pass.success, "node {number}: {}", pass.log);
        }
        Ok(())
    }

    /// The files of an object on a node.
    fn files_of(&self, number: u8, object: &Object) -> Result<Vec<PathBuf>> {
        let mut files = self.files(number, "")?;
        files.retain(|path| path.to_string_lossy().contains(&object.hash()));
        Ok(files)
    }

    /// Files of objects on a node, by the ends of their names.
    fn files(&self, number: u8, kind: &str) -> Result<Vec<PathBuf>> {
        let device = self.cloud.node(number).device();
        let objects = Snapshot::of(&device)?.objects();
        let of_kind = |path: &&std::path::Path| path.to_string_lossy().ends_with(kind);
        Ok(objects.paths().into_iter().filter(of_kind).map(|path| device.join(path)).collect())
    }
}

/// The first primary is away, a handoff alone is read from, all comes home; then it is away for a deletion.
fn stood_in_for(scene: &mut Scene, cast: &Cast) -> Result<()> {
    let (away, others) = (cast.primaries[0], &cast.primaries[1..]);
    scene.stop(&[away]);
    scene.ask("PUT", &cast.path, b"VERIFY", 201)?;
    scene.stop(others);
    ensure!(scene.ask("GET", &cast.path, b"", 200)? == "VERIFY", "the handoff alone has something else");
    scene.start(others)?;
    scene.start(&[away])?;
    assert_eq!(scene.status(away, &cast.object)?, 404, "it has it already");

    let everybody = [&cast.primaries[..], &[cast.handoff]].concat();
    scene.pass(&everybody)?;
    assert_eq!(scene.status(away, &cast.object)?, 200, "it has not come home");
    assert_eq!(scene.status(cast.handoff, &cast.object)?, 404, "the handoff keeps it");
    assert_eq!(scene.files_of(cast.handoff, &cast.object)?, Vec::<PathBuf>::new());

    scene.stop(&[away]);
    scene.ask("DELETE", &cast.path, b"", 204)?;
    scene.ask("HEAD", &cast.path, b"", 404)?;
    assert!(!scene.ask("GET", "/c", b"", 204)?.contains("home"), "the listing knows of it");
    scene.start(&[away])?;
    assert_eq!(scene.status(away, &cast.object)?, 200, "who was away knows of the deletion already");
    scene.pass(&everybody)?;
    for number in everybody {
        assert_eq!(scene.status(number, &cast.object)?, 404, "node {number} brings it back");
    }
    assert_eq!(scene.files_of(cast.handoff, &cast.object)?, Vec::<PathBuf>::new());
    Ok(())
}

#[test]
fn handoffs_stand_in_and_all_comes_home() -> Result<()> {
    let mut scene = Scene::begin(Cloud::of(NODES))?;
    for (first_is_ours, handoff_is_ours) in [(true, false), (false, true)] {
        let cast = scene.cast("home", first_is_ours, handoff_is_ours)?;
        stood_in_for(&mut scene, &cast)?;
    }
    scene.cloud.assert_running();
    Ok(())
}

/// A handoff has what was deleted since; a read must not find it.
fn deleted_but_on_a_handoff(scene: &mut Scene, cast: &Cast) -> Result<()> {
    scene.stop(&cast.primaries[..1]);
    scene.ask("PUT", &cast.path, b"VERIFY", 201)?;
    scene.start(&cast.primaries[..1])?;
    scene.ask("DELETE", &cast.path, b"", 204)?;
    assert_eq!(scene.status(cast.handoff, &cast.object)?, 200, "nothing stale is left to be found");
    scene.ask("GET", &cast.path, b"", 404).map(drop)
}

/// Nobody who should know answers: that is no 404. A tombstone on a handoff is an answer.
fn nobody_answers(scene: &mut Scene, cast: &Cast) -> Result<()> {
    scene.stop(&cast.primaries);
    scene.ask("GET", &cast.path, b"", 503)?;
    scene.start(&cast.primaries[..1])?;
    scene.ask("DELETE", &cast.path, b"", 404)?;
    scene.stop(&cast.primaries[..1]);
    scene.ask("GET", &cast.path, b"", 404)?;
    scene.start(&cast.primaries)
}

/// A primary comes back with an empty device: reading makes no folders there, and the handoff fills it.
fn an_empty_device(scene: &mut Scene, cast: &Cast) -> Result<()> {
    let away = cast.primaries[0];
    let top = scene.cloud.node(away).device().join("objects");
    scene.stop(&[away]);
    let _ = fs::remove_dir_all(&top);
    scene.ask("PUT", &cast.path, b"VERIFY", 201)?;
    scene.start(&[away])?;
    assert_eq!(scene.status(away, &cast.object)?, 404);
    assert!(!top.exists(), "a GET of what is not there has made folders");
    scene.pass(&[away, cast.handoff])?;
    assert_eq!(scene.status(away, &cast.object)?, 200);
    assert_eq!(scene.status(cast.handoff, &cast.object)?, 404);
    Ok(())
}

#[test]
fn nothing_stale_is_read_and_nothing_is_said_not_to_be_there_by_who_cannot_know() -> Result<()> {
    let mut scene = Scene::begin(Cloud::of(NODES))?;
    for (first_is_ours, handoff_is_ours) in [(true, false), (false, true)] {
        let cast = |name| scene.cast(name, first_is_ours, handoff_is_ours);
        let (stale, missing, empty) = (cast("stale")?, cast("missing")?, cast("empty")?);
        deleted_but_on_a_handoff(&mut scene, &stale)?;
        nobody_answers(&mut scene, &missing)?;
        an_empty_device(&mut scene, &empty)?;
    }
    scene.cloud.assert_running();
    Ok(())
}

/// A node that was away for longer than tombstones are kept brings an object back that no listing knows; Swift's auditor finds
/// it by what replication has left, on our disks too.
#[test]
fn what_an_old_node_brings_back_is_found_by_swifts_auditor() -> Result<()> {
    let mut scene = Scene::begin(Cloud::of(NODES).setting("object-auditor", "watchers", "swift#dark_data"))?;
    for number in 1..=NODES {
        let node = scene.cloud.node(number);
        let text = fs::read_to_string(node.conf())?;
        let watcher = "[object-auditor:watcher:swift#dark_data]\naction = delete\ngrace_age = 0\n";
        fs::write(node.conf(), text + watcher)?;
    }
    let cast = scene.cast("dark", true, true)?;
    let old = cast.primaries[0];
    scene.ask("PUT", &cast.path, b"VERIFY", 201)?;
    scene.stop(&[old]);
    scene.ask("DELETE", &cast.path, b"", 204)?;
    // As if reclaim_age had passed.
    for number in 1..=NODES {
        for file in scene.files(number, ".ts")? {
            fs::remove_file(file)?;
        }
    }
    scene.start(&[old])?;
    scene.pass(&[old])?;
    let copies = |scene: &Scene| -> Result<usize> {
        (1..=NODES).map(|number| Ok(scene.files(number, ".data")?.len())).sum()
    };
    assert_eq!(copies(&scene)?, 3, "it has not come back, so there is nothing to find");
    for number in 1..=NODES {
        scene.cloud.node(number).run_stock("swift-object-auditor", &[])?;
    }
    assert_eq!(copies(&scene)?, 0);
    scene.ask("GET", &cast.path, b"", 404)?;
    scene.cloud.assert_running();
    Ok(())
}
