//! The image and the chart, run by podman: two nodes, each with the pod that the chart's DaemonSet gives it, replicate.
//!
//! Everything happens on a host of its own, made of namespaces, so that nothing of it outlives the test.

mod host;
mod node;

use anyhow::{Result, ensure};

use crate::{host::Host, node::Node};

#[test]
fn two_pods_of_the_chart_replicate_and_drain() -> Result<()> {
    let Some(host) = Host::set_up()? else { return Ok(()) };
    host.build_image()?;
    let [full, empty] = Node::pair(&host)?;
    let here = full.fill(100)?;
    // Who pushes comes last, so that its first pass finds the other.
    for node in [&empty, &full] {
        node.play()?;
        node.wait_until_ready()?;
        node.assert_confined()?;
    }
    empty.wait_for_objects(&here)?;
    here.assert_same(&full.read_tree()?);
    let answer = full.helm_test()?;
    ensure!(answer.contains("8 of 8 partitions"), "{answer}");
    for node in [&full, &empty] {
        let log = node.stop()?;
        ensure!(log.contains("drain"), "no drain:\n{log}");
    }
    Ok(())
}
