//! The contract's ReplicatorService over the replicator of this process.

use std::sync::Arc;

use ssync_api::{
    admin::{
        GetReplicatorStatusRequest, GetReplicatorStatusResponse, GetTimeSpentRequest, GetTimeSpentResponse,
        PlanRequest, PlanResponse, PushRequest, PushResponse,
        replicator_service_server::{ReplicatorService, ReplicatorServiceServer},
    },
    status::to_status,
};
use ssync_receiver::{IsLocal, only_local};
use ssync_replicator::Replicator;
use ssync_types::{Reason, Refusal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

/// Most pushes and plans on demand at once, beside the pass.
const ON_DEMAND_MAX: usize = 4;

/// The service.
#[derive(Debug)]
pub(crate) struct ReplicatorGrpc {
    replicator: Arc<Replicator>,
    is_local: IsLocal,
    drain: CancellationToken,
    slots: Arc<Semaphore>,
}

impl ReplicatorGrpc {
    /// The service, ready to be added to a server. `is_local` says who may have it push or plan; anybody may look.
    pub(crate) fn server(
        replicator: Arc<Replicator>,
        is_local: IsLocal,
        drain: CancellationToken,
    ) -> ReplicatorServiceServer<Self> {
        ReplicatorServiceServer::new(Self::new(replicator, is_local, drain))
    }

    /// The service itself: what it tells is told within the process as it is over the network.
    pub(crate) fn new(replicator: Arc<Replicator>, is_local: IsLocal, drain: CancellationToken) -> Self {
        let slots = Arc::new(Semaphore::new(ON_DEMAND_MAX));
        Self { replicator, is_local, drain, slots }
    }

    fn slot(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.slots).try_acquire_owned().map_err(|_| {
            let message =
                format!("{ON_DEMAND_MAX} pushes and plans on demand are under way; wait for one to end");
            to_status(&Refusal::new(Reason::ReceiverBusy, message))
        })
    }
}

type Answers<T> = std::pin::Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The slot is held for as long as the answers are.
fn answers<T: Send + 'static>(told: mpsc::Receiver<T>, slot: OwnedSemaphorePermit) -> Response<Answers<T>> {
    Response::new(Box::pin(ReceiverStream::new(told).map(move |answer| {
        let _held = &slot;
        Ok(answer)
    })))
}

#[tonic::async_trait]
impl ReplicatorService for ReplicatorGrpc {
    type PushStream = Answers<PushResponse>;
    type PlanStream = Answers<PlanResponse>;

    async fn push(&self, request: Request<PushRequest>) -> Result<Response<Self::PushStream>, Status> {
        only_local(&request, self.is_local, "only an operator on this node may have it push")?;
        let slot = self.slot()?;
        let told = super::push(&self.replicator, request.into_inner(), self.drain.child_token()).await;
        Ok(answers(told.map_err(|refusal| to_status(&refusal))?, slot))
    }

    async fn plan(&self, request: Request<PlanRequest>) -> Result<Response<Self::PlanStream>, Status> {
        only_local(&request, self.is_local, "only an operator on this node may have it plan")?;
        let slot = self.slot()?;
        let told = super::plan(&self.replicator, request.into_inner(), self.drain.child_token()).await;
        Ok(answers(told.map_err(|refusal| to_status(&refusal))?, slot))
    }

    async fn get_replicator_status(
        &self,
        _request: Request<GetReplicatorStatusRequest>,
    ) -> Result<Response<GetReplicatorStatusResponse>, Status> {
        Ok(Response::new(super::status::status(&self.replicator)))
    }

    async fn get_time_spent(
        &self,
        _request: Request<GetTimeSpentRequest>,
    ) -> Result<Response<GetTimeSpentResponse>, Status> {
        Ok(Response::new(super::spent::all(&self.replicator)))
    }
}
