//! The storage policies of the cluster, as far as requests need to know them.

use std::collections::BTreeMap;

use ssync_types::PolicyIndex;

/// How a policy keeps objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind {
    /// Whole copies.
    Replication,
    /// Fragments.
    ErasureCoding,
}

/// The policies of swift.conf.
#[derive(Debug, Clone, Default)]
pub struct Policies(BTreeMap<PolicyIndex, PolicyKind>);

impl Policies {
    /// Whether there is a policy of this index, and of what kind.
    #[must_use]
    pub fn kind(&self, index: PolicyIndex) -> Option<PolicyKind> {
        self.0.get(&index).copied()
    }
}

impl FromIterator<(PolicyIndex, PolicyKind)> for Policies {
    fn from_iter<I: IntoIterator<Item = (PolicyIndex, PolicyKind)>>(policies: I) -> Self {
        Self(policies.into_iter().collect())
    }
}
