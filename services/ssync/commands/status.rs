//! `ssync status`: whether this node is in sync; and if not, what is pending, until when, and what it waits for.

pub(crate) mod json;
mod text;

use std::process::ExitCode;

use crate::{cli::StatusArgs, commands::seen::Seeing, table::Page};

pub(crate) use text::{held_up, name, percent, text};

/// Asks and prints.
pub(crate) async fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let report = Seeing::find(&args.running).await?.report().await?;
    if args.running.json {
        println!("{}", json::status(&report));
    } else {
        print!("{}", text(&report, Page::stdout()));
    }
    Ok(ExitCode::SUCCESS)
}
