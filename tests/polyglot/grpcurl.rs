//! grpcurl 1.8.6, which knows reflection in its v1alpha form only: what people have installed.

use anyhow::Result;
use serde_json::{Value, json};
use ssync_tests::{Cluster, Server, Shape, run_to_end, venv_program};

struct Said {
    success: bool,
    output: String,
    error: String,
}

fn grpcurl(arguments: &[&str]) -> Result<Said> {
    let mut all = vec!["-plaintext"];
    all.extend(arguments);
    let output = run_to_end(&venv_program("grpcurl")?, &all)?;
    Ok(Said {
        success: output.status.success(),
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        error: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

const CHECK: &str = "ssync.v1.ReplicationService/MissingCheck";

#[test]
fn lists_describes_and_asks() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let _node = cluster.node(1).serve(Server::Ssync(Shape::OneProcess))?;
    let address = cluster.node(1).address().to_string();

    let services = grpcurl(&[&address, "list"])?;
    assert!(services.success, "{}", services.error);
    for service in [
        "ssync.v1.ReplicationService",
        "ssync.v1.ObjectService",
        "ssync.v1.DeviceService",
        "grpc.health.v1.Health",
    ] {
        assert!(
            services.output.lines().any(|line| line == service),
            "{service} is not in {}",
            services.output
        );
    }

    let described = grpcurl(&[&address, "describe", "ssync.v1.ReplicationService"])?;
    assert!(
        described.output.contains("rpc MissingCheck ( stream .ssync.v1.MissingCheckRequest )"),
        "{}",
        described.output
    );
    let described = grpcurl(&[&address, "describe", "google.rpc.ErrorInfo"])?;
    assert!(described.output.contains("string reason = 1;"), "{}{}", described.output, described.error);

    let hash = "00000000000000000000000000000001";
    let question = json!({"partition": {"device": "sdb1", "partition": 0},
                          "offers": [{"objectHash": hash, "dataTimestamp": {"ticks": "171234567812345"}}]});
    let answer = grpcurl(&["-d", &question.to_string(), &address, CHECK])?;
    assert!(answer.success, "{}", answer.error);
    let answer: Value = serde_json::from_str(&answer.output)?;
    assert_eq!(answer["wants"][0]["objectHash"], hash, "{answer}");
    assert_eq!(answer["answeredOffers"], "1", "{answer}");

    let health = grpcurl(&[&address, "grpc.health.v1.Health/Check"])?;
    assert!(health.output.contains("\"SERVING\""), "{}{}", health.output, health.error);
    Ok(())
}

#[test]
fn shows_the_details_of_a_refusal() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let _node = cluster.node(1).serve(Server::Ssync(Shape::OneProcess))?;
    let address = cluster.node(1).address().to_string();
    let question = json!({"partition": {"device": "../x", "partition": 0}});
    let answer = grpcurl(&["-d", &question.to_string(), &address, CHECK])?;
    assert!(!answer.success);
    for part in
        ["InvalidArgument", "google.rpc.ErrorInfo", "\"INVALID_ARGUMENT\"", "google.rpc.BadRequest", "device"]
    {
        assert!(answer.error.contains(part), "{part} is not in {}", answer.error);
    }
    Ok(())
}
