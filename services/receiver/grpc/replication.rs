//! `ssync.v1.ReplicationService`.

use std::sync::Arc;

use ssync_api::{
    convert,
    v1::{self, replication_service_server::ReplicationService},
};
use ssync_store::{CHECK_QUEUE_MAX, Store};
use ssync_types::{
    Offer, PartitionRef, Reason, Refusal, Rehash, ReleaseItem, ReleaseOpen, SessionOpen, SessionProtocol,
    UpdateMessage,
};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming, codegen::BoxStream};

use super::{
    GrpcSettings,
    batch::{Answers, Events, Released},
    malformed, refused,
    requests::Requests,
    responses::responses,
};
use crate::{
    authority::Need,
    caller::{is_local, not_local},
};

/// Replication over a store.
pub struct ReplicationGrpc {
    store: Arc<dyn Store>,
    settings: GrpcSettings,
}

impl std::fmt::Debug for ReplicationGrpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplicationGrpc").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl ReplicationGrpc {
    pub(super) fn new(store: Arc<dyn Store>, settings: GrpcSettings) -> Self {
        Self { store, settings }
    }

    async fn check(
        &self,
        request: Request<Streaming<v1::MissingCheckRequest>>,
    ) -> Answered<v1::MissingCheckResponse> {
        self.settings.may(&request, Need::Read)?;
        let mut requests = Requests::new(request, &self.settings).ended_by(&self.settings.drain);
        let (partition, offers) = first_offers(requests.first("`partition`").await?)?;
        let (taker, queue) = mpsc::channel(CHECK_QUEUE_MAX);
        let answers = self.store.missing_check(partition, queue).await?;
        let fault = requests.pump(offers, taker, more_offers, |_| false);
        Ok(responses::<Answers>(None, answers, Some(fault), self.settings.heartbeat_interval))
    }

    async fn session(
        &self,
        request: Request<Streaming<v1::UpdatesRequest>>,
    ) -> Answered<v1::UpdatesResponse> {
        let local = is_local(&request, self.settings.is_local);
        // Before anything is read: all that may push may read.
        self.settings.may(&request, Need::Read)?;
        let known = self.settings.known(&request);
        let mut requests = Requests::new(request, &self.settings);
        let mut open = SessionOpen::try_from(requests.first("`open`").await?)?;
        if let Some((authority, identity)) = known {
            // The bridge pushes for whom it was told of by HTTP, and answers for it.
            match local && open.protocol == SessionProtocol::Ssync {
                true => authority.may(&identity, Need::Own, local)?,
                false => authority.may_push(&identity, &open)?,
            }
        }
        if !local {
            without_bridge(&mut open);
        }
        let session = self.store.updates(open).await?;
        let convert = |request| UpdateMessage::try_from(request).map(Some);
        let fault = requests.pump(None, session.messages, convert, |_| false);
        Ok(responses::<Events>(None, session.events, Some(fault), self.settings.heartbeat_interval))
    }

    async fn let_go(&self, request: Request<Streaming<v1::ReleaseRequest>>) -> Answered<v1::ReleaseResponse> {
        if !is_local(&request, self.settings.is_local) {
            return Err(not_local(&request, "only this node's own replicator may release its objects"));
        }
        self.settings.may(&request, Need::Own)?;
        let mut requests = Requests::new(request, &self.settings).ended_by(&self.settings.drain);
        let open = ReleaseOpen::try_from(requests.first("`open`").await?)?;
        let release = self.store.release(open).await?;
        let fault = requests.pump(None, release.items, items, |_| false);
        let locked = v1::release_response::Message::Locked(v1::ReleaseLocked {});
        let head = Some(v1::ReleaseResponse { message: Some(locked) });
        Ok(responses::<Released>(head, release.results, Some(fault), self.settings.heartbeat_interval))
    }
}

type Answered<W> = Result<BoxStream<W>, Refusal>;

/// Takes out what only the SSYNC bridge may ask for: from elsewhere it would let a peer wait for locks and fail without
/// end. The bridge of this node is a local caller, whatever process it is part of.
fn without_bridge(open: &mut SessionOpen) {
    open.protocol = SessionProtocol::Grpc;
    open.failures_unlimited = false;
}

/// The first message of a check: its partition, and its offers if it has any.
fn first_offers(request: v1::MissingCheckRequest) -> Result<(PartitionRef, Option<Vec<Offer>>), Refusal> {
    let partition = convert::partition(request.partition)?;
    let offers = convert::offers(request.offers)?;
    Ok((partition, (!offers.is_empty()).then_some(offers)))
}

/// A later message of a check. A heartbeat has no offers; it is handed on, for the store watches its asker as well.
fn more_offers(request: v1::MissingCheckRequest) -> Result<Option<Vec<Offer>>, Refusal> {
    if request.partition.is_some() {
        return Err(Refusal::new(
            Reason::ProtocolOrder,
            "`partition` must stand in the first message, and only there",
        ));
    }
    Ok(Some(convert::offers(request.offers)?))
}

/// A later message of a release: `None` for a heartbeat.
fn items(request: v1::ReleaseRequest) -> Result<Option<Vec<ReleaseItem>>, Refusal> {
    let items = convert::release_items(request)?;
    Ok((!items.is_empty()).then_some(items))
}

#[tonic::async_trait]
impl ReplicationService for ReplicationGrpc {
    type MissingCheckStream = BoxStream<v1::MissingCheckResponse>;
    type UpdatesStream = BoxStream<v1::UpdatesResponse>;
    type ReleaseStream = BoxStream<v1::ReleaseResponse>;

    async fn missing_check(
        &self,
        request: Request<Streaming<v1::MissingCheckRequest>>,
    ) -> Result<Response<Self::MissingCheckStream>, Status> {
        self.check(request).await.map(Response::new).map_err(|refusal| refused(&refusal))
    }

    async fn updates(
        &self,
        request: Request<Streaming<v1::UpdatesRequest>>,
    ) -> Result<Response<Self::UpdatesStream>, Status> {
        self.session(request).await.map(Response::new).map_err(|refusal| refused(&refusal))
    }

    async fn release(
        &self,
        request: Request<Streaming<v1::ReleaseRequest>>,
    ) -> Result<Response<Self::ReleaseStream>, Status> {
        self.let_go(request).await.map(Response::new).map_err(|refusal| refused(&refusal))
    }

    async fn get_suffix_hashes(
        &self,
        request: Request<v1::GetSuffixHashesRequest>,
    ) -> Result<Response<v1::GetSuffixHashesResponse>, Status> {
        let need = if request.get_ref().rehash_suffixes.is_empty() { Need::Read } else { Need::Mark };
        self.settings.may(&request, need).map_err(|refusal| refused(&refusal))?;
        let request = request.into_inner();
        let partition = convert::partition(request.partition).map_err(malformed)?;
        let suffixes = convert::rehash_suffixes(request.rehash_suffixes).map_err(malformed)?;
        let rehash = Rehash { suffixes, list: request.list_suffixes };
        let hashes =
            self.store.suffix_hashes(partition, rehash).await.map_err(|refusal| refused(&refusal))?;
        Ok(Response::new(convert::to_suffix_hashes(hashes)))
    }

    async fn invalidate_suffixes(
        &self,
        request: Request<v1::InvalidateSuffixesRequest>,
    ) -> Result<Response<v1::InvalidateSuffixesResponse>, Status> {
        self.settings.may(&request, Need::Mark).map_err(|refusal| refused(&refusal))?;
        let request = request.into_inner();
        let partition = convert::partition(request.partition).map_err(malformed)?;
        let suffixes = convert::stale_suffixes(request.suffixes).map_err(malformed)?;
        self.store.invalidate_suffixes(partition, suffixes).await.map_err(|refusal| refused(&refusal))?;
        Ok(Response::new(v1::InvalidateSuffixesResponse {}))
    }
}
