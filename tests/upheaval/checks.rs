//! What must hold in the end.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use ssync_tests::{Server, repository, run_to_end, venv_program};

use crate::{
    disks::Device,
    ledger::{Ledger, State},
    report,
    scene::{NODES, REPLICATED_MAX, Scene},
    survey::{Survey, path_of},
    writers::{CONTAINER, state_of},
};

const POLL: Duration = Duration::from_millis(500);

/// Every object is what was written last: on every primary, through the proxy, to auditors, to Swift's tools.
pub(crate) fn assert_converged(scene: &mut Scene, ledger: &Ledger) -> Result<Survey> {
    scene.cloud.assert_running();
    assert_there_and_back(scene)?;
    let survey = agreeing_survey(scene, ledger)?;
    scene.say("the disks agree");
    assert_readable(scene, ledger)?;
    scene.say("the proxy agrees");
    assert_tools_agree(scene, ledger, &survey)?;
    assert_auditors_agree(scene)?;
    scene.say("auditors agree");
    Ok(survey)
}

/// Each node was stock, then ssync's, then stock.
fn assert_there_and_back(scene: &Scene) -> Result<()> {
    for (node, served) in &scene.served {
        let mut kinds: Vec<bool> = served.iter().map(|server| *server == Server::Stock).collect();
        kinds.dedup();
        ensure!(kinds.starts_with(&[true, false, true]), "node {node} was only {served:?}");
    }
    Ok(())
}

/// Hashes are brought up to date by replicators, so it may take another pass of theirs.
fn agreeing_survey(scene: &Scene, ledger: &Ledger) -> Result<Survey> {
    let began = Instant::now();
    loop {
        let survey = Survey::of(scene.cluster(), ledger)?;
        let faults = survey.faults(ledger);
        if faults.is_empty() {
            return Ok(survey);
        }
        if began.elapsed() > REPLICATED_MAX {
            bail!("{} faults: {}", faults.len(), report::tell(scene, Some(ledger), &faults));
        }
        println!("  not yet: {}", faults[0]);
        thread::sleep(POLL);
    }
}

fn assert_readable(scene: &Scene, ledger: &Ledger) -> Result<()> {
    for (name, history) in &ledger.objects {
        let answer = scene.client.request("GET", &format!("{CONTAINER}/{name}"), &[], b"")?;
        let state = state_of(name, &answer)?;
        ensure!(history.may_be(&state), "GET {name} gives {state:?}: {history:?}");
    }
    Ok(())
}

/// One of Swift's own programs, with the proxy's rings and swift.conf.
fn tool(scene: &Scene, program: &str, arguments: &[&str]) -> Result<String> {
    let run = repository().join("tests/harness/python/run.py").display().to_string();
    let etc = scene.cluster().folder().join("etc").display().to_string();
    let all: Vec<&str> = [run.as_str(), &etc, program].into_iter().chain(arguments.iter().copied()).collect();
    let output = run_to_end(&venv_program("python")?, &all)?;
    let said = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// As an operator asks: where an object should be, what is there, and whether all machines have the same rings.
fn assert_tools_agree(scene: &Scene, ledger: &Ledger, survey: &Survey) -> Result<()> {
    let etc = scene.cluster().folder().join("etc").display().to_string();
    let name = ledger.one_that_is(|state| matches!(state, State::Present { .. }), &[])?;
    let ring = format!("{etc}/object.ring.gz");
    let nodes = tool(scene, "swift-get-nodes", &["-d", &etc, &ring, "AUTH_test", &CONTAINER[1..], &name])?;
    for device in survey.primaries(&name) {
        let address = scene.cloud.node(device.node).ring_address();
        let line = format!("{address} {}", device.name);
        ensure!(nodes.contains(&line), "swift-get-nodes does not name {line}: {nodes}");
    }
    let first = survey.primaries(&name).pop_first().context("no primary")?;
    let file = survey.data_file(scene.cluster(), &first, &name)?.display().to_string();
    let info = tool(scene, "swift-object-info", &["-d", &etc, &file])?;
    ensure!(info.contains(&format!("Path: {}", path_of(&name))), "swift-object-info: {info}");
    let recon = tool(scene, "swift-recon", &["object", "--md5", "--swiftdir", &etc])?;
    // What it looks at next it finds on no node whose folder is not /etc/swift.
    let all = format!("{NODES}/{NODES} hosts matched, 0 error[s]");
    ensure!(recon.contains(&all), "swift-recon: {recon}");
    Ok(())
}

/// Stock auditors read every file of every node, and put nothing away.
fn assert_auditors_agree(scene: &Scene) -> Result<()> {
    let audit = |number| scene.cloud.node(number).run_stock("swift-object-auditor", &[]);
    thread::scope(|scope| {
        let started: Vec<_> = (1..=NODES).map(|number| scope.spawn(move || audit(number))).collect();
        for thread in started {
            let said = thread.join().map_err(|_| anyhow!("an auditor's thread died"))??;
            ensure!(!said.contains("ERROR"), "an auditor found something: {said}");
        }
        anyhow::Ok(())
    })?;
    for device in Device::all(scene.cluster()) {
        let quarantined = device.path(scene.cluster()).join("quarantined");
        ensure!(!quarantined.exists(), "{} has something in quarantine", device);
    }
    Ok(())
}
