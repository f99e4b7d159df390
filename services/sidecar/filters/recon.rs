//! `/recon/...`: what swift-recon asks of a storage node (Swift: common/middleware/recon.py).

mod cache;
mod devices;
mod files;
mod gate;
mod host;
mod question;

use std::{path::PathBuf, sync::Arc};

use files::Digests;
use gate::{Gate, Shut, WAIT_MAX};
use question::{Asked, question};
use ssync_store::Store;

use crate::{
    http::Response,
    path::Path,
    python_json::Json,
    status::{PLAIN, text},
};

const PREFIX: &[u8] = b"/recon/";
const JSON: &str = "application/json";
/// What `/recon/version` says: operators look by it for nodes that are not like the others, and this one is not.
const VERSION: &str = concat!("ssync-", env!("CARGO_PKG_VERSION"));

/// What the answers are made of.
#[derive(Debug, Clone)]
pub struct ReconConfig {
    /// `recon_cache_path`: where daemons leave what they did.
    pub cache_path: PathBuf,
    /// `devices`, as answers name it.
    pub devices: PathBuf,
    /// Ring files, and swift.conf.
    pub rings: Vec<PathBuf>,
    /// swift.conf.
    pub swift_conf: PathBuf,
}

#[derive(Debug)]
pub(super) struct Recon {
    config: ReconConfig,
    digests: Arc<Digests>,
    /// For what blocks a thread of this process.
    files: Gate,
    /// For what the store is asked: a device that hangs does not keep operators from all else.
    surveys: Gate,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Shut(#[from] Shut),
    #[error("{0}")]
    Failed(String),
}

impl Recon {
    pub(super) fn new(config: ReconConfig) -> Self {
        Self { config, digests: Arc::default(), files: Gate::new(WAIT_MAX), surveys: Gate::new(WAIT_MAX) }
    }

    /// Whatever the method: Swift's filter does not look at it.
    pub(super) async fn answer(&self, store: &dyn Store, path: &Path) -> Option<Response> {
        let asked = path.as_bytes().strip_prefix(PREFIX)?;
        let (check, kind) = match asked.iter().position(|&byte| byte == b'/') {
            Some(slash) => (&asked[..slash], Some(&asked[slash + 1..])),
            None => (asked, None),
        };
        let Some(asked) = question(check, kind) else {
            return Some(Response::new(404, PLAIN, format!("Invalid path: {}", path.quoted())));
        };
        Some(match self.content(store, asked).await {
            Ok(content) => Response::new(200, JSON, content.python()),
            Err(Problem::Shut(shut)) => {
                tracing::warn!(path = path.quoted(), problem = %shut, "recon does not answer now");
                text(503, shut.to_string())
            }
            Err(Problem::Failed(problem)) => {
                tracing::error!(path = path.quoted(), problem, "recon has no answer");
                text(500, "Internal server error.")
            }
        })
    }

    async fn content(&self, store: &dyn Store, asked: Asked) -> Result<Json, Problem> {
        let config = self.config.clone();
        let digests = Arc::clone(&self.digests);
        Ok(match asked {
            Asked::Version => Json::map([("version", Json::of(VERSION))]),
            Asked::DeviceNames => {
                let _place = self.surveys.enter().await?;
                let survey = store.survey_devices().await;
                devices::names(&config, survey.map_err(|refusal| refusal.message))
            }
            Asked::Devices(shown) => {
                let _place = self.surveys.enter().await?;
                let survey = store.survey_devices().await;
                shown(&survey.map_err(|refusal| Problem::Failed(refusal.message))?)
            }
            Asked::Host(shown) => {
                let shown = self.files.blocking(shown).await?;
                shown.map_err(|error| Problem::Failed(error.to_string()))?
            }
            Asked::Cache(file, keys) => {
                self.files.blocking(move || cache::read(&config.cache_path, file, keys)).await?
            }
            Asked::Rings => self.files.blocking(move || digests.rings(&config.rings)).await?,
            Asked::SwiftConf => self.files.blocking(move || digests.swift_conf(&config.swift_conf)).await?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tests::FakeStore;

    #[tokio::test]
    async fn a_question_too_many_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let swift_conf = folder.path().join("swift.conf");
        let (cache_path, devices) = (folder.path().to_owned(), folder.path().to_owned());
        let mut recon = Recon::new(ReconConfig { cache_path, devices, rings: Vec::new(), swift_conf });
        recon.files = Gate::new(Duration::from_millis(50));
        recon.surveys = Gate::new(Duration::from_millis(50));
        let store = FakeStore::default();
        let ask = async |path: &str| {
            let answer = recon.answer(&store, &Path::of_target(path.as_bytes())).await.unwrap();
            (answer.status, answer.body)
        };
        for (gate, shut, open) in [
            (&recon.files, "/recon/ringmd5", "/recon/mounted"),
            (&recon.surveys, "/recon/mounted", "/recon/ringmd5"),
        ] {
            let mut places = Vec::new();
            for _ in 0..4 {
                places.push(gate.enter().await.unwrap());
            }
            let (status, body) = ask(shut).await;
            let text = format!("{body:?}");
            assert!(status == 503 && text.contains("4 questions like this one are under way"), "{text}");
            assert_eq!(ask(open).await.0, 200, "{open}");
            drop(places);
            assert_eq!(ask(shut).await.0, 200, "{shut}");
        }
    }
}
