//! The contract's ControlService.

use std::sync::Arc;

use ssync_api::{
    admin::{
        DrainDevicesRequest, DrainDevicesResponse, DrainingDevice, ListErrorsRequest, ListErrorsResponse,
        ListLimitsRequest, ListLimitsResponse, PauseRequest, PauseResponse, ResumeRequest, ResumeResponse,
        RetryRequest, RetryResponse, SetLimitsRequest, SetLimitsResponse,
        control_service_server::{ControlService, ControlServiceServer},
    },
    status::to_status,
};
use ssync_receiver::{IsLocal, Receiver, only_local};
use ssync_replicator::Replicator;
use ssync_types::{DeviceName, Invalid, Reason, Refusal};
use tonic::{Request, Response, Status};

use super::{errors, limits};

/// Names in one request.
const NAMES_MAX: usize = 1_000;
/// The node, among names of devices.
const NODE: &str = "*";

/// The service.
#[derive(Debug)]
pub(crate) struct ControlGrpc {
    receiver: Option<Arc<Receiver>>,
    replicator: Option<Arc<Replicator>>,
    is_local: IsLocal,
}

impl ControlGrpc {
    /// The service over what this process has, ready to be added to a server. `is_local` says who may change something; anybody may
    /// look.
    pub(crate) fn server(
        receiver: Option<Arc<Receiver>>,
        replicator: Option<Arc<Replicator>>,
        is_local: IsLocal,
    ) -> ControlServiceServer<Self> {
        ControlServiceServer::new(Self { receiver, replicator, is_local })
    }

    fn paused(&self) -> Option<ssync_api::admin::Paused> {
        self.replicator.as_ref().map(|replicator| errors::paused(&replicator.paused()))
    }

    /// Partitions of a device that the replicator moves data of.
    fn jobs(&self, is_meant: impl Fn(&DeviceName) -> bool) -> u32 {
        let jobs = self.replicator.as_ref().map(|replicator| replicator.devices_at_work());
        let jobs = jobs.iter().flatten().filter(|device| is_meant(device)).count();
        u32::try_from(jobs).unwrap_or(u32::MAX)
    }

    fn sessions(&self, device: &DeviceName) -> u32 {
        let sessions = self.receiver.as_ref().map(|receiver| receiver.sessions());
        let of_it = sessions.iter().flatten().filter(|session| session.partition.device == *device);
        u32::try_from(of_it.count()).unwrap_or(u32::MAX)
    }

    async fn pause_devices(&self, devices: Vec<DeviceName>) -> Result<PauseResponse, Refusal> {
        let Some(replicator) = &self.replicator else { return Ok(PauseResponse::default()) };
        let paused = replicator.pause(&devices).await?;
        let jobs = self.jobs(|device| paused.holds(device));
        Ok(PauseResponse { replicator: true, paused: Some(errors::paused(&paused)), jobs })
    }

    async fn drain(&self, devices: Vec<DeviceName>) -> Result<DrainDevicesResponse, Refusal> {
        if devices.is_empty() {
            return Err(Invalid::new("devices", "is empty: name a device").into());
        }
        if let Some(receiver) = &self.receiver {
            self.check_names(receiver, &devices).await?;
            let drained = receiver.drained_devices();
            devices.iter().filter(|device| !drained.contains(device)).for_each(|device| {
                receiver.drain_device(device);
            });
        }
        if let Some(replicator) = &self.replicator {
            // A device of erasure-coded policies alone is none of its.
            let own = replicator.own_devices().await;
            let paused = replicator.paused();
            let is_new = |device: &&DeviceName| own.contains(*device) && !paused.devices.contains(*device);
            let own: Vec<DeviceName> = devices.iter().filter(is_new).cloned().collect();
            if !own.is_empty() {
                replicator.pause(&own).await?;
            }
        }
        let told = |device: &DeviceName| DrainingDevice {
            device: device.to_string(),
            sessions: self.sessions(device),
            jobs: self.jobs(|other| other == device),
        };
        Ok(DrainDevicesResponse {
            replicator: self.replicator.is_some(),
            receiver: self.receiver.is_some(),
            devices: devices.iter().map(told).collect(),
        })
    }

    /// Refuses what is no device here.
    async fn check_names(&self, receiver: &Receiver, devices: &[DeviceName]) -> Result<(), Refusal> {
        let drained = receiver.drained_devices();
        if devices.iter().all(|device| drained.contains(device)) {
            return Ok(());
        }
        let known: Vec<DeviceName> = receiver.devices().await.into_iter().map(|status| status.name).collect();
        let Some(stranger) = devices.iter().find(|device| !known.contains(device)) else { return Ok(()) };
        let names: Vec<&str> = known.iter().map(DeviceName::as_str).collect();
        let problem = format!("{stranger} is no device of this node, which has: {}", names.join(", "));
        Err(Invalid::new("devices", problem).into())
    }

    fn go_on(&self, devices: &[DeviceName]) -> ResumeResponse {
        let mut resumed = Vec::new();
        if let Some(replicator) = &self.replicator {
            let what = replicator.resume(devices);
            resumed.extend(what.node.then(|| NODE.to_owned()));
            resumed.extend(what.devices.iter().map(ToString::to_string));
        }
        let mut admitting = Vec::new();
        if let Some(receiver) = &self.receiver {
            let drained = receiver.drained_devices();
            let meant = drained.iter().filter(|device| devices.is_empty() || devices.contains(device));
            admitting.extend(meant.filter(|device| receiver.resume_device(device)).map(ToString::to_string));
        }
        ResumeResponse {
            replicator: self.replicator.is_some(),
            receiver: self.receiver.is_some(),
            resumed,
            admitting,
            paused: self.paused(),
            draining: self.receiver.as_ref().is_some_and(|receiver| receiver.is_draining()),
        }
    }
}

fn names(names: &[String]) -> Result<Vec<DeviceName>, Refusal> {
    if names.len() > NAMES_MAX {
        return Err(Invalid::new("devices", format!("more than {NAMES_MAX} names")).into());
    }
    names.iter().map(|name| name.parse().map_err(|invalid: Invalid| invalid.into())).collect()
}

#[tonic::async_trait]
impl ControlService for ControlGrpc {
    async fn pause(&self, request: Request<PauseRequest>) -> Result<Response<PauseResponse>, Status> {
        only_local(&request, self.is_local, "only an operator on this node may pause it")?;
        let paused = async { self.pause_devices(names(&request.get_ref().devices)?).await };
        paused.await.map(Response::new).map_err(|refusal: Refusal| to_status(&refusal))
    }

    async fn resume(&self, request: Request<ResumeRequest>) -> Result<Response<ResumeResponse>, Status> {
        only_local(&request, self.is_local, "only an operator on this node may have it go on")?;
        let devices = names(&request.get_ref().devices).map_err(|refusal| to_status(&refusal))?;
        Ok(Response::new(self.go_on(&devices)))
    }

    async fn drain_devices(
        &self,
        request: Request<DrainDevicesRequest>,
    ) -> Result<Response<DrainDevicesResponse>, Status> {
        only_local(&request, self.is_local, "only an operator on this node may drain a device")?;
        let drained = async { self.drain(names(&request.get_ref().devices)?).await };
        drained.await.map(Response::new).map_err(|refusal: Refusal| to_status(&refusal))
    }

    async fn list_limits(
        &self,
        _request: Request<ListLimitsRequest>,
    ) -> Result<Response<ListLimitsResponse>, Status> {
        let limits = limits::list(self.receiver.as_deref(), self.replicator.as_deref());
        Ok(Response::new(ListLimitsResponse { limits }))
    }

    async fn set_limits(
        &self,
        request: Request<SetLimitsRequest>,
    ) -> Result<Response<SetLimitsResponse>, Status> {
        only_local(&request, self.is_local, "only an operator on this node may set its limits")?;
        let settings = request.into_inner().settings;
        if settings.is_empty() || settings.len() > NAMES_MAX {
            let refusal = Invalid::new("settings", "has to have one at least, and not thousands");
            return Err(to_status(&refusal.into()));
        }
        let parts = (self.receiver.as_deref(), self.replicator.as_deref());
        let unknown = limits::set(&settings, parts.0, parts.1).map_err(|refusal| to_status(&refusal))?;
        for setting in settings.iter().filter(|setting| !unknown.contains(&setting.name)) {
            tracing::warn!(
                "{} = {} by an operator, until a restart or a reload",
                setting.name,
                setting.value
            );
        }
        let is_set = |name: &str| settings.iter().any(|setting| setting.name == name);
        let limits = limits::list(parts.0, parts.1).into_iter().filter(|limit| is_set(&limit.name));
        Ok(Response::new(SetLimitsResponse { limits: limits.collect(), unknown }))
    }

    async fn list_errors(
        &self,
        _request: Request<ListErrorsRequest>,
    ) -> Result<Response<ListErrorsResponse>, Status> {
        let errors = self.replicator.as_ref().map(|replicator| errors::list(replicator));
        Ok(Response::new(errors.unwrap_or_default()))
    }

    async fn retry(&self, request: Request<RetryRequest>) -> Result<Response<RetryResponse>, Status> {
        only_local(&request, self.is_local, "only an operator on this node may have it try again")?;
        let what = request.into_inner().what;
        if what.len() > NAMES_MAX {
            let message = format!("more than {NAMES_MAX} words");
            return Err(to_status(&Refusal::new(Reason::InvalidArgument, message)));
        }
        let Some(replicator) = &self.replicator else {
            return Ok(Response::new(RetryResponse::default()));
        };
        let retried = replicator.retry(&what);
        Ok(Response::new(errors::retried(replicator, retried, what.len())))
    }
}
