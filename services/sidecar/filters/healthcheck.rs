//! `/healthcheck` (Swift: common/middleware/healthcheck.py).

use std::path::PathBuf;

use crate::{
    http::Response,
    placement::Path,
    status::{PLAIN, text},
};

/// Says that the server is there, unless a file says otherwise.
#[derive(Debug)]
pub(super) struct Healthcheck {
    disable_path: Option<PathBuf>,
}

impl Healthcheck {
    pub(super) fn new(disable_path: Option<PathBuf>) -> Self {
        Self { disable_path }
    }

    pub(super) fn answer(&self, path: &Path) -> Option<Response> {
        let disabled = || self.disable_path.as_ref().is_some_and(|path| path.exists());
        match path.as_bytes() {
            b"/healthcheck" if disabled() => Some(text(503, "DISABLED BY FILE")),
            b"/healthcheck" => Some(Response::new(200, PLAIN, "OK")),
            _ => None,
        }
    }
}
