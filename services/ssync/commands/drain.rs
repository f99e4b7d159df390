//! `ssync drain`: a device, or the node, taken out of replication in order.

use std::{
    io::{IsTerminal as _, stderr},
    process::ExitCode,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use ssync_api::admin::{
    DrainDevicesRequest, DrainRequest, DrainingDevice, ListSessionsRequest,
    admin_service_client::AdminServiceClient,
};
use tokio::time::{Instant, sleep};

use crate::{
    cli::DrainArgs,
    commands::{
        daemons::{self, Daemon, Need},
        running::{endpoint, refused},
    },
    figures::counted,
};

/// How often it is asked how far the drain is.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Drains, and waits until nothing of replication is under way; exits 1 when that takes too long.
pub(crate) async fn run(args: &DrainArgs) -> anyhow::Result<ExitCode> {
    match args.devices.is_empty() {
        true => drain_node(args).await,
        false => drain_devices(args).await,
    }
}

/// What is still under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Left {
    sessions: u64,
    jobs: u64,
}

impl Left {
    fn is_nothing(self) -> bool {
        self == Self::default()
    }

    fn text(self) -> String {
        format!("{} and {} under way", counted(self.sessions, "session"), counted(self.jobs, "partition"))
    }
}

async fn drain_devices(args: &DrainArgs) -> anyhow::Result<ExitCode> {
    let mut found = daemons::find(&args.running, Need::Any).await?;
    let names = args.devices.join(", ");
    let (receives, replicates) =
        (found.iter().any(Daemon::has_receiver), found.iter().any(Daemon::has_replicator));
    let mut view = View::new(args.running.json);
    for daemon in &found {
        view.say(&match (daemon.has_receiver(), daemon.has_replicator()) {
            (true, true) => {
                format!(
                    "The node at {} admits no replication into {names}, and pushes nothing from there.",
                    daemon.address
                )
            }
            (true, false) => {
                format!("The receiver at {} admits no replication into {names}.", daemon.address)
            }
            (false, _) => format!("The replicator at {} pushes nothing from {names}.", daemon.address),
        });
    }
    if !replicates {
        view.say("No replicator answers: one that runs all the same goes on pushing from there.");
    }
    if !receives {
        view.say("No receiver answers: one that runs all the same goes on admitting sessions.");
    }
    let until = Instant::now() + Duration::from_secs(args.timeout);
    let left = loop {
        let mut devices = Vec::new();
        for daemon in &mut found {
            let request = DrainDevicesRequest { devices: args.devices.clone() };
            let answer = daemon.client.drain_devices(request).await.map_err(|status| refused(&status))?;
            devices.extend(answer.into_inner().devices);
        }
        let left = sum(&devices);
        view.show(left);
        if left.is_nothing() || Instant::now() >= until {
            break left;
        }
        sleep(LOOK_EVERY).await;
    };
    let done = left.is_nothing() && receives && replicates;
    let end = match (left.is_nothing(), done) {
        (true, true) => format!(
            "Nothing of replication is under way on {names}. Clients are served as before; `ssync resume {}` undoes this.",
            args.devices.join(" ")
        ),
        (true, false) => {
            format!("Of those that answered, none has anything of replication under way on {names}.")
        }
        (false, _) => format!(
            "{} on {names} after {} s. It goes on draining: ask again, or `ssync resume {}`.",
            left.text(),
            args.timeout,
            args.devices.join(" ")
        ),
    };
    view.finish(left, &end);
    Ok(if left.is_nothing() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn sum(devices: &[DrainingDevice]) -> Left {
    Left {
        sessions: devices.iter().map(|device| u64::from(device.sessions)).sum(),
        jobs: devices.iter().map(|device| u64::from(device.jobs)).sum(),
    }
}

/// The receiver refuses all sessions from now on. Only a restart undoes that.
async fn drain_node(args: &DrainArgs) -> anyhow::Result<ExitCode> {
    let found = daemons::find(&args.running, Need::Receiver).await?;
    let mut view = View::new(args.running.json);
    let mut left = Left::default();
    for daemon in found.iter().filter(|daemon| daemon.has_receiver()) {
        let mut client = AdminServiceClient::new(endpoint(&daemon.address)?.connect().await?);
        client.drain(DrainRequest {}).await.map_err(|status| refused(&status))?;
        view.say(&format!(
            "The node at {} drains: it is not ready, and refuses what replicates.",
            daemon.address
        ));
        let until = Instant::now() + Duration::from_secs(args.timeout);
        loop {
            let sessions =
                client.list_sessions(ListSessionsRequest {}).await.map_err(|status| refused(&status))?;
            left = Left { sessions: sessions.into_inner().sessions.len() as u64, jobs: 0 };
            view.show(left);
            if left.is_nothing() || Instant::now() >= until {
                break;
            }
            sleep(LOOK_EVERY).await;
        }
    }
    let end = match left.is_nothing() {
        true => "No session is under way. Only a restart undoes this.".to_owned(),
        false => format!(
            "{} after {} s. It goes on draining; only a restart undoes this.",
            left.text(),
            args.timeout
        ),
    };
    view.finish(left, &end);
    Ok(if left.is_nothing() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A bar on a terminal, else a line for each change, else JSON.
struct View {
    json: bool,
    bar: Option<ProgressBar>,
    last: Option<Left>,
}

impl View {
    fn new(json: bool) -> Self {
        let bar = (!json && stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(LOOK_EVERY);
            match ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        Self { json, bar, last: None }
    }

    fn say(&self, what: &str) {
        match &self.bar {
            _ if self.json => {}
            Some(bar) => bar.println(what),
            None => println!("{what}"),
        }
    }

    fn show(&mut self, left: Left) {
        match &self.bar {
            _ if self.json => {}
            Some(bar) => bar.set_message(left.text()),
            None if self.last == Some(left) || left.is_nothing() => {}
            None => println!("{}", left.text()),
        }
        if self.json && self.last != Some(left) {
            println!("{}", json!({ "done": false, "sessions": left.sessions, "jobs": left.jobs }));
        }
        self.last = Some(left);
    }

    fn finish(&self, left: Left, end: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        match self.json {
            true => println!(
                "{}",
                json!({ "done": true, "complete": left.is_nothing(), "sessions": left.sessions, "jobs": left.jobs })
            ),
            false => println!("{end}"),
        }
    }
}
