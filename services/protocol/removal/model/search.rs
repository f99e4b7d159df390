//! Every state that can be reached, nearest first.

use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, Hash as _, Hasher},
};

use super::{
    actions::{Shown, Told, Wrong},
    state::{Model, State, Violation},
};

/// Beyond so many states a scope is too large to be what was meant.
const STATES_MAX: usize = 60_000_000;

/// What a search came to.
#[derive(Debug)]
pub(super) struct Searched {
    pub(super) states: usize,
    /// Of these, in how many a handoff has removed something.
    pub(super) removed: usize,
    pub(super) found: Option<Counterexample>,
}

/// A shortest way to something that must not be.
#[derive(Debug)]
pub(super) struct Counterexample {
    pub(super) violation: Violation,
    /// One line for each step.
    pub(super) trace: Vec<String>,
}

/// How a state was reached first: from which one, by which of its steps.
#[derive(Debug, Clone, Copy)]
struct Origin {
    from: u32,
    step: u16,
}

/// States are told apart by 64 bits of hash: of ten million, two are taken for one with a chance of 1 in 370,000.
pub(super) fn search(model: &Model) -> Searched {
    let begin = model.begin();
    let mut seen = HashSet::<u64, BuildHasherDefault<Mixer>>::default();
    let mut origins = vec![Origin { from: 0, step: 0 }];
    let (mut level, mut after) = (vec![(0_u32, begin)], Vec::new());
    let (mut next, mut removed) = (Vec::new(), 0);
    seen.insert(fingerprint(&begin));
    while !level.is_empty() {
        for (number, state) in level.drain(..) {
            if let Some(violation) = model.violation(&state) {
                let found = Counterexample { violation, trace: retrace(model, &origins, number, violation) };
                return Searched { states: origins.len(), removed, found: Some(found) };
            }
            removed += usize::from(state.removed.iter().any(|nodes| *nodes != 0));
            model.successors(&state, &mut next);
            for (step, (_, reached)) in next.drain(..).enumerate() {
                if seen.insert(fingerprint(&reached)) {
                    assert!(origins.len() < STATES_MAX, "the scope is too large");
                    after.push((origins.len() as u32, reached));
                    origins.push(Origin { from: number, step: step as u16 });
                }
            }
        }
        std::mem::swap(&mut level, &mut after);
    }
    Searched { states: origins.len(), removed, found: None }
}

fn fingerprint(state: &State) -> u64 {
    let mut mixer = Mixer::default();
    state.hash(&mut mixer);
    mixer.finish()
}

/// Hashes a state of some hundred bytes, field by field, several times as quickly as the hasher of the standard library.
#[derive(Debug, Default)]
struct Mixer(u64);

impl Mixer {
    fn mix(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        self.0 = mixed ^ (mixed >> 29);
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        let mixed = self.0.wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.mix(u64::from(byte));
    }

    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.mix(word as u64);
    }
}

/// Walks the way again, and writes it down.
fn retrace(model: &Model, origins: &[Origin], last: u32, violation: Violation) -> Vec<String> {
    let mut steps = Vec::new();
    let mut at = last;
    while at != 0 {
        let origin = origins[at as usize];
        steps.push(origin.step);
        at = origin.from;
    }
    let (mut state, mut next) = (model.begin(), Vec::new());
    let mut trace = vec![format!("at first:{}", Shown(&model.scope, &state))];
    for step in steps.into_iter().rev() {
        model.successors(&state, &mut next);
        let (action, reached) = next[usize::from(step)];
        let moved = if reached.disks == state.disks {
            String::new()
        } else {
            format!("  |{}", Shown(&model.scope, &reached))
        };
        trace.push(format!("{}{moved}", Told(&model.scope, action)));
        state = reached;
    }
    trace.push(Wrong(&model.scope, violation).to_string());
    trace
}
