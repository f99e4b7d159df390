//! The clients of `examples/` in six languages, each put through the same.

use std::{
    io::{BufRead as _, BufReader},
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::Value;
use ssync_api::v1::{
    PartitionRef, Sender, UpdatesOpen, UpdatesRequest, replication_service_client::ReplicationServiceClient,
    updates_request::Message, updates_response,
};
use ssync_tests::{Cluster, DEVICE, Node, Server, Shape};
use tokio::{runtime::Runtime, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;

use crate::folder::{Client, Folder};

/// A partition that the folder has objects of.
const PARTITION: u32 = 3;
/// Fewer updates than a partition of the folder has, so that sessions end in the middle; and small bodies that come in pieces.
const SETTINGS: [(&str, &str); 2] = [("session_updates_max", "2"), ("inline_bytes_max", "4096")];

fn cluster() -> Result<Cluster> {
    SETTINGS.iter().fold(Cluster::of(1), |builder, (key, value)| builder.setting("ssync", key, value)).build()
}

fn pushes_a_folder_and_then_nothing(client: &Client) -> Result<()> {
    let cluster = cluster()?;
    let node = cluster.node(1);
    let mut serving = node.serve(Server::Ssync(Shape::OneProcess))?;
    let folder = Folder::new()?;
    let count = folder.bodies.len() as u64;

    let told = client.push(node, DEVICE, &folder, &[])?;
    assert_eq!((told.code, told.done()), (Some(0), [count, 0, 0, 0]), "{told:#?}");
    assert_eq!(told.of("object").filter(|one| one["outcome"] == "APPLIED").count() as u64, count);
    assert!(told.of("draining").count() > 0, "no session ended in the middle: {told:#?}");
    folder.assert_stored(node, &[])?;

    let told = client.push(node, DEVICE, &folder, &[])?;
    assert_eq!((told.code, told.done()), (Some(0), [0, count, 0, 0]), "{told:#?}");
    assert_eq!(told.of("object").count(), 0, "something was moved again: {told:#?}");
    serving.assert_running();
    Ok(())
}

fn tells_of_what_fails_and_goes_on(client: &Client) -> Result<()> {
    let cluster = cluster()?;
    let node = cluster.node(1);
    let _serving = node.serve(Server::Ssync(Shape::OneProcess))?;
    let folder = Folder::new()?;
    let wrong = ["/AUTH_test/c/small/7", "/AUTH_test/c/large"];
    let checksums = folder.checksums(&wrong)?;
    folder.link("/AUTH_test/c/unreadable", "/proc/self/mem")?;

    let told = client.push(node, DEVICE, &folder, &["--checksums", &checksums])?;
    let failures = told.failures();
    let stored = folder.bodies.len() as u64 - wrong.len() as u64;
    assert_eq!((told.code, told.done()), (Some(1), [stored, 0, 3, 0]), "{told:#?}");
    assert_eq!(failures.get(wrong[0]), Some(&"ETAG_MISMATCH"), "{failures:?}");
    assert_eq!(failures.get(wrong[1]), Some(&"ETAG_MISMATCH"), "{failures:?}");
    assert_eq!(failures.get("/AUTH_test/c/unreadable"), Some(&"UNREADABLE"), "{failures:?}");
    folder.assert_stored(node, &wrong)
}

fn breaks_off_a_body_that_ends_early(client: &Client) -> Result<()> {
    let cluster = Cluster::of(1).setting("ssync", "inline_bytes_max", "1024").build()?;
    let node = cluster.node(1);
    let _serving = node.serve(Server::Ssync(Shape::OneProcess))?;
    let folder = Folder::new()?;
    // Says that it has 4,096 bytes, and gives fewer.
    folder.link("/AUTH_test/c/short", "/sys/devices/system/cpu/online")?;
    let told = client.push(node, DEVICE, &folder, &[])?;
    assert_eq!((told.code, told.done()), (Some(1), [folder.bodies.len() as u64, 0, 1, 0]), "{told:#?}");
    assert_eq!(told.failures().get("/AUTH_test/c/short"), Some(&"BODY_LENGTH"), "{told:#?}");
    folder.assert_stored(node, &[])
}

/// A session of somebody else, which holds the partition for as long as the sender is kept.
async fn hold(node: &Node) -> Result<mpsc::Sender<UpdatesRequest>> {
    let mut client = ReplicationServiceClient::connect(format!("http://{}", node.address())).await?;
    let (say, said) = mpsc::channel(1);
    let partition = PartitionRef { device: DEVICE.into(), partition: PARTITION, ..Default::default() };
    let open =
        UpdatesOpen { partition: Some(partition), sender: Some(Sender::default()), ..Default::default() };
    say.send(UpdatesRequest { message: Some(Message::Open(open)) }).await?;
    let mut answers = client.updates(ReceiverStream::new(said)).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        if matches!(answer.message, Some(updates_response::Message::Accepted(_))) {
            tokio::spawn(async move { while let Ok(Some(_)) = answers.message().await {} });
            return Ok(say);
        }
    }
    anyhow::bail!("the session was not accepted")
}

fn comes_back_when_it_is_refused(client: &Client) -> Result<()> {
    let cluster = cluster()?;
    let node = cluster.node(1);
    let _serving = node.serve(Server::Ssync(Shape::OneProcess))?;
    let folder = Folder::new()?;

    let told = client.push(node, "nosuch", &folder, &[])?;
    let count = folder.bodies.len() as u64;
    assert_eq!((told.code, told.done()), (Some(1), [0, 0, 0, count]), "{told:#?}");
    assert!(told.of("refused").count() > 0);
    for refused in told.of("refused") {
        assert_eq!(refused["reason"], "DEVICE_UNMOUNTED", "{refused}");
        assert_eq!((&refused["again"], &refused["attempt"]), (&false.into(), &1.into()), "{refused}");
        assert!(refused["message"].as_str().is_some_and(|text| text.contains("mount it")), "{refused}");
    }

    let runtime = Runtime::new()?;
    let held = runtime.block_on(hold(node))?;
    let only = PARTITION.to_string();
    let told = client.push(node, DEVICE, &folder, &["--partition", &only, "--tries", "2"])?;
    let attempts: Vec<_> =
        told.of("refused").map(|refused| (&refused["reason"], &refused["again"])).collect();
    let locked = Value::from("PARTITION_LOCKED");
    assert_eq!(attempts, [(&locked, &true.into()), (&locked, &false.into())], "{told:#?}");
    assert_eq!(told.code, Some(1));

    // Let go after its first refusal, it gets in.
    let mut child = client.start(node, DEVICE, &folder, &["--partition", &only, "--tries", "50"])?;
    let mut lines = BufReader::new(child.stdout.take().context("no pipe")?).lines();
    let first: Value = serde_json::from_str(&lines.next().context("nothing was said")??)?;
    assert_eq!((&first["event"], &first["again"]), (&"refused".into(), &true.into()), "{first}");
    drop(held);
    let rest: Vec<String> = lines.collect::<Result<_, _>>()?;
    assert!(child.wait()?.success(), "{rest:#?}");
    runtime.shutdown_timeout(Duration::from_secs(5));
    Ok(())
}

macro_rules! clients {
    ($($language:ident)*) => { $(
        mod $language {
            use super::*;

            fn with(story: fn(&Client) -> Result<()>) -> Result<()> {
                match Client::of(stringify!($language))? {
                    Some(client) => story(&client),
                    None => Ok(()),
                }
            }

            #[test]
            fn pushes_a_folder_and_then_nothing() -> Result<()> {
                with(super::pushes_a_folder_and_then_nothing)
            }

            #[test]
            fn tells_of_what_fails_and_goes_on() -> Result<()> {
                with(super::tells_of_what_fails_and_goes_on)
            }

            #[test]
            fn breaks_off_a_body_that_ends_early() -> Result<()> {
                with(super::breaks_off_a_body_that_ends_early)
            }

            #[test]
            fn comes_back_when_it_is_refused() -> Result<()> {
                with(super::comes_back_when_it_is_refused)
            }
        }
    )* };
}

clients! { python go node java cpp rust }
