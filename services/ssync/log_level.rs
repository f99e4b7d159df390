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

#[cfg(test)]
mod tests {
    use ssync_runtime::{LogFormat, LogLevel, Telemetry, TelemetryOptions};
    use tonic::Code;

    use super::*;

    #[tokio::test]
    async fn a_stranger_may_look_and_not_change() {
        let options = TelemetryOptions {
            service_name: "ssync",
            version: "0",
            log_format: LogFormat::Text,
            log_level: LogLevel::Error,
            trace_objects: false,
        };
        let telemetry = Telemetry::start(&options).unwrap();
        let filter = telemetry.log_filter().clone();
        let service = |is_local: IsLocal| LogGrpc { filter: filter.clone(), is_local };
        let wanted = || Request::new(SetLogLevelRequest { level: "DEBUG".to_owned() });
        let before = filter.current();
        let refused = service(|_| false).set_log_level(wanted()).await.unwrap_err();
        assert_eq!((refused.code(), filter.current()), (Code::PermissionDenied, before.clone()));
        let seen = service(|_| false).get_log_level(Request::new(GetLogLevelRequest {})).await.unwrap();
        assert_eq!(seen.into_inner().filter, before);
        service(|_| true).set_log_level(wanted()).await.unwrap();
        assert_ne!(filter.current(), before);
    }
}
