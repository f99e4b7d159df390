//! What is in `deploy/` fits the daemons: metrics that dashboard and alerts ask for, and the chart's configuration.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use ssync_tests::{
    Certificates, Cluster, Node, Server, Shape, exchange, repository, run_to_end, ssync_binary, venv_program,
};

const OURS: Server = Server::Ssync(Shape::OneProcess);
/// Longest that two nodes may take until each of them has done what is counted.
const METRICS_WAIT_MAX: Duration = Duration::from_secs(20);

/// The page that Prometheus reads.
fn metrics(node: &Node) -> Result<String> {
    let address = node.admin_address();
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let answer = exchange(address, request.as_bytes())?;
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(answer.text())
}

/// What the dashboard or an alert asks for and a page has not.
fn missing(page: &str) -> Result<String> {
    let mut script = Command::new(venv_program("python")?)
        .arg(repository().join("deploy/tools/queries.py"))
        .arg("missing")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    script.stdin.take().context("no pipe to the script")?.write_all(page.as_bytes())?;
    let output = script.wait_with_output()?;
    let missing = String::from_utf8(output.stdout)?;
    ensure!(output.status.success() == missing.is_empty(), "queries.py: {}", output.status);
    Ok(missing)
}

#[test]
fn nodes_have_every_metric_that_dashboard_and_alerts_ask_for() -> Result<()> {
    // Certificates have metrics where there are any.
    let certificates = Certificates::new()?;
    let settings = [("tls_certificate", "tls.crt"), ("tls_key", "tls.key"), ("tls_ca", "ca.crt")];
    let builder = settings.iter().fold(Cluster::of(2), |builder, (option, file)| {
        builder.setting("ssync", option, &certificates.path("node", file).display().to_string())
    });
    let cluster = builder.build()?;
    let [one, other] = [1, 2].map(|number| cluster.node(number).ring_address().ip());
    certificates.issue("node", &format!("IP:{one},IP:{other}"))?;
    cluster.node(1).write_tree(10)?;
    let _nodes = [cluster.node(1).serve_and_replicate(OURS)?, cluster.node(2).serve_and_replicate(OURS)?];
    let started = Instant::now();
    loop {
        // Calls are counted at the node that is pushed to, peers at the one that pushes. The admin address comes last.
        let pages = [1, 2].map(|number| metrics(cluster.node(number)).unwrap_or_default());
        let missing = missing(&pages.concat())?;
        if missing.is_empty() {
            return Ok(());
        }
        ensure!(started.elapsed() < METRICS_WAIT_MAX, "not in /metrics:\n{missing}");
        thread::sleep(Duration::from_millis(200));
    }
}

/// A file of the ConfigMap in a manifest that was made from the chart.
fn file_of_chart(manifest: &str, name: &str) -> Result<String> {
    let text = fs::read_to_string(repository().join(manifest))?;
    let head = format!("  {name}: |");
    let lines = text.lines().skip_while(|line| *line != head).skip(1);
    let block: Vec<&str> = lines.map_while(|line| line.strip_prefix("    ")).collect();
    ensure!(!block.is_empty(), "{manifest} has no {name}");
    Ok(block.join("\n"))
}

#[test]
fn the_charts_configuration_is_taken_without_a_word() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let conf = folder.path().join("object-server.conf");
    fs::write(&conf, file_of_chart("deploy/kustomize/base/one/ssync.yaml", "object-server.conf")?)?;
    let conf = conf.display().to_string();
    let shown = run_to_end(&ssync_binary()?, &["config", "show", "--conf", &conf])?;
    let complaint = String::from_utf8_lossy(&shown.stderr);
    assert!(shown.status.success() && complaint.is_empty(), "{complaint}");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let port = shown.lines().find(|line| line.contains(" bind_port ")).context("no bind_port")?;
    assert!(port.contains("6200") && port.contains("object-server.conf"), "{port}");
    Ok(())
}
