//! What another ring would move: by the two rings alone, and in objects and bytes as far as this node's devices tell.

mod amount;
mod compare;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use amount::{Amounts, amounts};
pub(crate) use compare::{DeviceMoves, Moves, compare};
pub(crate) use view::{Shown, print, to_json};
