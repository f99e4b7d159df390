//! What an operator asks a running receiver: the admin service of the contract.

mod removals;

use std::sync::Arc;

use ssync_api::{
    admin::{
        self, Device, DrainRequest, DrainResponse, FindRemovalsRequest, FindRemovalsResponse,
        GetLimitsRequest, GetLimitsResponse, GetServerInfoRequest, GetServerInfoResponse, Limit,
        ListDevicesRequest, ListDevicesResponse, ListSessionsRequest, ListSessionsResponse, Session,
        admin_service_server::{AdminService, AdminServiceServer},
    },
    status::to_status,
    v1,
};
use ssync_types::SessionProtocol;
use tonic::{Request, Response, Status};

use crate::{IsLocal, Receiver, SessionInfo, caller::only_local};

/// Packages of the contract that a receiver serves.
const PACKAGES: [&str; 2] = ["ssync.v1", "ssync.admin.v1"];

/// The admin service over a receiver.
#[derive(Debug, Clone)]
pub struct AdminGrpc {
    receiver: Arc<Receiver>,
    is_local: IsLocal,
}

impl AdminGrpc {
    /// The service itself: what it tells is told within the process as it is over the network.
    #[must_use]
    pub fn new(receiver: Arc<Receiver>, is_local: IsLocal) -> Self {
        Self { receiver, is_local }
    }

    /// The service, ready to be added to a server. `is_local` says who may drain; anybody may look.
    #[must_use]
    pub fn server(receiver: Arc<Receiver>, is_local: IsLocal) -> AdminServiceServer<Self> {
        AdminServiceServer::new(Self::new(receiver, is_local))
    }
}

#[tonic::async_trait]
impl AdminService for AdminGrpc {
    async fn get_server_info(
        &self,
        _request: Request<GetServerInfoRequest>,
    ) -> Result<Response<GetServerInfoResponse>, Status> {
        Ok(Response::new(GetServerInfoResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            packages: PACKAGES.map(str::to_owned).to_vec(),
            uptime_seconds: self.receiver.uptime().as_secs(),
            draining: self.receiver.is_draining(),
        }))
    }

    async fn list_sessions(
        &self,
        _request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let sessions = self.receiver.sessions().into_iter().map(session).collect();
        Ok(Response::new(ListSessionsResponse { sessions }))
    }

    async fn get_limits(
        &self,
        _request: Request<GetLimitsRequest>,
    ) -> Result<Response<GetLimitsResponse>, Status> {
        let limits = self.receiver.limits().into_iter().map(|limit| Limit {
            name: limit.name.to_owned(),
            maximum: limit.maximum,
            used: limit.used,
        });
        Ok(Response::new(GetLimitsResponse { limits: limits.collect() }))
    }

    async fn list_devices(
        &self,
        _request: Request<ListDevicesRequest>,
    ) -> Result<Response<ListDevicesResponse>, Status> {
        let drained = self.receiver.drained_devices();
        let devices = self.receiver.devices().await.into_iter().map(|status| Device {
            draining: drained.contains(&status.name),
            name: status.name.to_string(),
            mounted: status.space.is_ok(),
            free_bytes: status.space.as_ref().map_or(0, |space| space.free),
            total_bytes: status.space.as_ref().map_or(0, |space| space.total),
            problem: status.space.err().unwrap_or_default(),
        });
        Ok(Response::new(ListDevicesResponse { devices: devices.collect() }))
    }

    async fn find_removals(
        &self,
        request: Request<FindRemovalsRequest>,
    ) -> Result<Response<FindRemovalsResponse>, Status> {
        let found = removals::find(&self.receiver, request.into_inner()).await;
        found.map(Response::new).map_err(|refusal| to_status(&refusal))
    }

    async fn drain(&self, request: Request<DrainRequest>) -> Result<Response<DrainResponse>, Status> {
        only_local(&request, self.is_local, "only an operator on this node may drain it")?;
        let sessions = u32::try_from(self.receiver.drain()).unwrap_or(u32::MAX);
        Ok(Response::new(DrainResponse { sessions }))
    }
}

fn session(info: SessionInfo) -> Session {
    Session {
        session_id: info.id,
        peer: info.peer,
        protocol: match info.protocol {
            SessionProtocol::Grpc => admin::SessionProtocol::Grpc,
            SessionProtocol::Ssync => admin::SessionProtocol::Ssync,
        }
        .into(),
        device: info.partition.device.to_string(),
        partition: info.partition.partition.get(),
        policy_index: info.partition.policy.get(),
        age_seconds: info.age.as_secs(),
        applied: info.summary.applied,
        failed: info.summary.failed,
        confirmed: info.summary.confirmed,
        superseded: info.summary.superseded,
        job: v1::Job::from(info.job).into(),
    }
}
