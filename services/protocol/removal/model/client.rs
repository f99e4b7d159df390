//! What clients, other programs and accidents do to a node.

use super::{
    actions::Action,
    directory::{Names, Version},
    scope::{Kind, NODES, each, has},
    state::{Directory, Late, Model, Stage, State},
};

impl Model {
    /// Requests arrive, and what is under way is published.
    pub(super) fn client_steps(&self, state: &State, next: &mut Vec<(Action, State)>) {
        for (number, op) in self.scope.ops.iter().enumerate() {
            if let Some(node) = state.under_way[number].checked_sub(1) {
                next.push(self.publish_post(state, number, usize::from(node)));
                continue;
            }
            for node in each(op.nodes & !state.arrived[number]) {
                let mut after = *state;
                after.arrived[number] |= 1 << node;
                let directory = &mut after.disks[node][op.object];
                let takes = match (op.kind, directory.version()) {
                    (Kind::Post, Some(Version::Data { metadata, .. })) => op.time > metadata,
                    (Kind::Post, _) => false,
                    (Kind::Delete, Some(Version::Data { data, metadata })) => op.time > data.max(metadata),
                    (_, here) => here.is_none_or(|here| op.time > here.time()),
                };
                let action = match op.kind {
                    _ if !takes => Action::Refuse { op: number, node },
                    Kind::Post => {
                        after.under_way[number] = node as u8 + 1;
                        Action::LookBeforePost { op: number, node }
                    }
                    Kind::Put | Kind::Delete => {
                        directory.add(op.names(), true);
                        directory.clean();
                        after.acknowledged[number] |= 1 << node;
                        Action::Acknowledge { op: number, node }
                    }
                };
                next.push((action, after));
            }
        }
    }

    /// The second half of a POST. Whether there is still a body is looked at where nobody removes one.
    fn publish_post(&self, state: &State, number: usize, node: usize) -> (Action, State) {
        let (mut after, op) = (*state, &self.scope.ops[number]);
        after.under_way[number] = 0;
        let directory = &mut after.disks[node][op.object];
        let has_body = matches!(directory.version(), Some(Version::Data { .. }));
        if !has_body && self.rules.post_needs_body {
            return (Action::Refuse { op: number, node }, after);
        }
        directory.add(op.names(), true);
        directory.clean();
        after.acknowledged[number] |= 1 << node;
        (Action::Acknowledge { op: number, node }, after)
    }

    pub(super) fn accidents(&self, state: &State, next: &mut Vec<(Action, State)>) {
        for node in (0..NODES).filter(|&node| self.is_there(node)) {
            if let Some(left) = state.left.kills.checked_sub(1) {
                let mut after = *state;
                after.left.kills = left;
                self.kill(&mut after, node);
                next.push((Action::Kill { node }, after));
            }
            if let Some(left) = state.left.power_cuts.checked_sub(1) {
                let mut after = *state;
                after.left.power_cuts = left;
                self.kill(&mut after, node);
                after.disks[node].iter_mut().for_each(|directory| directory.all = directory.flushed);
                next.push((Action::CutPower { node }, after));
            }
            if let Some(left) = state.left.rings.checked_sub(1)
                && !has(state.new_ring, node)
                && self.scope.rings[node] != self.scope.next_rings[node]
            {
                let mut after = *state;
                after.left.rings = left;
                after.new_ring |= 1 << node;
                next.push((Action::NewRing { node }, after));
            }
        }
        self.disk_accidents(state, next);
    }

    fn disk_accidents(&self, state: &State, next: &mut Vec<(Action, State)>) {
        if let Some(left) = state.left.wipes.checked_sub(1) {
            for node in each(self.scope.failing) {
                let mut after = *state;
                after.left.wipes = left;
                after.wiped |= 1 << node;
                self.kill(&mut after, node);
                after.disks[node] = Default::default();
                next.push((Action::Wipe { node }, after));
            }
        }
        let Some(left) = state.left.rsyncs.checked_sub(1) else { return };
        for (number, op) in self.scope.ops.iter().enumerate().filter(|(op, _)| state.acknowledged[*op] != 0) {
            for node in each(self.scope.rsync_to) {
                let mut after = *state;
                after.left.rsyncs = left;
                if rsync(&mut after.disks[node][op.object], op.names(), self.scope.senders.contains(&node)) {
                    next.push((Action::Rsync { op: number, node }, after));
                }
            }
        }
    }

    /// Whether a node takes any part in the scope.
    fn is_there(&self, node: usize) -> bool {
        self.scope.senders.contains(&node)
            || self.scope.senders.iter().any(|&sender| has(self.scope.rings[sender], node))
    }

    /// Programs of a node end: what they held in memory, sessions and locks.
    fn kill(&self, state: &mut State, node: usize) {
        for number in 0..self.scope.ops.len() {
            if state.under_way[number] == node as u8 + 1 {
                state.under_way[number] = 0;
            }
        }
        for job in 0..self.scope.senders.len() {
            if self.scope.senders[job] == node {
                for peer in 0..NODES {
                    self.leave_late(state, job, peer);
                }
                state.jobs[job].stop();
            }
            let visit = &mut state.jobs[job].visits[node];
            // What was answered may still be heard.
            for stage in &mut visit.stages {
                if !matches!(stage, Stage::Told(_) | Stage::Idle) {
                    *stage = Stage::Over;
                }
            }
        }
    }

    /// Without the rule that an answer belongs to its session, one that was on its way may come later.
    pub(super) fn leave_late(&self, state: &mut State, job: usize, peer: usize) {
        if self.rules.same_session || state.late.is_some() {
            return;
        }
        for (object, stage) in state.jobs[job].visits[peer].stages.iter().enumerate() {
            if let Stage::Told(answer) = *stage {
                let names = state.jobs[job].objects[object].names;
                let [job, peer, object] = [job, peer, object].map(|number| number as u8);
                state.late = Some(Late { job, peer, object, names, answer });
                return;
            }
        }
    }
}

/// Writes a file as rsync does, which leaves a name alone that is there. At a handoff it may have looked before: then another
/// file takes the name. (At a primary that is left out: what a power cut makes of a flushed name that rsync replaces is
/// nothing that this program could prevent.) Says whether anything came of it.
fn rsync(directory: &mut Directory, names: Names, may_replace: bool) -> bool {
    if directory.all.both(names).is_empty() {
        directory.add(names, false);
        return true;
    }
    directory.inode += 1;
    may_replace
}
