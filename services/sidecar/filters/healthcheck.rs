//! `/healthcheck` (Swift: common/middleware/healthcheck.py).

use std::path::PathBuf;

use crate::{
    http::Response,
    path::Path,
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

    pub(super) async fn answer(&self, path: &Path) -> Option<Response> {
        if path.as_bytes() != b"/healthcheck" {
            return None;
        }
        Some(match self.is_disabled().await {
            true => text(503, "DISABLED BY FILE"),
            false => Response::new(200, PLAIN, "OK"),
        })
    }

    /// A disk that is slow to tell must hold up nobody else.
    async fn is_disabled(&self) -> bool {
        let Some(path) = self.disable_path.clone() else { return false };
        tokio::task::spawn_blocking(move || path.exists()).await.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_disables_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("disabled");
        let asked = Path::of_target(b"/healthcheck");
        let status = async |filter: &Healthcheck| filter.answer(&asked).await.map(|response| response.status);
        let filter = Healthcheck::new(Some(file.clone()));
        assert_eq!(status(&filter).await, Some(200));
        std::fs::write(&file, "").unwrap();
        assert_eq!(status(&filter).await, Some(503));
        assert_eq!(status(&Healthcheck::new(None)).await, Some(200));
        assert!(filter.answer(&Path::of_target(b"/healthcheck/")).await.is_none());
    }
}
