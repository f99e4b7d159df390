//! `ssync plan --ring`: what another ring would move.

use std::{path::Path, process::ExitCode, time::Duration};

use anyhow::{Context as _, anyhow, bail, ensure};
use ssync_api::admin::{GetReplicatorStatusRequest, GetReplicatorStatusResponse};
use ssync_ring::{Policy, Ring};

use crate::{
    cli::PlanArgs,
    commands::running::Running,
    exit,
    here::Here,
    moves::{Amounts, Shown, amounts, compare, print, to_json},
    node,
    table::Page,
};

/// How long a running replicator has to tell how fast it is.
const RATE_WAIT_MAX: Duration = Duration::from_secs(3);

/// Compares, counts, prints; exits 0.
pub(crate) async fn run(args: &PlanArgs, new: &Path) -> anyhow::Result<ExitCode> {
    let here = Here::find(&args.running.daemon, None)?;
    let rate = match args.rate {
        Some(rate) => Some((rate, "--rate".to_owned())),
        None => seen_rate(args).await,
    };
    let mut all = Vec::new();
    for (policy, now, ring) in rings(args, &here, new)? {
        all.push(look(args, &here, policy, now, ring, rate.clone()).await?);
    }
    if args.running.json {
        println!("{}", serde_json::Value::Array(all.iter().map(to_json).collect()));
    } else {
        for (number, shown) in all.iter().enumerate() {
            if number > 0 {
                println!();
            }
            print(shown, Page::stdout());
        }
    }
    Ok(exit::OK.into())
}

async fn look(
    args: &PlanArgs,
    here: &Here,
    policy: &Policy,
    now: Ring,
    new: Ring,
    rate: Option<(f64, String)>,
) -> anyhow::Result<Shown> {
    let own = here.own();
    let compared = tokio::task::spawn_blocking(move || compare(&now, &new, |device| own.has(device))).await?;
    let mut moves =
        compared.map_err(|problem| anyhow!("the new ring of policy {}: {problem}", policy.name))?;
    if !args.devices.is_empty() {
        moves.leaving.retain(|name, _| args.devices.iter().any(|wanted| wanted == name.as_str()));
    }
    let amounts = match &here.config {
        Some(config) => {
            let devices = node::local_devices(config, &here.swift);
            let (index, leaving) = (policy.index, moves.leaving.clone());
            tokio::task::spawn_blocking(move || amounts(&devices, index, &leaving)).await?
        }
        None => Amounts::default(),
    };
    Ok(Shown { policy: policy.index, policy_name: policy.name.clone(), moves, amounts, rate })
}

/// The policies of which there is a new ring, with both: a file is of the policy that its name says, or that was named.
fn rings<'a>(args: &PlanArgs, here: &'a Here, new: &Path) -> anyhow::Result<Vec<(&'a Policy, Ring, Ring)>> {
    ensure!(
        args.policies.len() <= 1 || new.is_dir(),
        "a ring file is of one policy: name one, or a folder of rings"
    );
    let file_name = |policy: &Policy| policy.ring_path(Path::new("")).into_os_string();
    let is_wanted = |policy: &Policy| args.policies.is_empty() || args.policies.contains(&policy.index.get());
    let load = |policy: &'a Policy, path: &Path| {
        let now = Ring::load(&policy.ring_path(&here.swift_dir))
            .with_context(|| format!("the present ring of policy {}", policy.name))?;
        Ok::<_, anyhow::Error>((policy, now, Ring::load(path).context("the new ring")?))
    };
    let policies = || here.swift.policies().iter();
    if new.is_dir() {
        let found: Vec<_> = policies()
            .filter(|policy| is_wanted(policy))
            .map(|policy| (policy, policy.ring_path(new)))
            .filter(|(_, path)| path.exists())
            .collect();
        ensure!(
            !found.is_empty(),
            "{} has no ring of any policy of swift.conf that was asked for",
            new.display()
        );
        return found.into_iter().map(|(policy, path)| load(policy, &path)).collect();
    }
    let by_name = policies().find(|policy| new.file_name() == Some(&file_name(policy)));
    let named = policies().find(|policy| args.policies.first() == Some(&policy.index.get()));
    match (named, by_name) {
        (Some(named), Some(other)) if named.index != other.index => {
            bail!(
                "{} is by its name a ring of policy {}, and --policies says {}",
                new.display(),
                other.index,
                named.index
            )
        }
        (None, _) if !args.policies.is_empty() => bail!("swift.conf has no policy {:?}", args.policies),
        (Some(policy), _) | (None, Some(policy)) => Ok(vec![load(policy, new)?]),
        (None, None) => {
            bail!("{} does not say by its name of which policy it is: give --policies", new.display())
        }
    }
}

/// What a running replicator pushes, by what it has pushed lately.
async fn seen_rate(args: &PlanArgs) -> Option<(f64, String)> {
    let ask = async {
        let mut running = Running::find(&args.running).await.ok()??;
        let status = running.client.get_replicator_status(GetReplicatorStatusRequest {}).await.ok()?;
        rate_of(&status.into_inner()).map(|rate| (rate, "as the replicator has pushed lately".to_owned()))
    };
    tokio::time::timeout(RATE_WAIT_MAX, ask).await.ok()?
}

/// While it pushed: what it did between two passes tells nothing.
fn rate_of(status: &GetReplicatorStatusResponse) -> Option<f64> {
    let busy: Vec<u64> =
        status.samples.iter().map(|sample| sample.bytes).filter(|bytes| *bytes > 0).collect();
    let seconds = busy.len() as f64 * f64::from(status.sample_seconds);
    (seconds > 0.0).then(|| busy.iter().sum::<u64>() as f64 / seconds)
}

/// `100MiB`, `1.5GB/s`, `5000`: bytes a second.
pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    let bad = || format!("{text:?} is no rate; it is a number of bytes a second, as 50MiB or 1.5GB");
    let text = text.trim().trim_end_matches("/s");
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().map_err(|_| bad())?;
    let factor = match unit.trim().to_ascii_lowercase().trim_end_matches('b') {
        "" => 1.0,
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        "ki" => 1024.0,
        "mi" => 1024.0 * 1024.0,
        "gi" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(bad()),
    };
    let rate = number * factor;
    if rate.is_finite() && rate > 0.0 { Ok(rate) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use ssync_api::admin::Sample;

    use super::*;

    #[test]
    fn rates_have_units() {
        assert_eq!(parse_rate("5000"), Ok(5000.0));
        assert_eq!(parse_rate("1.5GB/s"), Ok(1.5e9));
        assert_eq!(parse_rate("2 MiB"), Ok(2_097_152.0));
        for bad in ["", "MiB", "0", "-1", "1x", "1e9"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn idle_time_does_not_count_for_the_rate() {
        let sample = |bytes| Sample { bytes, ..Sample::default() };
        let status = GetReplicatorStatusResponse {
            samples: vec![sample(0), sample(100), sample(300), sample(0)],
            sample_seconds: 10,
            ..GetReplicatorStatusResponse::default()
        };
        assert_eq!(rate_of(&status), Some(20.0));
        assert_eq!(rate_of(&GetReplicatorStatusResponse::default()), None);
    }
}
