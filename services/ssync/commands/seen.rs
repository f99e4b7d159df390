//! What this node's daemons tell of themselves, taken together: one process with all parts, or a receiver and a replicator by
//! themselves.

use std::time::{Duration, SystemTime};

use anyhow::bail;
use ssync_api::admin::{
    GetLimitsRequest, GetReplicatorStatusRequest, GetServerInfoRequest, GetTimeSpentRequest,
    GetTimeSpentResponse, ListDevicesRequest, ListSessionsRequest, admin_service_client::AdminServiceClient,
    replicator_service_client::ReplicatorServiceClient,
};
use ssync_page::{Receives, Report, State, Who};
use ssync_runtime::BindAddress;
use tokio::time::timeout;
use tonic::{Code, Response, Status, transport::Channel};

use crate::{
    cli::RunningArgs,
    commands::{
        daemon,
        running::{NotThere, addresses, endpoint, refused},
    },
};

/// How long a daemon may take to answer.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(3);

/// The daemons that answer, kept for those who look again and again.
pub(crate) struct Seeing {
    receiver: Option<AdminServiceClient<Channel>>,
    replicator: Option<ReplicatorServiceClient<Channel>>,
}

impl Seeing {
    /// Those at the address that was given, or at those of the configuration.
    pub(crate) async fn find(args: &RunningArgs) -> anyhow::Result<Self> {
        let asked = match &args.admin {
            Some(address) => vec![address.clone()],
            None => addresses(&daemon::config(&args.daemon)?),
        };
        let (mut found, mut problems) = (Self { receiver: None, replicator: None }, Vec::new());
        for address in asked {
            if let Err(error) = found.look_at(&address).await {
                problems.push(format!("{address}: {error:#}"));
            }
        }
        if found.receiver.is_none() && found.replicator.is_none() {
            bail!(NotThere(format!(
                "no daemon answers ({}); start one, or give --admin",
                problems.join("; ")
            )));
        }
        Ok(found)
    }

    /// Takes what is there and was not found before.
    async fn look_at(&mut self, address: &BindAddress) -> anyhow::Result<()> {
        let channel = endpoint(address)?.connect().await?;
        if self.receiver.is_none() {
            let mut client = AdminServiceClient::new(channel.clone());
            let look = client.get_server_info(GetServerInfoRequest {});
            self.receiver = answered(look).await?.map(|_| client);
        }
        if self.replicator.is_none() {
            let mut client = ReplicatorServiceClient::new(channel);
            let look = client.get_replicator_status(GetReplicatorStatusRequest {});
            self.replicator = answered(look).await?.map(|_| client);
        }
        Ok(())
    }

    /// How it is now. The parts that this node does not have are left out.
    pub(crate) async fn report(&mut self) -> anyhow::Result<Report> {
        let receives = match &mut self.receiver {
            None => None,
            Some(client) => Some(Receives {
                info: answered(client.get_server_info(GetServerInfoRequest {})).await?.unwrap_or_default(),
                devices: answered(client.list_devices(ListDevicesRequest {}))
                    .await?
                    .unwrap_or_default()
                    .devices,
                sessions: answered(client.list_sessions(ListSessionsRequest {}))
                    .await?
                    .unwrap_or_default()
                    .sessions,
                limits: answered(client.get_limits(GetLimitsRequest {})).await?.unwrap_or_default().limits,
            }),
        };
        let replicates = match &mut self.replicator {
            None => None,
            Some(client) => answered(client.get_replicator_status(GetReplicatorStatusRequest {})).await?,
        };
        let receives =
            receives.map(|receives: Receives| receives.with_those_of_the_rings(replicates.as_ref()));
        let draining = receives.as_ref().is_some_and(|receives| receives.info.draining);
        Ok(Report {
            // The page has a head; here the command line has said who is asked.
            who: Who {
                host: String::new(),
                address: String::new(),
                parts: String::new(),
                version: receives.as_ref().map(|receives| receives.info.version.clone()).unwrap_or_default(),
                uptime_seconds: receives.as_ref().map_or(0, |receives| receives.info.uptime_seconds),
            },
            at: SystemTime::now(),
            state: if draining { State::Draining } else { State::Ready },
            receives,
            replicates,
            elsewhere: Vec::new(),
            refresh: None,
        })
    }

    /// Where the workers' time went; there has to be a replicator.
    pub(crate) async fn time_spent(&mut self) -> anyhow::Result<GetTimeSpentResponse> {
        let Some(client) = &mut self.replicator else {
            bail!(NotThere("no replicator runs on this node; start one, or give --admin".to_owned()));
        };
        Ok(answered(client.get_time_spent(GetTimeSpentRequest {})).await?.unwrap_or_default())
    }
}

/// The answer; `None` where the service is not served.
async fn answered<T>(
    question: impl Future<Output = Result<Response<T>, Status>>,
) -> anyhow::Result<Option<T>> {
    match timeout(ANSWER_WAIT_MAX, question).await {
        Ok(Ok(answer)) => Ok(Some(answer.into_inner())),
        Ok(Err(status)) if status.code() == Code::Unimplemented => Ok(None),
        Ok(Err(status)) => Err(refused(&status)),
        Err(_) => bail!("it does not answer within {ANSWER_WAIT_MAX:?}"),
    }
}
