//! `ssync why-slow`: where the workers' time went in the last minutes, and what to do about the most of it.

use std::{process::ExitCode, time::Duration};

use serde_json::json;
use ssync_api::admin::{GetTimeSpentResponse, TimeShare};

use crate::{
    cli::WhySlowArgs,
    commands::{
        seen::Seeing,
        status::{held_up, json, name, percent},
    },
    figures::time,
    table::{Column, Page, Table},
};

/// Rows of the table.
const ROWS_MAX: usize = 15;
/// Columns of a bar that stands for all of the time.
const BAR: f64 = 30.0;

/// Asks and prints.
pub(crate) async fn run(args: &WhySlowArgs) -> anyhow::Result<ExitCode> {
    let mut seeing = Seeing::find(&args.running).await?;
    let spent = seeing.time_spent().await?;
    let status = seeing.report().await?.replicates.unwrap_or_default();
    if args.running.json {
        let all: Vec<_> = spent.shares.iter().map(json::share).collect();
        let most: Vec<_> = status.held_up_by.iter().map(json::share).collect();
        println!("{}", json!({"seconds": spent.seconds, "held_up_by": most, "shares": all}));
    } else {
        print!("{}", text(&spent, &status.held_up_by, Page::stdout()));
    }
    Ok(ExitCode::SUCCESS)
}

fn text(spent: &GetTimeSpentResponse, most: &[TimeShare], page: Page) -> String {
    if spent.shares.is_empty() {
        return "Nothing was done in the last minutes: no pass was under way.\n".to_owned();
    }
    let mut text: String = most.iter().map(held_up).collect();
    if most.is_empty() {
        text.push_str("Nothing holds the workers up: most of the time there was nothing left to begin.\n");
    }
    let mut table = Table::new([
        Column::number("of the time"),
        Column::text("went to"),
        Column::text("device here"),
        Column::text(""),
    ]);
    for share in spent.shares.iter().take(ROWS_MAX) {
        table.row([
            percent(share.share).into(),
            name(share).into(),
            share.device.clone().into(),
            "█".repeat((share.share * BAR).ceil() as usize).into(),
        ]);
    }
    let looked_at = time(Duration::from_secs(spent.seconds));
    text.push_str(&format!("\nWhere the workers' time went in the last {looked_at}:\n{}", table.show(page)));
    match spent.shares.len().saturating_sub(ROWS_MAX) {
        0 => text,
        more => format!("{text}{more} more take less; --json has them.\n"),
    }
}

#[cfg(test)]
mod tests {
    use ssync_api::admin::TimeSpender;

    use super::*;

    #[test]
    fn the_most_comes_first_with_what_to_do() {
        let share = |spender: TimeSpender, part: f64| TimeShare {
            spender: spender.into(),
            peer: "10.0.0.2:6200/sdb1".to_owned(),
            device: "sdc1".to_owned(),
            share: part,
            advice: "do something".to_owned(),
            ..TimeShare::default()
        };
        let shares = vec![share(TimeSpender::Window, 0.7), share(TimeSpender::Reading, 0.3)];
        let spent = GetTimeSpentResponse { seconds: 75, shares: shares.clone() };
        let told = text(&spent, &shares[..1], Page::PLAIN);
        assert!(told.starts_with("Held up 70 % by window at 10.0.0.2:6200/sdb1: do something.\n"), "{told}");
        assert!(
            told.contains("in the last 1 min 15 s") && told.contains("30 %") && told.contains("sdc1"),
            "{told}"
        );
        let nothing = text(&GetTimeSpentResponse::default(), &[], Page::PLAIN);
        assert!(nothing.starts_with("Nothing was done"), "{nothing}");
    }
}
