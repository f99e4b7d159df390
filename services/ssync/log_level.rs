//! The contract's LogService over the log of this process.

use ssync_api::{
    admin::{
        GetLogLevelRequest, GetLogLevelResponse, SetLogLevelRequest, SetLogLevelResponse,
        log_service_server::{LogService, LogServiceServer},
    },
    status::to_status,
};
use ssync_receiver::{IsLocal, only_local};
use ssync_runtime::LogFilter;
use ssync_types::{Reason, Refusal};
use tonic::{Request, Response, Status};

/// The service.
#[derive(Debug)]
pub(crate) struct LogGrpc {
    filter: LogFilter,
    is_local: IsLocal,
}

impl LogGrpc {
    /// The service, ready to be added to a server. `is_local` says who may change what is logged; anybody may look.
    pub(crate) fn server(filter: LogFilter, is_local: IsLocal) -> LogServiceServer<Self> {
        LogServiceServer::new(Self { filter, is_local })
    }
}

#[tonic::async_trait]
impl LogService for LogGrpc {
    async fn get_log_level(
        &self,
        _request: Request<GetLogLevelRequest>,
    ) -> Result<Response<GetLogLevelResponse>, Status> {
        Ok(Response::new(GetLogLevelResponse { filter: self.filter.current() }))
    }

    async fn set_log_level(
        &self,
        request: Request<SetLogLevelRequest>,
    ) -> Result<Response<SetLogLevelResponse>, Status> {
        only_local(&request, self.is_local, "only an operator on this node may change what it logs")?;
        let previous_filter = self.filter.current();
        self.filter.set(&request.into_inner().level).map_err(|error| {
            let refusal = Refusal::new(Reason::InvalidArgument, error.to_string());
            to_status(&Refusal { field: Some("level".to_owned()), ..refusal })
        })?;
        let filter = self.filter.current();
        tracing::info!(filter, previous_filter, "what is logged was changed");
        Ok(Response::new(SetLogLevelResponse { filter, previous_filter }))
    }
}
