//! The safety rules (docs/safety.md, S1 to S6) on a live node, as far as they can be seen from outside, by looking alone.

mod disk;
mod finding;
mod removals;
mod suffix;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use disk::{Depth, DeviceReport, Watched, inspect};
pub(crate) use finding::{Finding, Findings, Severity};
pub(crate) use removals::{Judged, Rules, judge_removals};
pub(crate) use view::{Report, print, to_json};
