//! A file's bytes and attributes: as programs see them, as the platter has them, and what is on its way between the two.

use std::{collections::BTreeMap, sync::Arc};

use super::random::Random;

type Attributes = BTreeMap<String, Vec<u8>>;

/// One change that is not flushed.
#[derive(Debug, Clone)]
enum Change {
    Truncate,
    Write { offset: usize, bytes: Vec<u8> },
}

/// A file's contents. Clones share what neither changes.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    bytes: Arc<Vec<u8>>,
    attributes: Arc<Attributes>,
    flushed_bytes: Arc<Vec<u8>>,
    flushed_attributes: Arc<Attributes>,
    pending: Vec<Change>,
    pending_attributes: Vec<(String, Vec<u8>)>,
    /// Blocks that were taken for it beforehand.
    allocated: usize,
    /// What a flush failed to write. Linux takes it for clean: only a later write to the file brings it to the platter.
    lost: Vec<Change>,
}

const BLOCK: usize = 4096;

/// What of the changes on their way a power cut lets through.
#[derive(Debug, Clone, Copy)]
enum Survivors {
    Nothing,
    Prefix,
    /// The size, but not all of the bytes.
    Zeros,
    Everything,
}

impl Contents {
    pub(super) fn flushed(bytes: Vec<u8>, attributes: Attributes) -> Self {
        let (bytes, attributes) = (Arc::new(bytes), Arc::new(attributes));
        Self {
            flushed_bytes: Arc::clone(&bytes),
            flushed_attributes: Arc::clone(&attributes),
            bytes,
            attributes,
            ..Self::default()
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    pub(super) fn is_flushed(&self) -> bool {
        self.pending.is_empty() && self.pending_attributes.is_empty() && self.lost.is_empty()
    }

    /// Blocks that it takes.
    pub(super) fn blocks(&self) -> usize {
        self.blocks_of(0)
    }

    /// Blocks that it takes once it has so many bytes.
    pub(super) fn blocks_of(&self, length: usize) -> usize {
        length.max(self.bytes.len()).div_ceil(BLOCK).max(self.allocated)
    }

    pub(super) fn allocate(&mut self, length: usize) {
        self.allocated = self.blocks_of(length);
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.change(Change::Write { offset, bytes: bytes.to_vec() });
    }

    pub(super) fn truncate(&mut self) {
        self.allocated = 0;
        self.change(Change::Truncate);
    }

    fn change(&mut self, change: Change) {
        apply(&change, Arc::make_mut(&mut self.bytes));
        self.pending.splice(0..0, self.lost.drain(..));
        self.pending.push(change);
    }

    pub(super) fn set_attribute(&mut self, name: &str, value: &[u8]) {
        Arc::make_mut(&mut self.attributes).insert(name.to_owned(), value.to_vec());
        self.pending_attributes.push((name.to_owned(), value.to_vec()));
    }

    pub(super) fn flush(&mut self) {
        self.flush_bytes();
        self.flushed_attributes = Arc::clone(&self.attributes);
        self.pending_attributes.clear();
    }

    pub(super) fn flush_bytes(&mut self) {
        if self.lost.is_empty() {
            self.flushed_bytes = Arc::clone(&self.bytes);
        }
        self.pending.clear();
    }

    /// A flush that failed.
    pub(super) fn lose(&mut self) {
        self.lost.append(&mut self.pending);
    }

    /// The platter has rotted.
    pub(super) fn damage(&mut self) {
        for bytes in [&mut self.bytes, &mut self.flushed_bytes] {
            if let Some(byte) = Arc::make_mut(bytes).first_mut() {
                *byte ^= 1;
            }
        }
    }

    /// What is there after a power cut.
    pub(super) fn survive(&self, random: &mut Random) -> Self {
        if self.is_flushed() {
            return self.clone();
        }
        let among = [Survivors::Nothing, Survivors::Prefix, Survivors::Zeros, Survivors::Everything];
        let mut bytes = (*self.flushed_bytes).clone();
        match random.pick(&among) {
            Survivors::Nothing => {}
            Survivors::Prefix => {
                let whole = random.below(self.pending.len());
                self.pending.iter().take(whole).for_each(|change| apply(change, &mut bytes));
                if let Some(Change::Write { offset, bytes: cut }) = self.pending.get(whole) {
                    let cut = cut.get(..random.below(cut.len() + 1)).unwrap_or_default();
                    apply(&Change::Write { offset: *offset, bytes: cut.to_vec() }, &mut bytes);
                }
            }
            Survivors::Zeros => {
                for change in &self.pending {
                    match change {
                        Change::Write { offset, bytes: lost } if random.once_in(2) => {
                            apply(&Change::Write { offset: *offset, bytes: vec![0; lost.len()] }, &mut bytes);
                        }
                        other => apply(other, &mut bytes),
                    }
                }
            }
            Survivors::Everything => self.pending.iter().for_each(|change| apply(change, &mut bytes)),
        }
        let mut attributes = (*self.flushed_attributes).clone();
        for (name, value) in &self.pending_attributes {
            if random.once_in(2) {
                attributes.insert(name.clone(), value.clone());
            }
        }
        Self::flushed(bytes, attributes)
    }
}

fn apply(change: &Change, to: &mut Vec<u8>) {
    match change {
        Change::Truncate => to.clear(),
        Change::Write { offset, bytes } => {
            let end = offset + bytes.len();
            if to.len() < end {
                to.resize(end, 0);
            }
            to[*offset..end].copy_from_slice(bytes);
        }
    }
}
