//! What may differ from stock Swift, and why.

/// A field of a case that differs.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) case: &'static str,
    /// `status`, `headers`, `body`, `ending`, `files` or `updates`.
    pub(crate) field: &'static str,
    #[allow(dead_code)]
    pub(crate) why: &'static str,
}

pub(crate) const KNOWN: &[Known] = &[];
