//! The filters of the pipeline: which are served, and the limit on requests.

use std::{fs, thread, time::Duration};

use anyhow::Result;
use ssync_tests::{Cluster, Node, Server, Serving};

use crate::told::{SERVERS, ask, assert_same};

fn statuses(node: &Node, asked: &[(&str, &str)]) -> Result<Vec<String>> {
    asked
        .iter()
        .map(|(method, path)| {
            let answer = ask(node.address(), method, path, &[], b"")?;
            Ok(format!("{method} {path} {} {}{}", answer.status, answer.timeless_head(), answer.text()))
        })
        .collect()
}

/// The two lines of the requests that no filter has answered. A line may come after its answer.
fn lines(serving: &Serving) -> Vec<String> {
    let mut lines = Vec::new();
    for _ in 0..100 {
        lines = serving.log().lines().filter_map(line).collect();
        if lines.len() >= 2 {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    assert!(lines.len() >= 2, "{lines:?}");
    lines
}

/// A line of the access log, less the date, the time it took and the process.
fn line(line: &str) -> Option<String> {
    let (before, rest) = line.split_once(" - - [")?;
    let (date, rest) = rest.split_once("] ")?;
    let address = before.rsplit(' ').next()?;
    let [policy, pid, info, took, request] = rest.rsplitn(5, ' ').collect::<Vec<_>>()[..] else {
        return None;
    };
    let is_whole =
        pid.parse::<u32>().is_ok() && took.split_once('.').is_some_and(|(_, places)| places.len() == 4);
    Some(format!("{address} {} {request} {is_whole} {info} {policy}", date.len()))
}

/// Rows 92, 95; the pipeline as paste loads it.
#[test]
fn the_pipeline_decides_what_is_served() -> Result<()> {
    let asked = [
        ("GET", "/healthcheck"),
        ("HEAD", "/healthcheck"),
        ("PUT", "/healthcheck"),
        ("GET", "/recon/version/x"),
        ("GET", "/recon/async"),
    ];
    for pipeline in ["healthcheck object-server", "recon object-server"] {
        let cluster = Cluster::of(1).setting("pipeline:main", "pipeline", pipeline).build()?;
        let node = cluster.node(1);
        fs::write(node.recon().join("object.recon"), "{}")?;
        let mut stock = Vec::new();
        for server in [SERVERS[0], SERVERS[1]] {
            let serving = node.serve(server)?;
            // Only its status: the version is each server's own.
            let said: Vec<String> = statuses(node, &asked)?
                .into_iter()
                .map(|said| if said.contains("/recon/version") { said[..30].to_owned() } else { said })
                .collect();
            // Lines of Swift's own format, as nobody has chosen another.
            let mut lines = lines(&serving);
            // A line is written when its answer is sent, and the next request may be quicker than that.
            lines.sort();
            match server {
                Server::Stock => {
                    stock = [said, lines].concat();
                }
                _ => assert_same(pipeline, server, &stock, &[said, lines].concat()),
            }
        }
    }
    Ok(())
}

#[test]
fn a_disabled_node_and_a_limited_device_answer_as_stock_do() -> Result<()> {
    let cluster = Cluster::of(1)
        .part_power(0)
        .setting("pipeline:main", "pipeline", "healthcheck recon limit object-server")
        .setting("filter:limit", "use", "egg:swift#backend_ratelimit")
        .setting("filter:limit", "config_reload_interval", "0.2")
        .setting("filter:limit", "backend_ratelimit_conf_path", "%(here)s/limits.conf")
        .setting("filter:healthcheck", "disable_path", "%(here)s/disabled")
        .build()?;
    let node = cluster.node(1);
    let here = node.conf().parent().map(std::path::Path::to_path_buf).unwrap_or_default();
    let asked = [
        ("GET", "/sdb1/0/a/c/o"),
        ("GET", "/sdb1/0/a/c/o"),
        ("HEAD", "/sdb1/0/a/c/o"),
        ("REPLICATE", "/sdb1/0"),
        ("OPTIONS", "/sdb1/0"),
        ("GET", "/sdb2/0/a/c/o"),
        ("GET", "/healthcheck"),
        ("HEAD", "/healthcheck"),
    ];
    let mut stock = Vec::new();
    for server in SERVERS {
        let files = [here.join("limits.conf"), here.join("disabled")];
        for file in &files {
            let _ = fs::remove_file(file);
        }
        let _serving = node.serve(server)?;
        let mut said = statuses(node, &asked)?;
        // One request in a thousand seconds, and one GET.
        let limits = "[backend_ratelimit]\nrequests_per_device_per_second = 0.001\nrequests_per_device_rate_buffer = 0\n";
        fs::write(&files[0], limits)?;
        fs::write(&files[1], "")?;
        thread::sleep(Duration::from_millis(400));
        said.extend(statuses(node, &asked)?);
        fs::write(&files[0], "[backend_ratelimit]\n")?;
        thread::sleep(Duration::from_millis(400));
        said.extend(statuses(node, &asked)?);
        let masked: Vec<String> = said
            .into_iter()
            .map(|said| {
                if said.starts_with("OPTIONS") {
                    said.replace("object-server/", "").lines().take(2).collect()
                } else {
                    said
                }
            })
            .collect();
        match server {
            Server::Stock => {
                let refused = masked.iter().filter(|said| said.contains(" 529 ")).count();
                assert!((2..=4).contains(&refused), "{masked:#?}");
                stock = masked;
            }
            _ => assert_same("answer", server, &stock, &masked),
        }
    }
    Ok(())
}
