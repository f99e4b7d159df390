//! `ssync limits`: how many at a time, and for how long; and another value for a while.

use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use ssync_api::admin::{ControlledLimit, LimitSetting, SetLimitsRequest};

use crate::{
    cli::{LimitsAction, LimitsArgs},
    commands::{
        daemons::{self, Daemon, Need},
        running::refused,
    },
    figures::count,
    table::{Cell, Column, Page, Table, Tone},
};

/// Shows limits, or sets some.
pub(crate) async fn run(args: &LimitsArgs) -> anyhow::Result<ExitCode> {
    let found = daemons::find(&args.running, Need::Any).await?;
    match args.action {
        Some(LimitsAction::Set) => set(args, found).await,
        Some(LimitsAction::Get) | None => get(args, &found),
    }
}

fn get(args: &LimitsArgs, found: &[Daemon]) -> anyhow::Result<ExitCode> {
    let all: Vec<&ControlledLimit> = found.iter().flat_map(|daemon| &daemon.limits).collect();
    if let Some(stranger) = args.names.iter().find(|name| all.iter().all(|limit| limit.name != **name)) {
        bail!("{stranger} is no limit of those that answered, which have: {}", names(&all));
    }
    let is_meant = |limit: &ControlledLimit| args.names.is_empty() || args.names.contains(&limit.name);
    let meant: Vec<&ControlledLimit> = all.into_iter().filter(|limit| is_meant(limit)).collect();
    show(args, &meant);
    Ok(ExitCode::SUCCESS)
}

fn names(limits: &[&ControlledLimit]) -> String {
    limits.iter().map(|limit| limit.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Each daemon is told of its own. Names are looked at before anybody is told anything.
async fn set(args: &LimitsArgs, found: Vec<Daemon>) -> anyhow::Result<ExitCode> {
    ensure!(!args.names.is_empty(), "name what to set: ssync limits set replication_concurrency=8");
    let settings = args.names.iter().map(|text| setting(text)).collect::<anyhow::Result<Vec<_>>>()?;
    let all: Vec<&ControlledLimit> = found.iter().flat_map(|daemon| &daemon.limits).collect();
    if let Some(stranger) = settings.iter().find(|setting| all.iter().all(|limit| limit.name != setting.name))
    {
        let settable: Vec<&ControlledLimit> = all.iter().copied().filter(|limit| limit.settable).collect();
        bail!("{} is no limit of those that answered; these can be set: {}", stranger.name, names(&settable));
    }
    for setting in &settings {
        // Before any of several daemons is told.
        let outside = |limit: &&&ControlledLimit| {
            limit.name == setting.name && !(limit.least..=limit.most).contains(&setting.value)
        };
        if let Some(limit) = all.iter().find(outside).filter(|limit| limit.settable) {
            bail!("{} = {}: it has to be from {} to {}", limit.name, setting.value, limit.least, limit.most);
        }
    }
    let mut limits = Vec::new();
    for mut daemon in found {
        let is_its = |setting: &&LimitSetting| daemon.limits.iter().any(|limit| limit.name == setting.name);
        let settings: Vec<LimitSetting> = settings.iter().filter(is_its).cloned().collect();
        if !settings.is_empty() {
            let answer = daemon.client.set_limits(SetLimitsRequest { settings }).await;
            limits.extend(answer.map_err(|status| refused(&status))?.into_inner().limits);
        }
    }
    show(args, &limits.iter().collect::<Vec<_>>());
    if !args.running.json {
        println!("In force from now on, until a restart or a reload of the configuration.");
    }
    Ok(ExitCode::SUCCESS)
}

fn setting(text: &str) -> anyhow::Result<LimitSetting> {
    let (name, value) = text.split_once('=').with_context(|| format!("{text:?} has no =: NAME=VALUE"))?;
    let value = value.trim().parse().with_context(|| format!("{text:?}: the value has to be a number"))?;
    Ok(LimitSetting { name: name.trim().to_owned(), value })
}

fn show(args: &LimitsArgs, limits: &[&ControlledLimit]) {
    if args.running.json {
        limits.iter().for_each(|limit| println!("{}", to_json(limit)));
    } else {
        print!("{}", text(limits, Page::stdout()));
    }
}

fn text(limits: &[&ControlledLimit], page: Page) -> String {
    let mut table = Table::new([
        Column::text("limit"),
        Column::number("in force"),
        Column::number("configured"),
        Column::number("used"),
        Column::text("of what"),
        Column::text("may be set"),
    ]);
    for limit in limits {
        let value = |value: u64| match value {
            0 if !limit.zero.is_empty() => limit.zero.clone(),
            value => count(value),
        };
        let tone = if limit.value == limit.configured { Tone::Plain } else { Tone::Doubtful };
        let settable = match limit.settable {
            true => format!("{} to {}", limit.least, count(limit.most)),
            false => "no".to_owned(),
        };
        table.row([
            limit.name.as_str().into(),
            Cell::toned(value(limit.value), tone),
            value(limit.configured).into(),
            limit.used.map(count).unwrap_or_default().into(),
            limit.unit.as_str().into(),
            settable.into(),
        ]);
    }
    let mut text = table.show(page);
    for limit in limits.iter().filter(|limit| !limit.note.is_empty()) {
        text.push_str(&format!("* {}: {}\n", limit.name, limit.note));
    }
    text
}

fn to_json(limit: &ControlledLimit) -> Value {
    json!({
        "name": limit.name, "part": limit.part, "value": limit.value, "configured": limit.configured,
        "used": limit.used, "unit": limit.unit, "settable": limit.settable, "least": limit.least,
        "most": limit.most, "zero": limit.zero, "note": limit.note,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_a_name_and_a_number() {
        let good = setting("replication_concurrency=8").unwrap();
        assert_eq!((good.name.as_str(), good.value), ("replication_concurrency", 8));
        for bad in ["replication_concurrency", "concurrency=many", "concurrency=-1", "concurrency="] {
            assert!(setting(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_zero_means_and_what_has_no_effect_is_told() {
        let limit = ControlledLimit {
            name: "session_time_max".to_owned(),
            configured: 1800,
            zero: "no limit".to_owned(),
            note: "it is so".to_owned(),
            ..ControlledLimit::default()
        };
        let text = text(&[&limit], Page::PLAIN);
        assert!(text.contains("no limit") && text.contains("1,800"), "{text}");
        assert!(text.ends_with("* session_time_max: it is so\n"), "{text}");
    }
}
