//! What is wrong with a configuration: all of it, not the first of it.

use std::fmt;

use super::resolve::Origin;

/// A value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where it stands.
    pub origin: Origin,
    /// The section that reads it.
    pub section: String,
    /// The option.
    pub name: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: [{}] {}: {}", self.origin, self.section, self.name, self.problem)
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read, or is not of its form.
    #[error("configuration: {0}")]
    File(#[from] ssync_conf::ConfError),
    /// Some values cannot be used.
    #[error("{} in the configuration:{}", count(.0), lines(.0))]
    Mistakes(Vec<Mistake>),
}

fn count(mistakes: &[Mistake]) -> String {
    match mistakes.len() {
        1 => "one mistake".to_owned(),
        number => format!("{number} mistakes"),
    }
}

fn lines(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| format!("\n  {mistake}")).collect()
}
