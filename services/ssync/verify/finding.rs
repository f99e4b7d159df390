//! What was found: where, against which rule, what it means, and what to do.

use std::path::Path;

use ssync_diskfile::{Flaw, FlawKind};

/// Most findings that are told one by one; what comes beyond is counted.
pub(crate) const TOLD_MAX: usize = 1_000;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// A rule does not hold, or cannot be seen to.
    Wrong,
    /// It is allowed, for a while at least, and worth knowing.
    Notice,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// `S1` to `S6`.
    pub(crate) rule: &'static str,
    pub(crate) path: String,
    /// What it is, and what it means.
    pub(crate) what: String,
    pub(crate) remedy: String,
}

/// Findings, of which so many are kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings {
    pub(crate) told: Vec<Finding>,
    pub(crate) wrong: u64,
    pub(crate) notices: u64,
}

impl Findings {
    pub(crate) fn add(&mut self, finding: Finding) {
        match finding.severity {
            Severity::Wrong => self.wrong += 1,
            Severity::Notice => self.notices += 1,
        }
        // One that is wrong is not kept out by notices.
        if self.told.len() < TOLD_MAX {
            self.told.push(finding);
        } else if finding.severity == Severity::Wrong
            && let Some(notice) = self.told.iter_mut().find(|told| told.severity == Severity::Notice)
        {
            *notice = finding;
        }
    }

    pub(crate) fn append(&mut self, other: Self) {
        let counted = (other.wrong, other.notices);
        let (wrong, notices) = (self.wrong, self.notices);
        other.told.into_iter().for_each(|finding| self.add(finding));
        (self.wrong, self.notices) = (wrong + counted.0, notices + counted.1);
    }
}

impl Finding {
    pub(crate) fn wrong(
        rule: &'static str,
        path: String,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Wrong, rule, path, what: what.into(), remedy: remedy.into() }
    }

    pub(crate) fn notice(
        rule: &'static str,
        path: String,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Notice, ..Self::wrong(rule, path, what, remedy) }
    }

    /// What a flaw of a file means; `device` is the device's directory.
    pub(crate) fn of(flaw: &Flaw, device: &Path) -> Self {
        let path = device.join(&flaw.path).display().to_string();
        match &flaw.kind {
            FlawKind::Stray => Self::wrong(
                "S1",
                path,
                "has a name that the format does not have there: neither Swift nor ssync publishes such a one, so an rsync or a \
                 person left it; it counts for nothing, and keeps its directory from going",
                "see what it is, and remove it",
            ),
            FlawKind::Damaged(how) => Self::wrong(
                "S1",
                path,
                format!("{how}: it got its name before it was whole, or was damaged since"),
                "swift-object-auditor, or any read, sends it to quarantine; then ssync push on a node with a good copy brings it \
                 back (ssync object HASH tells which)",
            ),
            FlawKind::Misplaced => Self::wrong(
                "S3",
                path,
                "is of another partition or suffix: clients do not find it here, and no pass brings it home",
                "after a raise of the partition power: swift-object-relinker; else compare the salt in swift.conf with the cluster's",
            ),
            FlawKind::Unreadable(why) => Self::wrong(
                "S4",
                path,
                format!("cannot be read ({why}): it is not pushed, and its suffix is in sync with nobody"),
                "look at the disk and the kernel's log",
            ),
            FlawKind::Superseded => Self::notice(
                "S5",
                path,
                "is older than what counts of its object, and is still there: whoever put the newer one was ended before it \
                 cleaned up",
                "nothing: the next calculation of the suffix removes it",
            ),
            FlawKind::Reclaimable => Self::notice(
                "S5",
                path,
                "is a tombstone older than reclaim_age",
                "nothing: the next calculation of the suffix removes it",
            ),
            FlawKind::Ahead => Self::wrong(
                "S5",
                path,
                "has a time that is more than an hour ahead of this node's clock: nothing that clients write now wins against it",
                "compare the clocks of this node and of the proxies; then store or delete the object with a later X-Timestamp",
            ),
        }
    }
}
