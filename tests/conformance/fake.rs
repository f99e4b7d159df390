//! Receivers that do not keep the contract.

use std::net::SocketAddr;

use anyhow::Result;
use md5::{Digest as _, Md5};
use ssync_api::v1::{
    GetSuffixHashesRequest, GetSuffixHashesResponse, InvalidateSuffixesRequest, InvalidateSuffixesResponse,
    MissingCheckRequest, MissingCheckResponse, ObjectWant, ReleaseRequest, ReleaseResponse, Update,
    UpdateOutcome, UpdateResult, UpdateResults, UpdatesAccepted, UpdatesOpened, UpdatesRequest,
    UpdatesResponse, UpdatesSummary,
    replication_service_server::{ReplicationService, ReplicationServiceServer},
    update::Operation,
    updates_request, updates_response,
};
use tokio::{net::TcpListener, runtime::Runtime, sync::mpsc};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming, transport::Server};

/// Messages that wait.
const QUEUE_MAX: usize = 4096;

/// How a receiver is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Everything was stored; nothing is lacking; nothing is refused.
    SaysYes,
    /// Nothing was stored; everything is lacking; nothing is refused.
    SaysNo,
    /// Sessions begin with their end; checks are refused.
    OutOfOrder,
}

/// A fake that listens for as long as this is held.
pub(crate) struct Fake {
    address: SocketAddr,
    _runtime: Runtime,
}

impl Fake {
    pub(crate) fn start(manner: Manner) -> Result<Self> {
        let runtime = Runtime::new()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let service = ReplicationServiceServer::new(Broken { manner });
        runtime.spawn(
            Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Ok(Self { address, _runtime: runtime })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

#[derive(Clone, Copy)]
struct Broken {
    manner: Manner,
}

type Answers<T> = ReceiverStream<Result<T, Status>>;

fn hash_of(path: &[u8]) -> String {
    let digest: [u8; 16] = Md5::digest([b"changeme", path, b"changeme"].concat()).into();
    format!("{:032x}", u128::from_be_bytes(digest))
}

impl Broken {
    fn outcome(self, operation: Option<&Operation>) -> UpdateOutcome {
        match (self.manner, operation) {
            (Manner::SaysNo, Some(Operation::Post(_) | Operation::Confirm(_))) => UpdateOutcome::NotFound,
            (Manner::SaysNo, _) => UpdateOutcome::Failed,
            _ => UpdateOutcome::Applied,
        }
    }

    fn results(self, update: &Update) -> Vec<UpdateResult> {
        let operation = update.operation.as_ref();
        let hashes = match operation {
            Some(Operation::Confirm(confirm)) => {
                confirm.offers.iter().map(|offer| offer.object_hash.clone()).collect()
            }
            Some(Operation::Commit(commit)) => vec![commit.object_hash.clone()],
            _ => vec![hash_of(&update.path)],
        };
        let outcome = self.outcome(operation).into();
        let result = |object_hash| UpdateResult {
            update_id: update.update_id,
            object_hash,
            outcome,
            ..Default::default()
        };
        hashes.into_iter().map(result).collect()
    }
}

fn say(message: updates_response::Message) -> Result<UpdatesResponse, Status> {
    Ok(UpdatesResponse { message: Some(message) })
}

#[tonic::async_trait]
impl ReplicationService for Broken {
    type MissingCheckStream = Answers<MissingCheckResponse>;
    type UpdatesStream = Answers<UpdatesResponse>;
    type ReleaseStream = Answers<ReleaseResponse>;

    async fn missing_check(
        &self,
        request: Request<Streaming<MissingCheckRequest>>,
    ) -> Result<Response<Self::MissingCheckStream>, Status> {
        if self.manner == Manner::OutOfOrder {
            return Err(Status::unavailable("out of order"));
        }
        let (wants_all, mut questions) = (self.manner == Manner::SaysNo, request.into_inner());
        let (answer, answers) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(async move {
            let mut answered_offers = 0;
            while let Ok(Some(question)) = questions.message().await {
                answered_offers += question.offers.len() as u64;
                let offers = question.offers.into_iter().filter(|_| wants_all);
                let want = |hash| ObjectWant { object_hash: hash, data: true, ..Default::default() };
                let wants = offers.map(|offer| want(offer.object_hash)).collect();
                let _ = answer.send(Ok(MissingCheckResponse { wants, answered_offers })).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn updates(
        &self,
        request: Request<Streaming<UpdatesRequest>>,
    ) -> Result<Response<Self::UpdatesStream>, Status> {
        let (broken, mut updates) = (*self, request.into_inner());
        let (answer, answers) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(async move {
            use updates_response::Message::{Accepted, Opened, Results, Summary};
            let accepted = UpdatesAccepted { inline_bytes_max: 65536, ..Default::default() };
            let mut greeting = vec![Opened(UpdatesOpened::default()), Accepted(accepted)];
            if broken.manner == Manner::OutOfOrder {
                greeting.push(Summary(UpdatesSummary::default()));
                greeting.reverse();
            }
            for message in greeting {
                let _ = answer.send(say(message)).await;
            }
            while let Ok(Some(request)) = updates.message().await {
                if let Some(updates_request::Message::Update(update)) = request.message {
                    let results = broken.results(&update);
                    let _ = answer.send(say(Results(UpdateResults { results }))).await;
                }
            }
            let _ = answer.send(say(Summary(UpdatesSummary::default()))).await;
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn release(
        &self,
        _: Request<Streaming<ReleaseRequest>>,
    ) -> Result<Response<Self::ReleaseStream>, Status> {
        Err(Status::unimplemented("a fake"))
    }

    async fn get_suffix_hashes(
        &self,
        _: Request<GetSuffixHashesRequest>,
    ) -> Result<Response<GetSuffixHashesResponse>, Status> {
        Err(Status::unimplemented("a fake"))
    }

    async fn invalidate_suffixes(
        &self,
        _: Request<InvalidateSuffixesRequest>,
    ) -> Result<Response<InvalidateSuffixesResponse>, Status> {
        Err(Status::unimplemented("a fake"))
    }
}
