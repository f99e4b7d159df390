//! What stands before the object server, as the pipeline of the configuration has it: a request goes from one to the next
//! until one of them answers.

mod healthcheck;
mod ratelimit;
mod recon;

use healthcheck::Healthcheck;
use ratelimit::Ratelimit;
pub use ratelimit::{RateOptions, RatelimitConfig};
use recon::Recon;
pub use recon::ReconConfig;
use ssync_statsd::Statsd;
use ssync_store::Store;

use crate::{
    http::{RequestHead, Response, ResponseBody},
    path::Path,
};

/// A filter, and what it is told.
#[derive(Debug, Clone)]
pub enum FilterConfig {
    /// `/healthcheck`.
    Healthcheck {
        /// While this file is there, the node reports itself as unavailable.
        disable_path: Option<std::path::PathBuf>,
    },
    /// `/recon/...`.
    Recon(ReconConfig),
    /// The limit on requests into a device.
    BackendRatelimit(RatelimitConfig),
}

#[derive(Debug)]
enum Filter {
    Healthcheck(Healthcheck),
    Recon(Recon),
    BackendRatelimit(Ratelimit),
}

/// The filters of a server, in their order.
#[derive(Debug)]
pub(crate) struct Filters(Vec<Filter>);

impl Filters {
    pub(crate) fn new(configs: &[FilterConfig]) -> Self {
        let filter = |config: &FilterConfig| match config.clone() {
            FilterConfig::Healthcheck { disable_path } => Filter::Healthcheck(Healthcheck::new(disable_path)),
            FilterConfig::Recon(config) => Filter::Recon(Recon::new(config)),
            FilterConfig::BackendRatelimit(config) => Filter::BackendRatelimit(Ratelimit::new(config)),
        };
        Self(configs.iter().map(filter).collect())
    }

    /// The answer of the first filter that has one.
    pub(crate) async fn answer(
        &self,
        store: &dyn Store,
        statsd: &Statsd,
        head: &RequestHead,
        path: &Path,
    ) -> Option<Response> {
        for filter in &self.0 {
            let answer = match filter {
                Filter::Healthcheck(filter) => filter.answer(path).await,
                Filter::Recon(filter) => filter.answer(store, path).await,
                Filter::BackendRatelimit(filter) => filter.answer(statsd, head, path).await,
            };
            if let Some(response) = answer {
                return Some(told_to(&head.method, response));
            }
        }
        None
    }
}

/// HEAD gets the length of a text in place of the text.
fn told_to(method: &[u8], response: Response) -> Response {
    match &response.body {
        // A page comes into being with the body (Swift: common/swob.py Response._response_iter), so HEAD has no length.
        ResponseBody::Full(text) if method == b"HEAD" && response.status != ratelimit::TOO_MANY => {
            Response { body: ResponseBody::LengthOnly(text.len() as u64), ..response }
        }
        _ => response,
    }
}
