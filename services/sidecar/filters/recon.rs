//! `/recon/...`: what swift-recon asks of a storage node (Swift: common/middleware/recon.py).

mod cache;
mod devices;
mod files;
mod host;
mod json;
mod question;

use std::path::PathBuf;

use json::Json;
use question::{Asked, question};
use ssync_store::Store;

use crate::{
    http::Response,
    placement::Path,
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
}

impl Recon {
    pub(super) fn new(config: ReconConfig) -> Self {
        Self { config }
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
            Err(problem) => {
                tracing::error!(path = path.quoted(), problem, "recon has no answer");
                text(500, "Internal server error.")
            }
        })
    }

    async fn content(&self, store: &dyn Store, asked: Asked) -> Result<Json, String> {
        let config = self.config.clone();
        match asked {
            Asked::Version => Ok(Json::map([("version", Json::of(VERSION))])),
            Asked::DeviceNames => {
                let survey = store.survey_devices().await;
                Ok(devices::names(&config, survey.map_err(|refusal| refusal.message)))
            }
            Asked::Devices(shown) => {
                let survey = store.survey_devices().await.map_err(|refusal| refusal.message)?;
                Ok(shown(&survey))
            }
            Asked::Host(shown) => blocking(move || shown().map_err(|error| error.to_string())).await,
            Asked::Cache(file, keys) => {
                blocking(move || Ok(cache::read(&config.cache_path, file, keys))).await
            }
            Asked::Rings => blocking(move || Ok(files::rings(&config.rings))).await,
            Asked::SwiftConf => blocking(move || Ok(files::swift_conf(&config.swift_conf))).await,
        }
    }
}

async fn blocking(work: impl FnOnce() -> Result<Json, String> + Send + 'static) -> Result<Json, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?
}
