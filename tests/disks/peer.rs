//! A gRPC peer that replicates into one device.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, bail};
use ssync_api::{
    status::{from_rpc_status, from_status},
    v1::{
        InlineBody, Job, MetadataEntry, PartitionRef, PutUpdate, Sender, SwiftTimestamp, Update,
        UpdateOutcome, UpdatesOpen, UpdatesRequest, UpdatesResponse,
        replication_service_client::ReplicationServiceClient, update, updates_request::Message,
        updates_response::Message as Answer,
    },
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

use crate::writers::Object;

/// What every object holds, and its MD5.
pub(crate) const BODY: &[u8] = b"hello world";
const BODY_MD5: &str = "5eb63bbbe01eeed093cb22bb8f5acdc3";
/// How long a session that is not accepted is taken for one that waits.
const ACCEPT_WAIT: Duration = Duration::from_millis(500);
/// Longest wait for anything that must come.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);
const REQUESTS_MAX: usize = 64;

/// An open session.
pub(crate) struct Session {
    sender: mpsc::Sender<UpdatesRequest>,
    answers: Streaming<UpdatesResponse>,
    next_id: u64,
}

/// How an attempt went.
pub(crate) enum Opening {
    Accepted(Session),
    Refused(&'static str),
    /// Neither, so far.
    Waits(Session),
}

pub(crate) struct Peer(ReplicationServiceClient<Channel>);

impl Peer {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let channel = Channel::from_shared(format!("http://{address}"))?.connect().await?;
        Ok(Self(ReplicationServiceClient::new(channel)))
    }

    pub(crate) async fn open(&self, device: &str, partition: u32) -> Result<Opening> {
        let (sender, requests) = mpsc::channel(REQUESTS_MAX);
        let partition = PartitionRef { device: device.to_owned(), partition, ..Default::default() };
        let from = Sender {
            address: "127.0.0.1:1".to_owned(),
            device: "sdb1".to_owned(),
            job: Job::Sync.into(),
            ..Default::default()
        };
        let open = UpdatesOpen { partition: Some(partition), sender: Some(from), ..Default::default() };
        sender.send(UpdatesRequest { message: Some(Message::Open(open)) }).await?;
        let mut client = self.0.clone();
        let call = client.updates(ReceiverStream::new(requests));
        let answers = match timeout(ANSWER_WAIT_MAX, call).await.context("no answer to Updates")? {
            Ok(answers) => answers.into_inner(),
            Err(status) => return Ok(Opening::Refused(reason(&status))),
        };
        let mut session = Session { sender, answers, next_id: 1 };
        Ok(match timeout(ACCEPT_WAIT, session.accepted()).await {
            Err(_) => Opening::Waits(session),
            Ok(Err(status)) => Opening::Refused(reason(&status)),
            Ok(Ok(())) => Opening::Accepted(session),
        })
    }
}

fn reason(status: &Status) -> &'static str {
    from_status(status).reason.name()
}

impl Session {
    /// Waits until it is accepted.
    pub(crate) async fn accepted(&mut self) -> Result<(), Status> {
        while let Some(answer) = self.answers.message().await? {
            if matches!(answer.message, Some(Answer::Accepted(_))) {
                return Ok(());
            }
        }
        Err(Status::unknown("a session ended without a word"))
    }

    /// Sends [`BODY`] as an object.
    pub(crate) async fn put(&mut self, object: &Object, timestamp: &str) -> Result<u64> {
        let entry = |name: &str, value: &str| MetadataEntry {
            name: name.to_owned().into(),
            value: value.to_owned().into(),
        };
        let put = PutUpdate {
            timestamp: Some(SwiftTimestamp { ticks: timestamp.replace('.', "").parse()?, offset: 0 }),
            content_length: BODY.len() as u64,
            metadata: vec![entry("Content-Type", "text/plain"), entry("X-Object-Meta-Written", timestamp)],
            inline_body: Some(InlineBody { data: BODY.into(), etag: Some(BODY_MD5.to_owned()) }),
            ..Default::default()
        };
        let (update_id, path) = (self.next_id, object.path.clone().into());
        self.next_id += 1;
        let update = Update { update_id, path, operation: Some(update::Operation::Put(put)) };
        // A session that has ended on its own takes no more; its answers say why.
        let _ = self.sender.send(UpdatesRequest { message: Some(Message::Update(update)) }).await;
        Ok(update_id)
    }

    /// The next result: of which update, and why it failed if it did; or why the session ended.
    pub(crate) async fn result(&mut self) -> Result<Result<(u64, Option<&'static str>), &'static str>> {
        loop {
            let answer = timeout(ANSWER_WAIT_MAX, self.answers.message()).await.context("a session hangs")?;
            match answer {
                Err(status) => return Ok(Err(reason(&status))),
                Ok(None) => bail!("a session ended without a word"),
                Ok(Some(UpdatesResponse { message: Some(Answer::Results(results)) })) => {
                    // Each is waited for before the next is sent.
                    let result = results.results.into_iter().next().context("no result in results")?;
                    let failed = result.error.as_ref().map(|error| from_rpc_status(error).reason.name());
                    if failed.is_none() && result.outcome() != UpdateOutcome::Applied {
                        bail!("{result:?}");
                    }
                    return Ok(Ok((result.update_id, failed)));
                }
                Ok(Some(_)) => {}
            }
        }
    }
}
