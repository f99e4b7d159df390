//! A case: the row of the feature list that it belongs to, what it is about, and its steps.

use crate::{names::Names, step::Step};

#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) row: u8,
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
    pub(crate) names: Names,
}

pub(crate) fn case(row: u8, name: impl Into<String>, steps: impl IntoIterator<Item = Step>) -> Case {
    let name = name.into();
    let names = Names::of(row, &name);
    Case { row, name, steps: steps.into_iter().collect(), names }
}

impl Case {
    /// Every step in another policy.
    pub(crate) fn policy(mut self, index: u8) -> Self {
        self.steps = self.steps.into_iter().map(|step| step.policy(&index.to_string())).collect();
        self
    }
}
