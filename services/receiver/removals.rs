//! Where an object went: what the handoffs among a node's devices have let go of.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use ssync_types::{DeviceName, ObjectHash, ObjectPath, Refusal, Removal};

use crate::core::Core;

/// Devices whose logs are read at a time.
const DEVICES_AT_A_TIME: usize = 4;
/// How long a device may take to read its log.
const READ_WAIT_MAX: Duration = Duration::from_secs(60);

/// What a node's devices have let go of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removals {
    /// Newest first.
    pub found: Vec<Removal>,
    /// Devices that could not say, and why.
    pub unread: Vec<(DeviceName, String)>,
}

/// The hash of a name in this cluster.
pub(crate) fn hash(core: &Core, path: &ObjectPath) -> ObjectHash {
    core.devices.disk().hash_path().hash(path)
}

/// Asks every device.
pub(crate) async fn find(core: &Arc<Core>, hash: ObjectHash) -> Removals {
    let names = core.devices.names().await;
    let asked = names.into_iter().map(|name| async move {
        let read = tokio::time::timeout(READ_WAIT_MAX, read(core, &name, hash)).await;
        let read = read.map_err(|_| format!("no answer in {READ_WAIT_MAX:?}; is the disk dying?"));
        (name, read.and_then(|read| read.map_err(|refusal| refusal.message)))
    });
    let mut removals = Removals { found: Vec::new(), unread: Vec::new() };
    let mut answers = stream::iter(asked).buffered(DEVICES_AT_A_TIME);
    while let Some((name, answer)) = answers.next().await {
        match answer {
            Ok(found) => removals.found.extend(found),
            Err(problem) => removals.unread.push((name, problem)),
        }
    }
    removals.found.sort_by(|a, b| (b.at, &a.device).cmp(&(a.at, &b.device)));
    removals
}

async fn read(core: &Core, name: &DeviceName, hash: ObjectHash) -> Result<Vec<Removal>, Refusal> {
    core.devices.open(name).await?.run_long(move |device| device.removals_of(&hash)).await
}
