//! A gRPC peer that says whatever a test wants.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};
use ssync_api::{
    status::{from_rpc_status, from_status},
    v1::{
        BodyChunk, BodyComplete, BodyEnd, MissingCheckRequest, MissingCheckResponse, ObjectOffer,
        PartitionRef, PutUpdate, Sender, SwiftTimestamp, Update, UpdateOutcome, UpdatesOpen, UpdatesRequest,
        UpdatesResponse, body_end, replication_service_client::ReplicationServiceClient, update,
        updates_request::Message, updates_response::Message as Answer,
    },
};
use tokio::sync::mpsc;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Code, Status, Streaming, transport::Channel};

use crate::scene::PARTITION;

/// Longest wait for an answer.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);
/// How often, and after what time, a session is begun again that found its partition locked.
const TRIES_MAX: usize = 50;
const LOCKED_WAIT: Duration = Duration::from_millis(100);
/// Messages of a session that may wait.
const REQUESTS_MAX: usize = 64;

pub(crate) struct Peer {
    pub(crate) client: ReplicationServiceClient<Channel>,
}

/// How a session went.
#[derive(Debug, Default)]
pub(crate) struct Went {
    pub(crate) accepted: bool,
    pub(crate) summary: bool,
    /// Update, outcome, reason of a failure.
    pub(crate) results: Vec<(u64, UpdateOutcome, Option<&'static str>)>,
    pub(crate) status: Option<Status>,
}

impl Went {
    /// The outcome of an update, and why it failed.
    pub(crate) fn result(&self, update_id: u64) -> Option<(UpdateOutcome, Option<&'static str>)> {
        let found = self.results.iter().find(|(id, ..)| *id == update_id);
        found.map(|(_, outcome, reason)| (*outcome, *reason))
    }

    /// Fails unless the session ended with this status.
    pub(crate) fn assert_refused(&self, code: Code, reason: &str) {
        let Some(status) = &self.status else { panic!("not refused: {self:?}") };
        assert_refusal(status, code, reason);
    }
}

/// Fails unless a status has this code and this reason.
pub(crate) fn assert_refusal(status: &Status, code: Code, reason: &str) {
    assert_eq!((status.code(), from_status(status).reason.name()), (code, reason), "{status}");
    assert!(!status.message().is_empty(), "a refusal that tells people nothing");
}

impl Peer {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let channel = Channel::from_shared(format!("http://{address}"))?.connect().await?;
        Ok(Self { client: ReplicationServiceClient::new(channel) })
    }

    pub(crate) fn partition() -> PartitionRef {
        PartitionRef { device: "sdb1".to_owned(), partition: PARTITION, ..Default::default() }
    }

    pub(crate) fn timestamp() -> SwiftTimestamp {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        SwiftTimestamp { ticks: u64::try_from(now.as_micros() / 10).unwrap_or_default(), offset: 0 }
    }

    pub(crate) fn question(partition: &PartitionRef, hashes: &[&str]) -> MissingCheckRequest {
        let offer = |hash: &&str| ObjectOffer {
            object_hash: (*hash).to_owned(),
            data_timestamp: Some(Self::timestamp()),
            ..Default::default()
        };
        MissingCheckRequest { partition: Some(partition.clone()), offers: hashes.iter().map(offer).collect() }
    }

    pub(crate) async fn check(
        &mut self,
        questions: Vec<MissingCheckRequest>,
    ) -> Result<Vec<MissingCheckResponse>, Status> {
        let asked = async {
            let mut answers = self.client.missing_check(tokio_stream::iter(questions)).await?.into_inner();
            let mut all = Vec::new();
            while let Some(answer) = answers.message().await? {
                all.push(answer);
            }
            Ok(all)
        };
        tokio::time::timeout(ANSWER_WAIT_MAX, asked)
            .await
            .unwrap_or_else(|_| Err(Status::unknown("no answer within the test's patience")))
    }

    /// A session that says `requests` and then ends in order. Comes back while the one before still holds the partition: its
    /// locks are free when its last write has ended, which may be after its stream.
    pub(crate) async fn session(&mut self, requests: Vec<UpdatesRequest>) -> Result<Went> {
        for _ in 1..TRIES_MAX {
            let went = self.session_once(requests.clone()).await?;
            let locked = went.status.as_ref().is_some_and(|status| status.code() == Code::Aborted);
            if went.accepted || !locked {
                return Ok(went);
            }
            tokio::time::sleep(LOCKED_WAIT).await;
        }
        self.session_once(requests).await
    }

    async fn session_once(&mut self, requests: Vec<UpdatesRequest>) -> Result<Went> {
        let mut requests = requests.into_iter();
        let first = requests.next().context("a session without a word")?;
        let (sender, answers) = self.begin_with(first).await?;
        for request in requests {
            // A receiver that has refused reads no further; its status says why.
            if sender.send(request).await.is_err() {
                break;
            }
        }
        drop(sender);
        Self::end(answers).await
    }

    /// A session whose first message is sent and the rest left to the test. Keep the sender, or the session ends.
    pub(crate) async fn begin_with(
        &mut self,
        first: UpdatesRequest,
    ) -> Result<(mpsc::Sender<UpdatesRequest>, Result<Streaming<UpdatesResponse>, Status>)> {
        let (sender, requests) = mpsc::channel(REQUESTS_MAX);
        // A server may wait for the first message before it answers at all.
        sender.send(first).await?;
        let mut client = self.client.clone();
        let call = client.updates(ReceiverStream::new(requests));
        let answers = tokio::time::timeout(ANSWER_WAIT_MAX, call).await.context("no answer to Updates")?;
        Ok((sender, answers.map(tonic::Response::into_inner)))
    }

    /// Reads a session to its end.
    pub(crate) async fn end(answers: Result<Streaming<UpdatesResponse>, Status>) -> Result<Went> {
        let mut went = Went::default();
        let mut answers = match answers {
            Ok(answers) => answers,
            Err(status) => return Ok(Went { status: Some(status), ..went }),
        };
        loop {
            let next =
                tokio::time::timeout(ANSWER_WAIT_MAX, answers.next()).await.context("a session hangs")?;
            match next {
                None => return Ok(went),
                Some(Err(status)) => {
                    went.status = Some(status);
                    return Ok(went);
                }
                Some(Ok(answer)) => went.note(answer),
            }
        }
    }
}

impl Went {
    fn note(&mut self, answer: UpdatesResponse) {
        match answer.message {
            Some(Answer::Accepted(_)) => self.accepted = true,
            Some(Answer::Summary(_)) => self.summary = true,
            Some(Answer::Results(results)) => {
                for result in results.results {
                    let reason = result.error.as_ref().map(|error| from_rpc_status(error).reason.name());
                    self.results.push((result.update_id, result.outcome(), reason));
                }
            }
            _ => {}
        }
    }
}

/// The message that opens a session.
pub(crate) fn open(partition: PartitionRef) -> UpdatesRequest {
    let sender =
        Sender { address: "127.0.0.1:1".to_owned(), device: "sdb1".to_owned(), ..Default::default() };
    say(Message::Open(UpdatesOpen { partition: Some(partition), sender: Some(sender), ..Default::default() }))
}

pub(crate) fn say(message: Message) -> UpdatesRequest {
    UpdatesRequest { message: Some(message) }
}

/// The head of a PUT.
pub(crate) fn put(update_id: u64, path: &str, content_length: u64) -> UpdatesRequest {
    let metadata =
        vec![ssync_api::v1::MetadataEntry { name: "Content-Type".into(), value: "text/plain".into() }];
    let put =
        PutUpdate { timestamp: Some(Peer::timestamp()), content_length, metadata, ..Default::default() };
    let path = path.to_owned().into();
    say(Message::Update(Update { update_id, path, operation: Some(update::Operation::Put(put)) }))
}

pub(crate) fn chunk(data: impl Into<bytes::Bytes>) -> UpdatesRequest {
    say(Message::Chunk(BodyChunk { data: data.into() }))
}

/// The end of a body, with its etag.
pub(crate) fn complete(etag: &str) -> UpdatesRequest {
    let complete = BodyComplete { etag: Some(etag.to_owned()), metadata: Vec::new() };
    say(Message::End(BodyEnd { outcome: Some(body_end::Outcome::Complete(complete)) }))
}
