//! `ssync.v1.DeviceService`.

use std::sync::Arc;

use ssync_api::v1::{self, device_service_server::DeviceService};
use ssync_store::Store;
use tonic::{Request, Response, Status};

use super::{GrpcSettings, refused};
use crate::authority::Need;

/// The devices of a store.
pub struct DeviceGrpc {
    store: Arc<dyn Store>,
    settings: GrpcSettings,
}

impl std::fmt::Debug for DeviceGrpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceGrpc").finish_non_exhaustive()
    }
}

impl DeviceGrpc {
    pub(super) fn new(store: Arc<dyn Store>, settings: GrpcSettings) -> Self {
        Self { store, settings }
    }
}

#[tonic::async_trait]
impl DeviceService for DeviceGrpc {
    async fn survey_devices(
        &self,
        request: Request<v1::SurveyDevicesRequest>,
    ) -> Result<Response<v1::SurveyDevicesResponse>, Status> {
        self.settings.may(&request, Need::Read).map_err(|refusal| refused(&refusal))?;
        let survey = self.store.survey_devices().await.map_err(|refusal| refused(&refusal))?;
        Ok(Response::new(survey.into()))
    }
}
