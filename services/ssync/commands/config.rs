//! `ssync config`: what is set, and by whom.

use std::process::ExitCode;

use ssync_runtime::{Config, Row};

use crate::{
    cli::{ConfigCommand, DaemonArgs},
    commands::daemon,
    exit, node,
    table::{Column, Page, Table},
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
    let columns =
        [Column::text("section"), Column::text("option"), Column::text("value"), Column::text("from")];
    let mut table = Table::new(columns);
    for row in &config.rows {
        table.row([
            row.section.into(),
            row.name.into(),
            row.value.as_str().into(),
            row.origin.to_string().into(),
        ]);
    }
    print!("{}", table.show(Page::stdout()));
}
