//! One trace from whoever began to the disk that has it, over processes and nodes, as a collector receives it.

use anyhow::{Context as _, Result};
use opentelemetry_proto::tonic::trace::v1::Span;
use rustix::process::Signal;
use ssync_tests::{Cluster, Connection, Server, Shape, as_own_group, exchange, ssync_binary};

use crate::{
    collector::{Collector, attribute, hex},
    load::{head, objects},
    told::{PATIENCE, Started, healthy, until},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENT: &str = "00f067aa0ba902b7";

/// The one span of this name and kind.
fn named<'a>(spans: &'a [Span], name: &str) -> Result<&'a Span> {
    let found: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    match found.as_slice() {
        [span] => Ok(span),
        found => anyhow::bail!("{} spans are named {name:?} of {names:?}", found.len()),
    }
}

fn events(span: &Span) -> Vec<&str> {
    span.events.iter().map(|event| event.name.as_str()).collect()
}

/// Whether `span` lies beneath `above`, however far.
fn lies_beneath(spans: &[Span], span: &Span, above: &Span) -> bool {
    let parent = spans.iter().find(|parent| parent.span_id == span.parent_span_id);
    parent.is_some_and(|parent| parent.span_id == above.span_id || lies_beneath(spans, parent, above))
}

/// Sidecar and receiver are two processes, so the trace goes over HTTP, then gRPC.
#[test]
fn a_clients_put_is_one_trace_to_the_commit() -> Result<()> {
    let collector = Collector::start()?;
    let cluster = Cluster::of(1).setting("ssync", "trace_objects", "true").build()?;
    let node = cluster.node(1);
    let with_traces = |command: &mut std::process::Command| {
        command.envs(collector.variables());
    };
    let mut receiver = Started::ssync(&cluster, "receiver", with_traces)?;
    receiver.says("listening")?;
    let mut sidecar = Started::ssync(&cluster, "sidecar", with_traces)?;
    until("it serves", || Ok(healthy(node)))?;

    // Too large to go in one message.
    let (path, body) = (&objects(node, 1)?[0], "x".repeat(200_000));
    let headers = format!(
        "X-Timestamp: 1700000000.00000\r\nContent-Type: text/plain\r\nX-Trans-Id: tx0123\r\n\
         traceparent: 00-{TRACE}-{CLIENT}-01\r\nContent-Length: {}\r\n",
        body.len()
    );
    let mut connection = Connection::open(node.address())?;
    connection.wait_at_most(PATIENCE)?;
    connection.send(format!("{}{body}", head("PUT", path, &headers)).as_bytes());
    assert_eq!(connection.answer()?.status, 201);
    let missing = exchange(
        node.address(),
        head("GET", "/a/c/none", &format!("traceparent: 00-{TRACE}-{CLIENT}-01\r\n")).as_bytes(),
    )?;
    assert!(missing.status >= 400);
    sidecar.signal(Signal::TERM)?;
    sidecar.end()?;
    receiver.signal(Signal::TERM)?;
    receiver.end()?;

    let spans = collector.of_trace(TRACE);
    let (request, call) = (named(&spans, "PUT")?, named(&spans, "ssync.v1.ObjectService/PutObject")?);
    let commit = named(&spans, "commit")?;
    assert_eq!(hex(&request.parent_span_id), CLIENT);
    assert!(lies_beneath(&spans, call, request) && lies_beneath(&spans, commit, call), "{spans:#?}");
    for (span, name, wanted) in [
        (request, "swift.transaction_id", "tx0123"),
        (request, "http.response.status_code", "201"),
        (call, "rpc.system.name", "grpc"),
        (call, "rpc.method", "ssync.v1.ObjectService/PutObject"),
        (call, "rpc.response.status_code", "OK"),
        (commit, "device", "sdb1"),
    ] {
        assert_eq!(attribute(span, name).as_deref(), Some(wanted), "{name} of {span:#?}");
    }
    Ok(())
}

/// From the replicator's job at one node to the session at another, which tells its phases, and objects where that is asked.
#[test]
fn a_push_is_one_trace_from_the_job_to_the_peers_session() -> Result<()> {
    for objects_too in [false, true] {
        let collector = Collector::start()?;
        let asked = objects_too.to_string();
        let cluster = Cluster::of(2).setting("ssync", "trace_objects", &asked).build()?;
        cluster.node(1).write_tree(5)?;
        let _source = cluster.node(1).serve(Server::Ssync(Shape::OneProcess))?;
        let mut program = as_own_group(&ssync_binary()?);
        program.args(["node", "--no-replicator", "--conf"]).arg(cluster.node(2).conf());
        program.envs(collector.variables());
        let mut peer = Started::of(&cluster, program)?;
        until("the peer serves", || Ok(healthy(cluster.node(2))))?;
        let mut pass = Started::ssync(&cluster, "replicator --once", |command| {
            command.envs(collector.variables());
        })?;
        assert!(pass.end()?.success());
        peer.signal(Signal::TERM)?;
        peer.end()?;

        let all = collector.spans();
        // A session may be refused because the one before it has its locks still.
        let accepted = |span: &&Span| span.name == "session" && events(span).contains(&"session accepted");
        let session = all.iter().find(accepted).context("no session")?;
        let spans = collector.of_trace(&hex(&session.trace_id));
        let call = spans.iter().find(|span| span.span_id == session.parent_span_id).context("no call")?;
        assert_eq!(call.name, "ssync.v1.ReplicationService/Updates");
        let job = named(&spans, "replicate")?;
        assert!(job.parent_span_id.is_empty() && lies_beneath(&spans, session, job), "{spans:#?}");
        let said = events(session);
        let phases: Vec<&str> = said.iter().copied().filter(|name| *name != "object").collect();
        assert_eq!(
            phases,
            ["session accepted", "updates begin", "updates ended", "results told", "session ended"],
            "each once, however many objects there are"
        );
        let sync = named(&spans, "sync")?;
        let sent = events(sync);
        for phase in ["offers made", "wanted known", "updates sent", "results taken"] {
            assert_eq!(sent.iter().filter(|said| **said == phase).count(), 1, "{phase} of {sent:?}");
        }
        assert_eq!(said.contains(&"object"), objects_too, "{said:?}");
    }
    Ok(())
}
