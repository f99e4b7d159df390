//! `ssync top`: the status, again and again.

use std::{process::ExitCode, time::Duration};

use console::Term;
use ssync_api::admin::{GetReplicatorStatusResponse, Sample};

use crate::{
    cli::TopArgs,
    commands::{
        seen::Seeing,
        status::{json, text},
    },
    figures::{count, rate},
    signals::Interruption,
    table::Page,
};

/// Steps of a chart line.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Columns of a chart line, where there is room.
const CHART_MAX: usize = 60;

/// Shows it until it is interrupted, or so many times.
pub(crate) async fn run(args: &TopArgs) -> anyhow::Result<ExitCode> {
    let mut seeing = Seeing::find(&args.running).await?;
    let mut interruption = Interruption::catch()?;
    let terminal = Term::stdout();
    let every = Duration::from_secs_f64(args.interval);
    let mut left = args.count;
    while left != Some(0) {
        let report = seeing.report().await?;
        if args.running.json {
            println!("{}", json::status(&report));
        } else {
            let page = Page::stdout();
            let chart = report.replicates.as_ref().map(chart).unwrap_or_default();
            // All at once, over what stood there: nothing flickers.
            if terminal.is_term() {
                terminal.clear_screen()?;
            }
            print!("{chart}{}", text(&report, page));
        }
        left = left.map(|left| left.saturating_sub(1));
        // After the last look nothing is waited for, an interruption neither.
        if left == Some(0) {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = interruption.came() => break,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What was pushed in the last minutes, as a line of bars.
fn chart(status: &GetReplicatorStatusResponse) -> String {
    let shown = &status.samples[status.samples.len().saturating_sub(CHART_MAX)..];
    let Some(last) = shown.last() else { return String::new() };
    let seconds = f64::from(status.sample_seconds.max(1));
    format!(
        "{} {} objects/s, {}\n",
        bars(shown),
        count((last.objects as f64 / seconds) as u64),
        rate(last.bytes as f64 / seconds)
    )
}

fn bars(samples: &[Sample]) -> String {
    let most = samples.iter().map(|sample| sample.objects).max().unwrap_or(0).max(1);
    samples
        .iter()
        .map(|sample| match sample.objects {
            0 => ' ',
            objects => BARS[((objects * BARS.len() as u64).div_ceil(most) as usize - 1).min(BARS.len() - 1)],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_high_as_what_was_pushed() {
        let samples = [0, 1, 50, 100].map(|objects| Sample { objects, bytes: 0 });
        assert_eq!(bars(&samples), " ▁▄█");
        assert_eq!(bars(&[]), "");
        let status = GetReplicatorStatusResponse {
            samples: vec![Sample { objects: 5000, bytes: 10 << 20 }],
            sample_seconds: 5,
            ..GetReplicatorStatusResponse::default()
        };
        assert_eq!(chart(&status), "█ 1,000 objects/s, 2.0 MiB/s\n");
    }
}
