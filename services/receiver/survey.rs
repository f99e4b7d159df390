//! How the node's devices are, as operators ask.

use std::{io, sync::Arc, time::Duration};

use ssync_store::StoreResult;
use ssync_types::{DeviceName, DeviceSurvey, EntryState, Reason, Refusal, SurveyedEntry};

use crate::core::Core;

/// How long a device may take to say how it is: swift-recon waits five seconds for the answer about all of them.
const DEVICE_WAIT_MAX: Duration = Duration::from_secs(2);

/// Looks at every name in the folder of devices, at all at once.
pub(crate) async fn survey(core: &Arc<Core>) -> StoreResult<DeviceSurvey> {
    let disk = core.devices.shared_disk();
    // The folder above the devices does not hang when one of them does.
    let listed = tokio::task::spawn_blocking(move || -> io::Result<_> {
        Ok((
            disk.entries(DeviceSurvey::ENTRIES_MAX)?,
            disk.mounts(DeviceSurvey::MOUNTS_MAX).unwrap_or_default(),
        ))
    });
    let (names, mounts) = match listed.await {
        Ok(Ok(listed)) => listed,
        Ok(Err(error)) => return Err(unlisted(core, &error.to_string())),
        Err(error) => return Err(unlisted(core, &error.to_string())),
    };
    let entries = names.into_iter().map(|name| entry(core, name));
    Ok(DeviceSurvey { entries: futures_util::future::join_all(entries).await, mounts })
}

fn unlisted(core: &Core, problem: &str) -> Refusal {
    let devices = core.devices.disk().config().devices.display().to_string();
    Refusal::new(Reason::ObjectIo, format!("{devices} cannot be listed ({problem}); check `devices`"))
}

/// One name. What cannot be that of a device is none (Swift: common/constraints.py check_drive).
async fn entry(core: &Arc<Core>, name: String) -> SurveyedEntry {
    let is = |state| SurveyedEntry { name: name.clone(), state, quarantined: Vec::new() };
    let Ok(device) = name.parse::<DeviceName>() else { return is(EntryState::Unmounted) };
    match tokio::time::timeout(DEVICE_WAIT_MAX, core.devices.survey(&device)).await {
        Ok(Ok(found)) => found,
        Ok(Err(refusal)) => is(EntryState::Unknown(refusal.message)),
        Err(_) => is(EntryState::Unknown(format!("no answer in {DEVICE_WAIT_MAX:?}; is the disk dying?"))),
    }
}
