//! What the store says of the devices, as swift-recon reads it.

use serde_json::Value;
use ssync_types::{DeviceSurvey, EntryState, MountPoint, SurveyedEntry, Usage};

use super::ReconConfig;
use crate::python_json::Json;

/// All names in the folder of devices, those that are no devices too.
pub(super) fn names(config: &ReconConfig, survey: Result<DeviceSurvey, String>) -> Json {
    let folder = config.devices.to_string_lossy().into_owned();
    let names = match survey {
        Ok(survey) => survey.entries.into_iter().map(|entry| Json::of(entry.name)).collect(),
        Err(problem) => {
            tracing::error!(folder, problem, "recon cannot list the devices");
            Json::Value(Value::Null)
        }
    };
    Json::from_iter([(folder, names)])
}

/// All that the node has mounted.
pub(super) fn mounted(survey: &DeviceSurvey) -> Json {
    let mount = |mount: &MountPoint| {
        Json::map([("device", Json::of(mount.device.as_str())), ("path", Json::of(mount.path.as_str()))])
    };
    survey.mounts.iter().map(mount).collect()
}

/// Devices that are not mounted, or that do not answer.
pub(super) fn unmounted(survey: &DeviceSurvey) -> Json {
    let shown = |entry: &SurveyedEntry, mounted: Value| {
        Json::map([("device", Json::of(entry.name.as_str())), ("mounted", Json::Value(mounted))])
    };
    let unmounted = |entry: &SurveyedEntry| match &entry.state {
        EntryState::NoDirectory | EntryState::Mounted(_) => None,
        EntryState::Unmounted => Some(shown(entry, false.into())),
        EntryState::Unknown(problem) => Some(shown(entry, problem.as_str().into())),
    };
    survey.entries.iter().filter_map(unmounted).collect()
}

/// The space of each device.
pub(super) fn usage(survey: &DeviceSurvey) -> Json {
    let shown = |entry: &SurveyedEntry, mounted: Value, [size, used, available]: [Value; 3]| {
        Json::map([
            ("device", Json::of(entry.name.as_str())),
            ("mounted", Json::Value(mounted)),
            ("size", Json::Value(size)),
            ("used", Json::Value(used)),
            ("avail", Json::Value(available)),
        ])
    };
    let unknown = || ["", "", ""].map(Value::from);
    let usage = |entry: &SurveyedEntry| match &entry.state {
        EntryState::NoDirectory => None,
        EntryState::Unmounted => Some(shown(entry, false.into(), unknown())),
        EntryState::Unknown(problem) => Some(shown(entry, problem.as_str().into(), unknown())),
        EntryState::Mounted(Usage { size, used, available }) => {
            Some(shown(entry, true.into(), [*size, *used, *available].map(Value::from)))
        }
    };
    survey.entries.iter().filter_map(usage).collect()
}

/// How much is in quarantine, of each kind and of each policy.
pub(super) fn quarantined(survey: &DeviceSurvey) -> Json {
    let (mut objects, mut containers, mut accounts) = (0_u64, 0_u64, 0_u64);
    // In the order in which they are found.
    let mut policies: Vec<(&str, u64)> = Vec::new();
    for found in survey.entries.iter().flat_map(|entry| &entry.quarantined) {
        let policy = match found.kind.split_once('-') {
            None if found.kind == "objects" => "0",
            Some(("objects", policy)) => policy,
            _ => {
                match found.kind.as_str() {
                    "containers" => containers += found.count,
                    "accounts" => accounts += found.count,
                    // No daemon puts anything else there.
                    _ => {}
                }
                continue;
            }
        };
        objects += found.count;
        match policies.iter_mut().find(|(known, _)| *known == policy) {
            Some((_, count)) => *count += found.count,
            None => policies.push((policy, found.count)),
        }
    }
    let policy =
        |(policy, count): (&str, u64)| (policy.to_owned(), Json::map([("objects", Json::of(count))]));
    Json::map([
        ("objects", Json::of(objects)),
        ("containers", Json::of(containers)),
        ("accounts", Json::of(accounts)),
        ("policies", policies.into_iter().map(policy).collect()),
    ])
}

#[cfg(test)]
mod tests {
    use ssync_types::Quarantined;

    use super::*;

    fn survey() -> DeviceSurvey {
        let entry = |name: &str, state, quarantined: &[(&str, u64)]| SurveyedEntry {
            name: name.to_owned(),
            state,
            quarantined: quarantined
                .iter()
                .map(|&(kind, count)| Quarantined { kind: kind.to_owned(), count })
                .collect(),
        };
        let mounted = EntryState::Mounted(Usage { size: 10, used: 4, available: 6 });
        let entries = vec![
            entry("sda", mounted, &[("objects", 1), ("objects-2", 2), ("containers", 3), ("lost", 9)]),
            entry("sdb", EntryState::Unmounted, &[("objects-2", 4), ("accounts", 5)]),
            entry("sdc", EntryState::Unknown("no answer".to_owned()), &[]),
            entry("notes", EntryState::NoDirectory, &[]),
        ];
        DeviceSurvey { entries, mounts: Vec::new() }
    }

    #[test]
    fn says_what_swift_recon_reads() {
        let text = |json: Json| String::from_utf8(json.python()).unwrap();
        assert_eq!(
            text(quarantined(&survey())),
            r#"{"objects": 7, "containers": 3, "accounts": 5, "policies": {"0": {"objects": 1}, "2": {"objects": 6}}}"#
        );
        assert_eq!(
            text(unmounted(&survey())),
            r#"[{"device": "sdb", "mounted": false}, {"device": "sdc", "mounted": "no answer"}]"#
        );
        assert_eq!(
            text(usage(&survey())),
            concat!(
                r#"[{"device": "sda", "mounted": true, "size": 10, "used": 4, "avail": 6}, "#,
                r#"{"device": "sdb", "mounted": false, "size": "", "used": "", "avail": ""}, "#,
                r#"{"device": "sdc", "mounted": "no answer", "size": "", "used": "", "avail": ""}]"#
            )
        );
    }
}
