//! `ssync partition`, `ssync verify`, `ssync plan --ring`: what they say of real trees, and that they change nothing.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use serde_json::Value;
use ssync_tests::{Cluster, Node, Server, Shape};

use crate::{
    ssync::{Said, ssync},
    told::ask,
};

const OURS: Server = Server::Ssync(Shape::OneProcess);

/// Files and directories below a folder, with what changes when they do.
fn tree(root: &Path) -> Result<BTreeMap<PathBuf, (u64, u64, i64, i64)>> {
    let (mut all, mut places) = (BTreeMap::new(), vec![root.to_path_buf()]);
    while let Some(place) = places.pop() {
        for entry in fs::read_dir(&place)? {
            let entry = entry?;
            let stat = entry.metadata()?;
            all.insert(entry.path(), (stat.ino(), stat.size(), stat.mtime(), stat.mtime_nsec()));
            if stat.is_dir() {
                places.push(entry.path());
            }
        }
    }
    Ok(all)
}

/// Nobody has written into these directories for an hour: what is young is not judged.
fn quiet(root: &Path) -> Result<()> {
    let hour = SystemTime::now() - Duration::from_secs(3600);
    for path in tree(root)?.into_keys().filter(|path| path.is_dir()) {
        fs::File::open(path)?.set_modified(hour)?;
    }
    Ok(())
}

/// Directories of single objects of policy 0, in order.
fn object_dirs(node: &Node) -> Result<Vec<PathBuf>> {
    let objects = node.device().join("objects");
    Ok(tree(&objects)?
        .into_keys()
        .filter(|path| path.is_dir() && path.file_name().is_some_and(|name| name.len() == 32))
        .collect())
}

fn data_file(object: &Path) -> Result<PathBuf> {
    let mut files = fs::read_dir(object)?.filter_map(|entry| Some(entry.ok()?.path()));
    files.find(|path| path.extension().is_some_and(|found| found == "data")).context("a body")
}

/// A look that changes nothing.
fn verify(node: &Node, arguments: &[&str]) -> Result<(Option<i32>, Value)> {
    let before = tree(&node.device())?;
    let all: Vec<&str> = ["verify", "--json"].into_iter().chain(arguments.iter().copied()).collect();
    let said = ssync(node, &all)?;
    let changed: Vec<_> =
        tree(&node.device())?.into_iter().filter(|(path, state)| before.get(path) != Some(state)).collect();
    assert!(changed.is_empty(), "a look changed {changed:?}");
    Ok((said.code, said.last_json()?))
}

fn has(told: &Value, rule: &str, severity: &str, path: &Path) -> bool {
    let path = path.display().to_string();
    told["findings"].as_array().into_iter().flatten().any(|finding| {
        finding["rule"] == rule
            && finding["severity"] == severity
            && finding["path"].as_str().is_some_and(|found| found.starts_with(&path))
            && finding["what"].as_str().is_some_and(|what| !what.is_empty())
            && finding["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty())
    })
}

#[test]
fn verify_names_what_is_planted_on_a_tree_of_stock_swift() -> Result<()> {
    names_what_is_planted(Server::Stock)
}

#[test]
fn verify_names_what_is_planted_on_a_tree_of_ours() -> Result<()> {
    names_what_is_planted(OURS)
}

fn names_what_is_planted(server: Server) -> Result<()> {
    let cluster = Cluster::of(2).part_power(4).build()?;
    let _serving = [cluster.node(1).serve(server)?, cluster.node(2).serve(server)?];
    let node = cluster.node(1);
    // By Swift's DiskFile, and by the server.
    node.write_tree(30)?;
    for number in 0..20 {
        put(node, &format!("/AUTH_test/c/served-{number}"), number)?;
    }
    // Whoever asks for hashes has them written down.
    for partition in 0..16 {
        let said = ssync(node, &["partition", &partition.to_string(), "--policy", "0", "--json"])?;
        assert!(said.code != Some(2), "{said:?}");
    }
    quiet(&node.device())?;
    let (code, told) = verify(node, &["--all"])?;
    assert_eq!((code, told["wrong"].as_u64()), (Some(0), Some(0)), "{told}");
    let device = &told["devices"][0];
    assert!(
        device["objects"].as_u64() >= Some(50) && device["suffixes_compared"].as_u64() > Some(20),
        "{told}"
    );
    let (code, told) = verify(node, &["--sample", "10"])?;
    assert_eq!(code, Some(0));
    assert!(told["devices"][0]["partitions_visited"].as_u64() <= Some(10), "{told}");
    plant(&cluster)
}

/// A PUT to the node, as a proxy sends it, whatever partition that is.
fn put(node: &Node, path: &str, number: u32) -> Result<()> {
    let at = format!("{}.00000", 1_700_000_000 + number);
    let (partition, _) = place(node, path)?;
    let target = format!("/sdb1/{partition}{path}");
    let headers = [("X-Timestamp", at.as_str()), ("Content-Type", "text/plain")];
    let answer = ask(node.address(), "PUT", &target, &headers, b"body")?;
    assert!((200..300).contains(&answer.status), "{target}: {}", answer.text());
    Ok(())
}

/// An object's partition in policy 0, and its hash.
fn place(node: &Node, path: &str) -> Result<(u64, String)> {
    let said = ssync(node, &["object", path, "--policy", "0", "--json"])?;
    let told = said.last_json()?[0].clone();
    let hash = told["hash"].as_str().context("a hash")?.to_owned();
    Ok((told["partition"].as_u64().context("a partition")?, hash))
}

fn plant(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let device = node.device();
    let mut objects = object_dirs(node)?.into_iter().filter(|object| data_file(object).is_ok());
    let mut next = || objects.next().context("an object");

    let stray = next()?.join(".1700000000.00000.data.AbCdEf");
    fs::write(&stray, "half")?;
    let longer = data_file(&next()?)?;
    fs::write(&longer, "another body than before")?;
    let superseded = next()?.join("0000000001.00000.ts");
    fs::write(&superseded, "")?;
    let file = next()?;
    fs::remove_dir_all(&file)?;
    fs::write(&file, "no directory")?;
    let gone = next()?;
    let (lost, suffix) = (gone.clone(), gone.parent().context("a suffix")?.to_path_buf());
    fs::remove_dir_all(&lost)?;
    let outside = device.join("objects/4711");
    fs::create_dir(&outside)?;
    let away = device.join(".ssync-away");
    fs::write(&away, "1700000000 is the second\n")?;
    let log = device.join("removal-log");
    fs::create_dir_all(&log)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let hash = place(node, "/AUTH_test/c/let-go")?;
    fs::write(
        log.join(format!("{now}.00000.log")),
        format!(
            "\n{now}.00000 removing {} policy=0 partition={} kind=data data=1700000000.00000 \
             by=10.0.0.9:6200/sdb1=confirmed path=/AUTH_test/c/let-go .\n\n{now}.00000 done .\n",
            hash.1, hash.0
        ),
    )?;
    quiet(&device)?;

    let (code, told) = verify(node, &["--all"])?;
    assert_eq!(code, Some(1));
    for (rule, severity, path) in [
        ("S1", "wrong", &stray),
        ("S1", "wrong", &longer),
        ("S5", "notice", &superseded),
        ("S4", "wrong", &file),
        ("S1", "wrong", &suffix),
        ("S3", "wrong", &outside),
        ("S5", "wrong", &away),
        ("S6", "wrong", &log),
        ("S2", "wrong", &log),
    ] {
        assert!(
            has(&told, rule, severity, path),
            "{rule} {severity} of {} is not in {told:#}",
            path.display()
        );
    }
    let text = ssync(node, &["verify", "--all", "--no-peers"])?;
    assert_eq!(text.code, Some(1));
    for word in ["is beyond the ring", "what this cannot tell", "S5 wrong", "things are wrong"] {
        assert!(text.output.contains(word), "{word:?} is not in\n{}", text.output);
    }
    Ok(())
}

#[test]
fn verify_finds_nothing_on_a_healthy_node_that_is_busy() -> Result<()> {
    let cluster = Cluster::of(2).part_power(4).build()?;
    let _serving = [cluster.node(1).serve(OURS)?, cluster.node(2).serve(OURS)?];
    let node = cluster.node(1);
    node.write_tree(30)?;
    let names: Vec<(String, u64)> = (0..8)
        .map(|number| {
            let path = format!("/AUTH_test/c/busy-{number}");
            let (partition, _) = place(node, &path)?;
            Ok((path, partition))
        })
        .collect::<Result<_>>()?;
    // Known hashes of what is at rest are held against what is there, all the while.
    assert_eq!(ssync(node, &["plan", "--json"])?.code, Some(0));
    quiet(&node.device())?;
    let over = AtomicBool::new(false);
    let (address, written) = (node.address(), &over);
    let elsewhere = object_dirs(node)?.into_iter().next().context("an object")?;
    let looked: Result<u64> = thread::scope(|scope| {
        let writer = scope.spawn(move || {
            let (mut count, mut at) = (0, 1_700_000_000_u64);
            while !written.load(Ordering::Relaxed) {
                for (path, partition) in &names {
                    at += 1;
                    let at = format!("{at}.00000");
                    let method = if count % 3 == 2 { "DELETE" } else { "PUT" };
                    let headers = [("X-Timestamp", at.as_str()), ("Content-Type", "text/plain")];
                    let answer =
                        ask(address, method, &format!("/sdb1/{partition}{path}"), &headers, b"body")?;
                    anyhow::ensure!(answer.status < 500, "{method} {path}: {}", answer.text());
                    count += 1;
                }
            }
            Ok(count)
        });
        // As an rsync of a stock node does: a name for as long as it writes, and another for the next file.
        scope.spawn(move || {
            for number in 0_u32.. {
                if written.load(Ordering::Relaxed) {
                    break;
                }
                let temporary = elsewhere.join(format!(".1700000000.00000.data.{number:06}"));
                let _ = fs::write(&temporary, "half");
                thread::sleep(Duration::from_millis(20));
                let _ = fs::remove_file(temporary);
            }
        });
        let looks = (0..3).try_for_each(|_| {
            let said = ssync(node, &["verify", "--all", "--json"])?;
            let told = said.last_json()?;
            anyhow::ensure!(said.code == Some(0) && told["wrong"] == 0, "{told:#}");
            anyhow::ensure!(told["devices"][0]["suffixes_compared"].as_u64() > Some(10), "{told:#}");
            // Suffixes are hashed meanwhile.
            ssync(node, &["plan", "--json"]).map(drop)
        });
        over.store(true, Ordering::Relaxed);
        let count = writer.join().expect("the writer")?;
        looks.map(|()| count)
    });
    assert!(looked? > 50, "the node was busy");
    Ok(())
}

fn one(said: &Said) -> Result<Value> {
    let told = said.last_json()?;
    assert_eq!(told.as_array().map(Vec::len), Some(1), "{told}");
    Ok(told[0].clone())
}

/// Node 1 is ours and has all; of the others one is stock, and they have nothing.
#[test]
fn partition_tells_what_each_replica_has() -> Result<()> {
    let cluster = Cluster::of(3).part_power(4).build()?;
    let mut serving = [
        Some(cluster.node(1).serve(OURS)?),
        Some(cluster.node(2).serve(OURS)?),
        Some(cluster.node(3).serve(Server::Stock)?),
    ];
    let node = cluster.node(1);
    node.write_tree(60)?;
    let object = object_dirs(node)?.into_iter().next().context("an object")?;
    let partition = object.ancestors().nth(2).and_then(Path::file_name).context("a partition")?;
    let partition = partition.to_string_lossy().into_owned();
    let arguments = ["partition", &partition, "--policy", "0", "--json"];

    let said = ssync(node, &arguments)?;
    let told = one(&said)?;
    assert_eq!((said.code, told["healthy"].as_bool()), (Some(1), Some(false)), "{told:#}");
    let devices = told["devices"].as_array().context("devices")?.clone();
    let own = devices.iter().find(|device| device["here"] == true).context("our own")?;
    assert!(own["objects"].as_u64() > Some(0) && own["bytes"].as_u64() > Some(0), "{told:#}");
    let lacking: Vec<_> =
        devices.iter().filter(|device| device["lacks_objects"].as_u64() > Some(0)).collect();
    assert!(!lacking.is_empty(), "{told:#}");
    let kinds: Vec<&str> = devices.iter().filter_map(|device| device["speaks"].as_str()).collect();
    assert!(kinds.contains(&"ssync") && kinds.contains(&"stock Swift"), "{told:#}");

    let text = ssync(node, &["partition", &partition, "--policy", "0"])?;
    assert!(text.code == Some(1) && text.output.contains("ssync push --device sdb1"), "{}", text.output);

    // What it says helps: the remedy brings them in step.
    for _ in 0..2 {
        let said = ssync(node, &["push", "--device", "sdb1", "--partition", &partition])?;
        assert_eq!(said.code, Some(0));
    }
    let said = ssync(node, &arguments)?;
    let told = one(&said)?;
    assert_eq!((said.code, told["healthy"].as_bool()), (Some(0), Some(true)), "{told:#}");
    let text = ssync(node, &["partition", &partition, "--policy", "0"])?;
    assert!(text.output.contains("equal") && text.output.contains("Nothing is wrong."), "{}", text.output);
    assert!(text.output.contains("sdb1 (here)") && !text.output.contains('\u{1b}'), "{}", text.output);

    // A node that is down is a row; without a daemon here, and from a folder of rings alone, it is told as well.
    serving[1] = None;
    serving[0] = None;
    let said = ssync(node, &arguments)?;
    let told = one(&said)?;
    let failed = told["devices"].as_array().into_iter().flatten().filter(|device| device["state"] == "error");
    assert!(said.code == Some(1) && failed.count() >= 1, "{told:#}");
    let swift_dir = node.swift_dir().display().to_string();
    let said = ssync(node, &["partition", &partition, "--policy", "0", "--swift-dir", &swift_dir, "--json"])?;
    assert_eq!(said.code, Some(1));
    assert!(one(&said)?["devices"].as_array().into_iter().flatten().all(|device| device["here"] == false));

    let beyond = ssync(node, &["partition", "4711"])?;
    assert!(beyond.code == Some(2) && beyond.error.contains("no ring has partition 4711"), "{beyond:?}");
    Ok(())
}
