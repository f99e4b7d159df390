//! `ssync config`: what is set, and by whom.

use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};
use ssync_runtime::{Config, Row};

use crate::{
    cli::{ConfigCommand, DaemonArgs},
    commands::daemon,
    exit, node,
};

/// Prints the configuration, or a sample of one, or says whether it can be used.
pub(crate) fn run(command: &ConfigCommand) -> anyhow::Result<ExitCode> {
    match command {
        ConfigCommand::Sample => print!("{}", ssync_runtime::sample()),
        ConfigCommand::Show(args) => {
            let config = daemon::config(&args.daemon)?;
            print(&config, args.json);
            warn(&config);
        }
        ConfigCommand::Check(args) => check(args)?,
    }
    Ok(exit::OK.into())
}

/// All that a daemon reads before it serves.
fn check(args: &DaemonArgs) -> anyhow::Result<()> {
    let config = daemon::config(args)?;
    warn(&config);
    node::check(&config)
}

fn warn(config: &Config) {
    for warning in &config.warnings {
        eprintln!("ssync: {warning}");
    }
}

fn print(config: &Config, as_json: bool) {
    if as_json {
        println!("{}", serde_json::Value::Array(config.rows.iter().map(Row::to_json).collect()));
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["section", "option", "value", "from"]);
    for row in &config.rows {
        table.add_row([row.section, row.name, &row.value, &row.origin.to_string()]);
    }
    println!("{table}");
}
