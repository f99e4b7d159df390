//! A stock replicator with `sync_method = rsync` on a node's device: it heeds no lock but its own, and asks nobody.

use super::{
    actions::Action,
    scope::{Nodes, OBJECTS, each, has},
    state::{Model, RsyncRevert, State},
};
use crate::removal::Quorum;

impl Model {
    pub(super) fn stock_steps(&self, state: &State, next: &mut Vec<(Action, State)>) {
        let Some(node) = self.scope.rsync_revert else { return };
        let targets = self.ring(state, node);
        let mut after = *state;
        match state.rsync_revert {
            RsyncRevert::NotYet if !self.is_visited(state, node) => {
                after.rsync_revert = RsyncRevert::Copied(0);
                next.push((Action::RsyncLock { node }, after));
            }
            RsyncRevert::Copied(to) if self.quorum(targets).is_some_and(|quorum| enough(to, quorum)) => {
                after.rsync_revert = RsyncRevert::Over;
                after.disks[node] = Default::default();
                next.push((Action::RsyncRemove { node }, after));
            }
            RsyncRevert::Copied(to) => {
                // (Which are down, and in which order it goes: any.)
                for peer in each(targets).filter(|&peer| !has(to, peer)) {
                    let mut after = *state;
                    after.rsync_revert = RsyncRevert::Copied(to | 1 << peer);
                    for object in 0..OBJECTS {
                        let names = state.disks[node][object].all;
                        after.disks[peer][object].add(names, false);
                    }
                    next.push((Action::RsyncCopy { node, to: peer }, after));
                }
            }
            RsyncRevert::NotYet | RsyncRevert::Over => {}
        }
    }
}

fn enough(to: Nodes, quorum: Quorum) -> bool {
    to.count_ones() as usize >= quorum.needed()
}
