//! The rules that can be taken out, one switch each.

/// `true` is as shipped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// S2: every required primary must answer.
    pub(super) every_primary: bool,
    /// S2: a primary counts once, however often its answer comes.
    pub(super) once_each: bool,
    /// S2: an answer counts for the version that was listed.
    pub(super) same_version: bool,
    /// S2: an answer counts in the session that asked.
    pub(super) same_session: bool,
    /// S2: where a peer wanted a part only, it is asked about the whole.
    pub(super) whole_version: bool,
    /// S2: the lock is held from before the first offer until after the removal.
    pub(super) lock: bool,
    /// S2: the directory must hold exactly what was listed.
    pub(super) exact_listing: bool,
    /// S2: nothing is published between that look and the removal.
    pub(super) exclusive: bool,
    /// S2: a POST looks for the body again when it is published.
    pub(super) post_needs_body: bool,
    /// S2: of a stock peer only a second, checking conversation is believed.
    pub(super) ask_again: bool,
    /// S2: what is a primary by now keeps everything.
    pub(super) ring_at_removal: bool,
    /// S1: what is answered as stored is flushed.
    pub(super) stored_is_flushed: bool,
    /// S1: a peer that does not flush says so, and that is no answer.
    pub(super) unflushed_is_none: bool,
    /// S1: what is answered as found is flushed first.
    pub(super) confirm_flushes: bool,
    /// S3: without targets nothing goes.
    pub(super) needs_targets: bool,
    /// S4: what the sender skipped is not in sync.
    pub(super) skipped_is_not_synced: bool,
    /// S6: who is no primary by its own ring confirms nothing.
    pub(super) not_primary: bool,
    /// S6: and what it stored only now counts for nothing either.
    pub(super) not_primary_stores: bool,
}

impl Rules {
    pub(super) const SHIPPED: Self = Self {
        every_primary: true,
        once_each: true,
        same_version: true,
        same_session: true,
        whole_version: true,
        lock: true,
        exact_listing: true,
        exclusive: true,
        post_needs_body: true,
        ask_again: true,
        ring_at_removal: true,
        stored_is_flushed: true,
        unflushed_is_none: true,
        confirm_flushes: true,
        needs_targets: true,
        skipped_is_not_synced: true,
        not_primary: true,
        not_primary_stores: true,
    };
}
