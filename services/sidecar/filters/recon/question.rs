//! The table of what can be asked.

use std::io;

use ssync_types::DeviceSurvey;

use super::{
    cache::File,
    devices::{mounted, quarantined, unmounted, usage},
    host,
};
use crate::python_json::Json;

/// Keys of a replicator's last pass.
const REPLICATION: &[&str] = &["replication_time", "replication_stats", "replication_last"];

/// What is asked, and where the answer comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    /// Of the computer.
    Host(fn() -> io::Result<Json>),
    /// Of what daemons have left.
    Cache(File, &'static [&'static str]),
    /// Of the devices.
    Devices(fn(&DeviceSurvey) -> Json),
    DeviceNames,
    Rings,
    SwiftConf,
    Version,
}

/// What `/recon/CHECK/KIND` asks; `None` for what nobody knows.
pub(super) fn question(check: &[u8], kind: Option<&[u8]>) -> Option<Asked> {
    use File::{Account, Container, Drive, Object, Relinker};
    let is = |wanted: &[u8]| kind == Some(wanted);
    let (account, container, object) = (is(b"account"), is(b"container"), is(b"object"));
    Some(match check {
        b"mem" => Asked::Host(host::memory),
        b"load" => Asked::Host(host::load),
        b"sockstat" => Asked::Host(host::sockets),
        b"time" => Asked::Host(host::time),
        b"async" => Asked::Cache(Object, &["async_pending", "async_pending_last"]),
        b"replication" if account => Asked::Cache(Account, REPLICATION),
        b"replication" if container => Asked::Cache(Container, REPLICATION),
        b"replication" if object || kind.is_none() => Asked::Cache(
            Object,
            &[
                "replication_time",
                "replication_stats",
                "replication_last",
                "object_replication_time",
                "object_replication_last",
            ],
        ),
        b"devices" => Asked::DeviceNames,
        b"updater" if container => Asked::Cache(Container, &["container_updater_sweep"]),
        b"updater" if object => {
            Asked::Cache(Object, &["object_updater_sweep", "object_updater_stats", "object_updater_last"])
        }
        b"auditor" if account => Asked::Cache(
            Account,
            &[
                "account_audits_passed",
                "account_auditor_pass_completed",
                "account_audits_since",
                "account_audits_failed",
            ],
        ),
        b"auditor" if container => Asked::Cache(
            Container,
            &[
                "container_audits_passed",
                "container_auditor_pass_completed",
                "container_audits_since",
                "container_audits_failed",
            ],
        ),
        b"auditor" if object => {
            Asked::Cache(Object, &["object_auditor_stats_ALL", "object_auditor_stats_ZBF"])
        }
        b"expirer" if object => Asked::Cache(Object, &["object_expiration_pass", "expired_last_pass"]),
        b"mounted" => Asked::Devices(mounted),
        b"unmounted" => Asked::Devices(unmounted),
        b"diskusage" => Asked::Devices(usage),
        b"quarantined" => Asked::Devices(quarantined),
        b"ringmd5" => Asked::Rings,
        b"swiftconfmd5" => Asked::SwiftConf,
        b"version" => Asked::Version,
        b"driveaudit" => Asked::Cache(Drive, &["drive_audit_errors"]),
        b"sharding" => Asked::Cache(Container, &["sharding_stats", "sharding_time", "sharding_last"]),
        b"relinker" => Asked::Cache(Relinker, &["devices", "workers"]),
        b"reconstruction" if object => {
            Asked::Cache(Object, &["object_reconstruction_last", "object_reconstruction_time"])
        }
        _ => return None,
    })
}
