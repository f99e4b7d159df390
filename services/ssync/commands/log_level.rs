//! `ssync log-level`: what running daemons log, and another level for them.

use std::process::ExitCode;

use ssync_api::admin::{GetLogLevelRequest, SetLogLevelRequest, log_service_client::LogServiceClient};
use ssync_runtime::{BindAddress, Config};
use tonic::{Status, transport::Channel};

use crate::{
    cli::LogLevelArgs,
    commands::{
        daemon,
        running::{NotThere, endpoint, reachable, refused},
    },
};

/// Asks each daemon that answers, and prints what it logs from now on.
pub(crate) async fn run(args: &LogLevelArgs) -> anyhow::Result<ExitCode> {
    let addresses = match &args.admin {
        Some(address) => vec![address.clone()],
        None => addresses(&daemon::config(&args.daemon)?),
    };
    let mut answered = false;
    for address in &addresses {
        let Ok(channel) = endpoint(address)?.connect().await else { continue };
        answered = true;
        let filter = ask(channel, args.level.as_deref())
            .await
            .map_err(|status| refused(&status).context(address.to_string()))?;
        println!("{address}: {filter}");
    }
    let tried: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    anyhow::ensure!(
        answered,
        NotThere(format!("no daemon answers at {}; start one, or give --admin", tried.join(" or ")))
    );
    Ok(ExitCode::SUCCESS)
}

async fn ask(channel: Channel, level: Option<&str>) -> Result<String, Status> {
    let mut client = LogServiceClient::new(channel);
    Ok(match level {
        Some(level) => {
            client.set_log_level(SetLogLevelRequest { level: level.to_owned() }).await?.into_inner().filter
        }
        None => client.get_log_level(GetLogLevelRequest {}).await?.into_inner().filter,
    })
}

/// Where daemons of this node may be asked.
fn addresses(config: &Config) -> Vec<BindAddress> {
    let options = &config.ssync;
    let admins = [&options.admin_bind, &options.sidecar_admin_bind, &options.replicator_admin_bind];
    admins.into_iter().filter_map(|address| reachable(address.as_ref())).collect()
}
