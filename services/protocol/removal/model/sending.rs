//! A handoff's pass: sessions with its primaries, by gRPC and by SSYNC.

use super::{
    actions::{Action, Ends, Wanted},
    directory::{Names, Standing, Version},
    machine::{local, offer},
    scope::{NODES, OBJECTS, each, has},
    state::{Answer, Listed, Model, Progress, Stage, State},
};
use crate::want;

impl Model {
    pub(super) fn sender_steps(&self, state: &State, job: usize, next: &mut Vec<(Action, State)>) {
        if !state.jobs[job].running {
            return next.extend(self.lock(state, job));
        }
        for peer in each(state.jobs[job].targets) {
            let visit = &state.jobs[job].visits[peer];
            if !visit.begun {
                next.extend(self.open(state, job, peer));
                continue;
            }
            if visit.may_ask_again() {
                next.extend(self.ask_again(state, job, peer));
            }
            for object in 0..OBJECTS {
                match visit.stages[object] {
                    Stage::Check => self.check(state, job, peer, object, next),
                    Stage::Carry { data, metadata } => {
                        self.update(state, job, peer, object, (data, metadata), next);
                    }
                    Stage::Ask => self.confirm(state, job, peer, object, next),
                    Stage::Told(answer) => self.hear(state, job, peer, object, answer, next),
                    Stage::Idle | Stage::Sent | Stage::Over => {}
                }
            }
            if let Some(left) = state.left.breaks.checked_sub(1)
                && visit.stages.iter().any(|stage| !matches!(stage, Stage::Idle | Stage::Over))
            {
                let mut after = *state;
                after.left.breaks = left;
                self.leave_late(&mut after, job, peer);
                after.jobs[job].visits[peer].stages = [Stage::Over; OBJECTS];
                next.push((Action::Break { job, peer }, after));
            }
        }
        self.hear_late(state, job, next);
        if state.jobs[job].is_done() {
            let mut after = *state;
            after.jobs[job].stop();
            next.push((Action::End { job }, after));
        }
    }

    /// The lock comes before the first offer, and the listing is made under it.
    fn lock(&self, state: &State, job: usize) -> Option<(Action, State)> {
        let node = self.scope.senders[job];
        let passes = state.jobs[job].passes.checked_sub(1)?;
        let targets = self.ring(state, node);
        let locked = self.rules.lock && self.is_visited(state, node);
        if locked || has(targets, node) || (targets == 0 && self.rules.needs_targets) {
            return None;
        }
        let mut after = *state;
        let begun = &mut after.jobs[job];
        begun.passes = passes;
        begun.running = true;
        begun.targets = targets;
        let progress = if self.quorum(targets).is_some() { Progress::Offered } else { Progress::Releasable };
        for (object, directory) in after.disks[node].iter().enumerate() {
            if directory.version().is_some() {
                begun.objects[object] =
                    Listed { progress, names: directory.all, inode: directory.inode, ..Listed::default() };
            }
        }
        let any = begun.objects.iter().any(|object| object.progress != Progress::Absent);
        any.then_some((Action::Lock { job }, after))
    }

    fn open(&self, state: &State, job: usize, peer: usize) -> Option<(Action, State)> {
        if self.is_visited(state, peer) || self.releases(state, peer) {
            return None;
        }
        let mut after = *state;
        let begun = &mut after.jobs[job];
        begun.visits[peer].begun = true;
        for (object, listed) in begun.objects.iter().enumerate() {
            if listed.progress == Progress::Offered {
                begun.visits[peer].stages[object] = Stage::Check;
            }
        }
        Some((Action::Open { job, peer }, after))
    }

    fn ask_again(&self, state: &State, job: usize, peer: usize) -> Option<(Action, State)> {
        let mut after = *state;
        let visit = &mut after.jobs[job].visits[peer];
        visit.again = true;
        let next = if self.rules.ask_again { Stage::Ask } else { Stage::Told(Answer::Confirmed) };
        visit.stages.iter_mut().filter(|stage| **stage == Stage::Sent).for_each(|stage| *stage = next);
        let refused = self.is_visited(state, peer) || self.releases(state, peer);
        (!refused || !self.rules.ask_again).then_some((Action::AskAgain { job, peer }, after))
    }

    /// The peer says what it lacks, and that is read at once.
    fn check(&self, state: &State, job: usize, peer: usize, object: usize, next: &mut Vec<(Action, State)>) {
        let node = self.scope.senders[job];
        let listed = state.jobs[job].objects[object];
        let Some(version) = listed.names.version() else { return };
        let by_ssync = has(self.scope.ssync, peer);
        let mut push = |wanted: Wanted, skipped: bool, stage: Stage, after: &State| {
            let mut after = *after;
            after.jobs[job].visits[peer].stages[object] = stage;
            if skipped {
                after.jobs[job].objects[object].skipped |= 1 << peer;
                after.left.unreadable -= 1;
            }
            next.push((Action::Check { job, peer, object, wanted }, after));
        };
        let directory = &state.disks[peer][object];
        let Some(want) = want(&local(directory.all), &offer(object, version, by_ssync)) else {
            let mut after = *state;
            if by_ssync && !has(self.scope.stock, peer) {
                self.find(&mut after, peer, object, version);
            }
            return push(Wanted::Nothing, false, if by_ssync { Stage::Sent } else { Stage::Ask }, &after);
        };
        let here = &state.disks[node][object];
        if (here.all, here.inode) != (listed.names, listed.inode) {
            return push(Wanted::Changed, false, Stage::Told(Answer::Failed), state);
        }
        let (data, metadata) = (want.data, want.metadata);
        push(Wanted::Parts { data, metadata }, false, Stage::Carry { data, metadata }, state);
        if state.left.unreadable > 0 {
            if self.rules.skipped_is_not_synced {
                let mut after = *state;
                after.left.unreadable -= 1;
                push(Wanted::Unreadable, false, Stage::Told(Answer::Failed), &after);
            } else {
                push(Wanted::Unreadable, true, Stage::Told(Answer::Confirmed), state);
            }
        }
    }

    /// What was read arrives at the peer.
    fn update(
        &self,
        state: &State,
        job: usize,
        peer: usize,
        object: usize,
        (data, metadata): (bool, bool),
        next: &mut Vec<(Action, State)>,
    ) {
        let Some(version) = state.jobs[job].objects[object].names.version() else { return };
        let by_ssync = has(self.scope.ssync, peer);
        let mut push = |answer: Answer, asks: bool, after: &State| {
            let (ends, stage) = match answer {
                _ if by_ssync => (Ends::Unsaid, Stage::Sent),
                answer if asks && answer.is_safe() => (Ends::ThenAsks, Stage::Ask),
                answer => (Ends::Answered(answer), Stage::Told(answer)),
            };
            let mut after = *after;
            after.jobs[job].visits[peer].stages[object] = stage;
            next.push((Action::Update { job, peer, object, ends }, after));
        };
        let mut after = *state;
        let mut answer = Answer::Failed;
        let mut covers = true;
        match version {
            Version::Tombstone(_) if data => answer = self.store_version(&mut after, peer, object, version),
            Version::Tombstone(_) => {}
            Version::Data { data: put, metadata: posted } => {
                if data {
                    let body = Version::Data { data: put, metadata: put };
                    answer = self.store_version(&mut after, peer, object, body);
                }
                if metadata && posted > put && (!data || answer.is_safe() || by_ssync) {
                    answer = self.store_post(&mut after, peer, object, posted);
                }
                covers = data && (metadata || posted == put);
            }
        }
        push(self.licensed(state, peer, answer), self.rules.whole_version && !covers, &after);
        if has(self.scope.failing, peer)
            && let Some(left) = state.left.faults.checked_sub(1)
        {
            let mut after = *state;
            after.left.faults = left;
            push(Answer::Failed, false, &after);
        }
    }

    /// A body or a tombstone at a peer: stored, unless something as new stands there.
    fn store_version(&self, state: &mut State, peer: usize, object: usize, version: Version) -> Answer {
        let here = state.disks[peer][object].version();
        if here.is_some_and(|here| here.time() >= version.time())
            && let Some(answer) = self.find(state, peer, object, version)
        {
            return answer;
        }
        let time = 1 << version.time();
        let names = match version {
            Version::Data { .. } => Names { data: time, ..Names::default() },
            Version::Tombstone(_) => Names { tombstone: time, ..Names::default() },
        };
        self.store(state, peer, object, names)
    }

    fn store_post(&self, state: &mut State, peer: usize, object: usize, time: u8) -> Answer {
        let Some(Version::Data { data, metadata: here }) = state.disks[peer][object].version() else {
            return Answer::NotFound;
        };
        if here < time {
            return self.store(state, peer, object, Names { meta: 1 << time, ..Names::default() });
        }
        match self.find(state, peer, object, Version::Data { data, metadata: time }) {
            Some(_) if here == time => Answer::Confirmed,
            Some(_) => Answer::Superseded(here),
            None => Answer::Failed,
        }
    }

    fn store(&self, state: &mut State, peer: usize, object: usize, names: Names) -> Answer {
        let flushes = !has(self.scope.unflushed, peer);
        let directory = &mut state.disks[peer][object];
        directory.add(names, flushes && self.rules.stored_is_flushed);
        directory.clean();
        if flushes { Answer::Applied } else { Answer::AppliedUnflushed }
    }

    /// Looks for a version at a peer, and flushes what is found before it says so.
    fn find(&self, state: &mut State, peer: usize, object: usize, offered: Version) -> Option<Answer> {
        let directory = &mut state.disks[peer][object];
        directory.clean();
        let standing = directory.version().map_or(Standing::Lacking, |own| own.against(offered));
        let answer = match standing {
            Standing::Lacking => return None,
            Standing::Same => Answer::Confirmed,
            Standing::Newer(time) => Answer::Superseded(time),
        };
        if self.rules.confirm_flushes && !has(self.scope.stock, peer) {
            directory.flushed = directory.all;
        }
        Some(answer)
    }

    /// An answer, of which the peer's own ring decides what it may license.
    fn licensed(&self, state: &State, peer: usize, answer: Answer) -> Answer {
        let stored = matches!(answer, Answer::Applied | Answer::AppliedUnflushed);
        let rule = if stored { self.rules.not_primary_stores } else { self.rules.not_primary };
        let stands = !rule || has(self.scope.ssync, peer) || self.is_primary(state, peer);
        if stands || !answer.is_safe() { answer } else { Answer::NotPrimary }
    }

    /// By gRPC a question, by SSYNC the second conversation's offer.
    fn confirm(
        &self,
        state: &State,
        job: usize,
        peer: usize,
        object: usize,
        next: &mut Vec<(Action, State)>,
    ) {
        let Some(version) = state.jobs[job].objects[object].names.version() else { return };
        let mut push = |answer: Answer, after: &State| {
            let mut after = *after;
            after.jobs[job].visits[peer].stages[object] = Stage::Told(answer);
            next.push((Action::Confirm { job, peer, object, answer }, after));
        };
        let mut after = *state;
        let answer = if has(self.scope.ssync, peer) {
            let lacks = want(&local(state.disks[peer][object].all), &offer(object, version, true)).is_some();
            let found = has(self.scope.stock, peer) || self.find(&mut after, peer, object, version).is_some();
            if lacks || !found { Answer::Failed } else { Answer::Confirmed }
        } else {
            let found = self.find(&mut after, peer, object, version).unwrap_or(Answer::NotFound);
            self.licensed(state, peer, found)
        };
        push(answer, &after);
        if has(self.scope.failing, peer)
            && let Some(left) = state.left.faults.checked_sub(1)
        {
            let mut after = *state;
            after.left.faults = left;
            push(Answer::Failed, &after);
        }
    }

    /// An answer reaches the machine.
    fn hear(
        &self,
        state: &State,
        job: usize,
        peer: usize,
        object: usize,
        answer: Answer,
        next: &mut Vec<(Action, State)>,
    ) {
        let mut after = *state;
        let Some(version) = after.jobs[job].objects[object].names.version() else { return };
        self.tell(&mut after, job, peer, object, version, answer);
        if let Some(left) = state.left.duplicates.checked_sub(1) {
            let mut twice = after;
            twice.left.duplicates = left;
            next.push((Action::Hear { job, peer, object, answer, again: true }, twice));
        }
        after.jobs[job].visits[peer].stages[object] = Stage::Over;
        next.push((Action::Hear { job, peer, object, answer, again: false }, after));
    }

    fn hear_late(&self, state: &State, job: usize, next: &mut Vec<(Action, State)>) {
        let Some(late) = state.late.filter(|late| usize::from(late.job) == job) else { return };
        let (peer, object) = (usize::from(late.peer), usize::from(late.object));
        let mut after = *state;
        after.late = None;
        if let Some(version) = late.names.version() {
            self.tell(&mut after, job, peer, object, version, late.answer);
        }
        next.push((Action::HearLate { job, peer, object, answer: late.answer }, after));
    }

    fn tell(
        &self,
        state: &mut State,
        job: usize,
        peer: usize,
        object: usize,
        version: Version,
        answer: Answer,
    ) {
        let targets = state.jobs[job].targets;
        let listed = &mut state.jobs[job].objects[object];
        if listed.progress == Progress::Offered {
            self.judge(listed, object, targets, peer, version, answer);
        }
    }
}

const _: () = assert!(NODES <= 8, "sets of nodes are bytes");
