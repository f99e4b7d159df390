//! How a node's devices are.

use ssync_types::{DeviceSurvey, EntryState, Invalid, MountPoint, Quarantined, SurveyedEntry, Usage};

use super::{
    QUARANTINED_MAX, SURVEY_ENTRIES_MAX, SURVEY_MOUNTS_MAX, SURVEY_NAME_BYTES_MAX, at_most, required,
};
use crate::v1::{self, surveyed_entry::State};

/// Longest device or place of a mount.
const MOUNT_BYTES_MAX: usize = 4096;

impl From<DeviceSurvey> for v1::SurveyDevicesResponse {
    fn from(survey: DeviceSurvey) -> Self {
        Self {
            entries: survey.entries.into_iter().map(Into::into).collect(),
            mounts: survey.mounts.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::SurveyDevicesResponse> for DeviceSurvey {
    type Error = Invalid;

    fn try_from(response: v1::SurveyDevicesResponse) -> Result<Self, Invalid> {
        at_most(response.entries.len(), SURVEY_ENTRIES_MAX, "entries")?;
        at_most(response.mounts.len(), SURVEY_MOUNTS_MAX, "mounts")?;
        let within = |invalid: Invalid| invalid.within("entries");
        Ok(Self {
            entries: response
                .entries
                .into_iter()
                .map(|entry| entry.try_into().map_err(within))
                .collect::<Result<_, _>>()?,
            mounts: response
                .mounts
                .into_iter()
                .map(|mount| mount.try_into().map_err(|invalid: Invalid| invalid.within("mounts")))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl From<SurveyedEntry> for v1::SurveyedEntry {
    fn from(entry: SurveyedEntry) -> Self {
        let state = match entry.state {
            EntryState::NoDirectory => State::NoDirectory(v1::NoDirectory {}),
            EntryState::Unmounted => State::Unmounted(v1::Unmounted {}),
            EntryState::Unknown(problem) => State::Unknown(problem),
            EntryState::Mounted(Usage { size, used, available }) => {
                State::Mounted(v1::Usage { size, used, available })
            }
        };
        let quarantined = entry.quarantined.into_iter();
        Self {
            name: entry.name,
            state: Some(state),
            quarantined: quarantined
                .map(|Quarantined { kind, count }| v1::Quarantined { kind, count })
                .collect(),
        }
    }
}

impl TryFrom<v1::SurveyedEntry> for SurveyedEntry {
    type Error = Invalid;

    fn try_from(entry: v1::SurveyedEntry) -> Result<Self, Invalid> {
        at_most(entry.name.len(), SURVEY_NAME_BYTES_MAX, "name")?;
        at_most(entry.quarantined.len(), QUARANTINED_MAX, "quarantined")?;
        for quarantined in &entry.quarantined {
            at_most(quarantined.kind.len(), SURVEY_NAME_BYTES_MAX, "quarantined.kind")?;
        }
        let state = match required(entry.state, "state")? {
            State::NoDirectory(_) => EntryState::NoDirectory,
            State::Unmounted(_) => EntryState::Unmounted,
            State::Unknown(problem) => EntryState::Unknown(super::text(problem, "unknown")?),
            State::Mounted(v1::Usage { size, used, available }) => {
                EntryState::Mounted(Usage { size, used, available })
            }
        };
        let quarantined = entry.quarantined.into_iter();
        Ok(Self {
            name: entry.name,
            state,
            quarantined: quarantined
                .map(|v1::Quarantined { kind, count }| Quarantined { kind, count })
                .collect(),
        })
    }
}

impl From<MountPoint> for v1::MountPoint {
    fn from(MountPoint { device, path }: MountPoint) -> Self {
        Self { device, path }
    }
}

impl TryFrom<v1::MountPoint> for MountPoint {
    type Error = Invalid;

    fn try_from(v1::MountPoint { device, path }: v1::MountPoint) -> Result<Self, Invalid> {
        at_most(device.len(), MOUNT_BYTES_MAX, "device")?;
        at_most(path.len(), MOUNT_BYTES_MAX, "path")?;
        Ok(Self { device, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey() -> DeviceSurvey {
        let entry =
            |name: &str, state| SurveyedEntry { name: name.to_owned(), state, quarantined: Vec::new() };
        let usage = Usage { size: 10, used: 4, available: 5 };
        let mounted = SurveyedEntry {
            quarantined: vec![Quarantined { kind: "objects-1".to_owned(), count: 3 }],
            ..entry("sdb1", EntryState::Mounted(usage))
        };
        DeviceSurvey {
            entries: vec![
                mounted,
                entry("sdb2", EntryState::Unmounted),
                entry("notes", EntryState::NoDirectory),
                entry("sdb3", EntryState::Unknown("no answer".to_owned())),
            ],
            mounts: vec![MountPoint { device: "/dev/sdb1".to_owned(), path: "/srv/node/sdb1".to_owned() }],
        }
    }

    #[test]
    fn comes_back_as_it_was() {
        let message = v1::SurveyDevicesResponse::from(survey());
        assert_eq!(DeviceSurvey::try_from(message), Ok(survey()));
    }

    #[test]
    fn refuses_what_is_not_of_its_form() {
        let refused = |change: fn(&mut v1::SurveyDevicesResponse)| {
            let mut message = v1::SurveyDevicesResponse::from(survey());
            change(&mut message);
            DeviceSurvey::try_from(message).unwrap_err().field
        };
        assert_eq!(refused(|message| message.entries[1].state = None), "entries.state");
        assert_eq!(refused(|message| message.entries[1].name = "x".repeat(2000)), "entries.name");
        assert_eq!(refused(|message| message.mounts[0].path = "x".repeat(5000)), "mounts.path");
        assert_eq!(
            refused(|message| message.entries[0].quarantined[0].kind = "x".repeat(2000)),
            "entries.quarantined.kind"
        );
        assert_eq!(refused(|message| message.entries = vec![message.entries[1].clone(); 1025]), "entries");
    }
}
