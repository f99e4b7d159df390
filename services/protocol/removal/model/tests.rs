//! What holds, and what does not without any one rule.

use super::{
    rules::Rules,
    scope::{Budget, H1, H2, NODES, P1, P2, P3, PRIMARIES, Scope, delete, post, put},
    search::{Searched, search},
    state::{Model, Violation},
};

/// Under the shipped rules nothing is wrong in any state, though things are removed.
fn holds(name: &str, scope: Scope) {
    holds_under(name, scope, Rules::SHIPPED);
}

/// Under these rules nothing is wrong.
fn holds_under(name: &str, scope: Scope, rules: Rules) {
    let removable = scope.rings != [0; NODES];
    let searched = search(&Model { scope, rules });
    let Searched { states, removed, found } = searched;
    if let Some(found) = found {
        panic!("{name}: after {states} states:\n{}", found.trace.join("\n"));
    }
    println!("{name}: {states} states, {removed} after a removal, and nothing is wrong in any");
    assert_eq!(removed > 0, removable, "{name}");
}

/// The scope is sound under all rules, and is not without one of them.
fn breaks(name: &str, scope: Scope, without: impl Fn(&mut Rules), expected: fn(&Violation) -> bool) {
    holds(name, scope.clone());
    is_lost(name, scope, without, expected);
}

/// Without a rule the search finds what is wrong. (That all is well with the rule is another test's.)
fn is_lost(name: &str, scope: Scope, without: impl Fn(&mut Rules), expected: fn(&Violation) -> bool) {
    let mut rules = Rules::SHIPPED;
    without(&mut rules);
    let searched = search(&Model { scope, rules });
    let found =
        searched.found.unwrap_or_else(|| panic!("{name}: nothing wrong in {} states", searched.states));
    let trace = found.trace.join("\n  ");
    println!("without {name}, after {} states:\n  {trace}\n", searched.states);
    assert!(expected(&found.violation), "{name}: {trace}");
}

fn lost(violation: &Violation) -> bool {
    matches!(violation, Violation::Lost { .. } | Violation::LastCopy { .. })
}

fn not_at_primaries(violation: &Violation) -> bool {
    matches!(violation, Violation::NotAtPrimaries { .. })
}

const ON_H1: u8 = 1 << H1;
const ON_H2: u8 = 1 << H2;

/// Clients write to the handoff and to primaries while it lets go.
fn clients() -> Scope {
    Scope {
        ops: vec![
            put(0, 1, 0).before(ON_H1),
            put(0, 2, ON_H1 | 1 << P1),
            post(0, 3, ON_H1 | 1 << P2),
            delete(0, 4, ON_H1 | 1 << P3),
        ],
        ..Scope::quiet()
    }
}

/// Programs are killed, power is cut, sessions break, and an rsync writes what a client wrote.
fn accidents() -> Scope {
    Scope {
        ops: vec![put(0, 1, 0).before(ON_H1), put(0, 2, ON_H1)],
        budget: Budget {
            passes: 2,
            kills: 1,
            power_cuts: 1,
            breaks: 1,
            rsyncs: 1,
            duplicates: 1,
            ..Budget::default()
        },
        rsync_to: ON_H1 | 1 << P1,
        ..Scope::quiet()
    }
}

/// Two handoffs with different versions.
fn two_handoffs() -> Scope {
    Scope {
        senders: &[H1, H2],
        ops: vec![put(0, 1, 0).before(ON_H1), put(0, 2, ON_H1).before(ON_H2), delete(0, 3, ON_H2 | 1 << P1)],
        ..Scope::quiet()
    }
}

/// Each of two nodes is a primary by the other's ring and none by its own.
fn rings() -> Scope {
    let each_other = [PRIMARIES, PRIMARIES, PRIMARIES, 1 << P1 | ON_H2, 1 << P1 | ON_H1];
    Scope {
        senders: &[H1, H2],
        rings: each_other,
        next_rings: each_other,
        handoff_delete: Some(1),
        ops: vec![put(0, 1, 0).before(ON_H1 | ON_H2)],
        budget: Budget { passes: 2, breaks: 1, ..Budget::default() },
        ..Scope::quiet()
    }
}

/// The same, by SSYNC, which has no words for who is a primary.
fn rings_by_ssync() -> Scope {
    Scope { ssync: ON_H1 | ON_H2, ..rings() }
}

/// One node is to be drained by stock's replicator with rsync, to one that counts on it.
fn rsync_revert() -> Scope {
    Scope {
        senders: &[H1],
        rsync_revert: Some(H2),
        durable: false,
        budget: Budget { passes: 1, ..Budget::default() },
        ..rings()
    }
}

/// A primary's disk fails, or is replaced by an empty one.
fn failing_disk() -> Scope {
    Scope {
        handoff_delete: Some(2),
        failing: 1 << P1,
        budget: Budget { passes: 2, faults: 1, wipes: 1, breaks: 1, ..Budget::default() },
        ops: vec![put(0, 1, 0).before(ON_H1), post(0, 2, ON_H1)],
        ..Scope::quiet()
    }
}

/// The primaries run stock Swift, and fail to store an object now and then, without a word.
fn stock_primaries() -> Scope {
    Scope {
        ssync: PRIMARIES,
        stock: PRIMARIES,
        failing: PRIMARIES,
        budget: Budget { passes: 1, faults: 1, breaks: 1, ..Budget::default() },
        ops: vec![put(0, 1, 0).before(ON_H1), put(0, 2, ON_H1 | 1 << P1)],
        ..Scope::quiet()
    }
}

/// Two objects of one pass.
fn two_objects() -> Scope {
    Scope {
        ops: vec![put(0, 1, 0).before(ON_H1), put(1, 1, 0).before(ON_H1), put(1, 2, ON_H1)],
        handoff_delete: Some(1),
        budget: Budget { passes: 1, breaks: 1, ..Budget::default() },
        rings: [0b00011; NODES],
        next_rings: [0b00011; NODES],
        ..Scope::quiet()
    }
}

/// Two handoffs, three primaries, clients, and a node that is killed.
fn two_handoffs_and_a_kill() -> Scope {
    Scope { budget: Budget { passes: 1, kills: 1, ..Budget::default() }, ..two_handoffs() }
}

/// The same, and an rsync of the same name in place of the kill.
fn two_handoffs_and_an_rsync() -> Scope {
    let budget = Budget { passes: 1, rsyncs: 1, ..Budget::default() };
    Scope { budget, rsync_to: ON_H2, ..two_handoffs() }
}

/// Clients as before, while programs are killed, power is cut and sessions break, and the handoff tries again.
fn clients_and_accidents() -> Scope {
    Scope { budget: Budget { passes: 2, power_cuts: 1, breaks: 1, ..Budget::default() }, ..clients() }
}

#[test]
#[ignore = "long: run tests/run --full"]
fn two_handoffs_and_a_kill_lose_nothing() {
    holds("two handoffs and a kill", two_handoffs_and_a_kill());
}

#[test]
#[ignore = "long: run tests/run --full"]
fn two_handoffs_and_an_rsync_lose_nothing() {
    holds("two handoffs and an rsync", two_handoffs_and_an_rsync());
}

#[test]
#[ignore = "long: run tests/run --full"]
fn clients_and_accidents_lose_nothing() {
    holds("clients and accidents", clients_and_accidents());
}

/// One primary is stock Swift's, one is reached by SSYNC; a disk of theirs fails.
#[test]
#[ignore = "long: run tests/run --full"]
fn a_mixed_cluster_loses_nothing() {
    let budget = Budget { passes: 1, breaks: 1, faults: 1, ..Budget::default() };
    let scope =
        Scope { ssync: 1 << P1 | 1 << P2, stock: 1 << P1, failing: 1 << P1 | 1 << P3, budget, ..clients() };
    holds("a mixed cluster", scope);
}

#[test]
fn what_clients_write_meanwhile_is_kept() {
    holds("clients", clients());
}

#[test]
fn accidents_lose_nothing() {
    holds("accidents", accidents());
}

#[test]
fn two_handoffs_lose_nothing() {
    holds("two handoffs", two_handoffs());
}

#[test]
fn a_failing_disk_loses_nothing() {
    holds("a failing disk", failing_disk());
}

#[test]
fn two_objects_do_not_depend_on_each_other() {
    holds("two objects", two_objects());
}

#[test]
fn every_primary_must_answer() {
    breaks("every_primary", Scope::quiet(), |rules| rules.every_primary = false, not_at_primaries);
}

#[test]
fn a_primary_counts_once() {
    let budget = Budget { passes: 1, duplicates: 2, ..Budget::default() };
    let scope = Scope { budget, ..Scope::quiet() };
    breaks("once_each", scope, |rules| rules.once_each = false, not_at_primaries);
}

/// Two fences stand one behind the other: that answers belong to their session, and that they are for a version.
#[test]
fn an_answer_is_for_the_version_that_was_listed() {
    let scope = || Scope {
        budget: Budget { passes: 2, breaks: 1, ..Budget::default() },
        ops: vec![put(0, 1, 0).before(ON_H1), put(0, 2, ON_H1)],
        ..Scope::quiet()
    };
    holds("same_version", scope());
    holds_under("same_version alone", scope(), Rules { same_session: false, ..Rules::SHIPPED });
    let without = |rules: &mut Rules| (rules.same_session, rules.same_version) = (false, false);
    breaks("same_version and same_session", scope(), without, not_at_primaries);
}

#[test]
fn an_answer_is_of_the_session_that_asked() {
    is_lost("same_session", rings_by_ssync(), |rules| rules.same_session = false, lost);
}

/// An rsync has left a body unflushed; the peer wants only the metadata, and stores and flushes these.
#[test]
fn who_wanted_a_part_is_asked_about_the_whole() {
    let scope = Scope {
        ops: vec![put(0, 1, 0).before(ON_H1), post(0, 2, 0).before(ON_H1)],
        budget: Budget { passes: 1, rsyncs: 1, ..Budget::default() },
        rsync_to: 1 << P1,
        ..Scope::quiet()
    };
    breaks("whole_version", scope, |rules| rules.whole_version = false, not_at_primaries);
}

/// By SSYNC the two locks are all that there is.
#[test]
fn the_lock_is_held_until_after_the_removal() {
    is_lost("lock", rings_by_ssync(), |rules| rules.lock = false, lost);
}

#[test]
fn the_directory_must_hold_exactly_what_was_listed() {
    is_lost("exact_listing", clients(), |rules| rules.exact_listing = false, |_| true);
}

#[test]
fn nothing_is_published_during_a_removal() {
    is_lost("exclusive", clients(), |rules| rules.exclusive = false, |_| true);
}

#[test]
fn a_post_needs_its_body_when_it_is_published() {
    is_lost("post_needs_body", clients(), |rules| rules.post_needs_body = false, lost);
}

#[test]
fn a_stock_peer_is_asked_again() {
    breaks("ask_again", stock_primaries(), |rules| rules.ask_again = false, not_at_primaries);
}

#[test]
fn what_has_become_a_primary_keeps_everything() {
    let mut next_rings = [PRIMARIES; NODES];
    next_rings[H1] = PRIMARIES & !(1 << P3) | ON_H1;
    let budget = Budget { passes: 2, rings: 1, breaks: 1, ..Budget::default() };
    let scope = Scope { next_rings, budget, ..Scope::quiet() };
    let primary = |violation: &Violation| matches!(violation, Violation::Primary { .. });
    breaks("ring_at_removal", scope, |rules| rules.ring_at_removal = false, primary);
}

#[test]
fn what_is_answered_as_stored_is_flushed() {
    breaks("stored_is_flushed", Scope::quiet(), |rules| rules.stored_is_flushed = false, lost);
}

#[test]
fn a_peer_that_does_not_flush_answers_for_nothing() {
    let scope = Scope { unflushed: 1 << P1, handoff_delete: Some(2), ..Scope::quiet() };
    breaks("unflushed_is_none", scope, |rules| rules.unflushed_is_none = false, not_at_primaries);
}

#[test]
fn what_is_answered_as_found_is_flushed_first() {
    let budget = Budget { passes: 1, rsyncs: 1, power_cuts: 1, ..Budget::default() };
    let scope = Scope { budget, handoff_delete: Some(1), rsync_to: 1 << P1, ..Scope::quiet() };
    breaks("confirm_flushes", scope, |rules| rules.confirm_flushes = false, lost);
}

#[test]
fn without_targets_nothing_goes() {
    let scope = Scope { rings: [0; NODES], next_rings: [0; NODES], ..Scope::quiet() };
    let nobody = |violation: &Violation| matches!(violation, Violation::NoTargets { .. });
    breaks("needs_targets", scope, |rules| rules.needs_targets = false, nobody);
}

#[test]
fn what_was_skipped_is_not_in_sync() {
    let budget = Budget { passes: 2, unreadable: 1, ..Budget::default() };
    let scope = Scope { budget, ..Scope::quiet() };
    let skipped = |violation: &Violation| matches!(violation, Violation::Skipped { .. });
    breaks("skipped_is_not_synced", scope, |rules| rules.skipped_is_not_synced = false, skipped);
}

/// Between nodes of ours the locks hold S6 alone; towards a device that something else drains, only the answer does.
#[test]
fn no_primary_confirms_nothing() {
    holds("rings", rings());
    holds("rings by SSYNC", rings_by_ssync());
    holds_under(
        "rings, the locks alone",
        rings(),
        Rules { not_primary: false, not_primary_stores: false, ..Rules::SHIPPED },
    );
    holds_under("rings, the answers alone", rings(), Rules { lock: false, ..Rules::SHIPPED });
    breaks("not_primary", rsync_revert(), |rules| rules.not_primary = false, lost);
}

#[test]
fn no_primary_does_not_answer_for_what_it_stored_either() {
    let scope = Scope { ops: vec![put(0, 1, 0).before(ON_H1)], ..rsync_revert() };
    breaks("not_primary_stores", scope, |rules| rules.not_primary_stores = false, lost);
}
