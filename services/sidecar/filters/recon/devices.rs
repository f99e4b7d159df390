//! What the store says of the devices, as swift-recon reads it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use ssync_types::{DeviceSurvey, EntryState, SurveyedEntry, Usage};

use super::ReconConfig;

/// All names in the folder of devices, those that are no devices too.
pub(super) fn names(config: &ReconConfig, survey: Result<DeviceSurvey, String>) -> Value {
    let folder = config.devices.to_string_lossy().into_owned();
    let names = match survey {
        Ok(survey) => survey.entries.into_iter().map(|entry| Value::String(entry.name)).collect(),
        Err(problem) => {
            tracing::error!(folder, problem, "recon cannot list the devices");
            Value::Null
        }
    };
    Map::from_iter([(folder, names)]).into()
}

/// All that the node has mounted.
pub(super) fn mounted(survey: &DeviceSurvey) -> Value {
    let mount = |mount: &ssync_types::MountPoint| json!({"device": mount.device, "path": mount.path});
    survey.mounts.iter().map(mount).collect()
}

/// Devices that are not mounted, or that do not answer.
pub(super) fn unmounted(survey: &DeviceSurvey) -> Value {
    let unmounted = |entry: &SurveyedEntry| match &entry.state {
        EntryState::NoDirectory | EntryState::Mounted(_) => None,
        EntryState::Unmounted => Some(json!({"device": entry.name, "mounted": false})),
        EntryState::Unknown(problem) => Some(json!({"device": entry.name, "mounted": problem})),
    };
    survey.entries.iter().filter_map(unmounted).collect()
}

/// The space of each device.
pub(super) fn usage(survey: &DeviceSurvey) -> Value {
    let unknown = |entry: &SurveyedEntry, mounted: Value| json!({"device": entry.name, "mounted": mounted, "size": "", "used": "", "avail": ""});
    let usage = |entry: &SurveyedEntry| match &entry.state {
        EntryState::NoDirectory => None,
        EntryState::Unmounted => Some(unknown(entry, false.into())),
        EntryState::Unknown(problem) => Some(unknown(entry, problem.as_str().into())),
        EntryState::Mounted(Usage { size, used, available }) => Some(
            json!({"device": entry.name, "mounted": true, "size": size, "used": used, "avail": available}),
        ),
    };
    survey.entries.iter().filter_map(usage).collect()
}

/// How much is in quarantine, of each kind and of each policy.
pub(super) fn quarantined(survey: &DeviceSurvey) -> Value {
    let (mut objects, mut containers, mut accounts) = (0, 0, 0);
    let mut policies: BTreeMap<&str, u64> = BTreeMap::new();
    for found in survey.entries.iter().flat_map(|entry| &entry.quarantined) {
        match found.kind.split_once('-') {
            _ if found.kind == "containers" => containers += found.count,
            _ if found.kind == "accounts" => accounts += found.count,
            Some(("objects", policy)) => *policies.entry(policy).or_default() += found.count,
            None if found.kind == "objects" => *policies.entry("0").or_default() += found.count,
            // No daemon puts anything there.
            _ => continue,
        }
        if found.kind.starts_with("objects") {
            objects += found.count;
        }
    }
    let policies: Map<String, Value> =
        policies.into_iter().map(|(policy, count)| (policy.to_owned(), json!({"objects": count}))).collect();
    json!({"objects": objects, "containers": containers, "accounts": accounts, "policies": policies})
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
        assert_eq!(
            quarantined(&survey()),
            json!({"objects": 7, "containers": 3, "accounts": 5,
                   "policies": {"0": {"objects": 1}, "2": {"objects": 6}}})
        );
        assert_eq!(
            unmounted(&survey()),
            json!([{"device": "sdb", "mounted": false}, {"device": "sdc", "mounted": "no answer"}])
        );
        let usage = usage(&survey());
        assert_eq!(usage[0], json!({"device": "sda", "mounted": true, "size": 10, "used": 4, "avail": 6}));
        assert_eq!(usage[1], json!({"device": "sdb", "mounted": false, "size": "", "used": "", "avail": ""}));
        assert_eq!(usage.as_array().unwrap().len(), 3);
    }
}
