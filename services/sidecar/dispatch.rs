//! From a request to its handler (Swift: obj/server.py `__call__`).

use std::time::Instant;

use tracing::Instrument as _;

use crate::{
    Sidecar,
    access_log::AccessLog,
    answer::Answer,
    http::{Exchange, HttpError, Response},
    object_api,
    path::Path,
    replicate,
    sidecar::Shared,
    ssync_verb,
    status::{HTML, Refused, page},
    timing, trace,
};

const METHODS: [&str; 8] = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT", "REPLICATE", "SSYNC"];
/// Those that `replication_server = false` turns away.
const REPLICATION_METHODS: [&str; 2] = ["REPLICATE", "SSYNC"];
/// Those that `slow` draws out.
const SLOW_METHODS: [&str; 2] = ["PUT", "DELETE"];

impl Sidecar {
    /// Answers one request.
    pub(crate) async fn dispatch(&self, exchange: &mut Exchange<'_>) -> Result<(), HttpError> {
        let shared = &self.shared;
        let path = Path::of_target(&exchange.head.target);
        let filtered = shared.filters.answer(&*shared.store, &shared.statsd, &exchange.head, &path).await;
        match filtered {
            Some(response) => exchange.respond(response).await,
            None => self.serve(exchange, &path).await,
        }
    }

    /// Answers one request that no filter has answered, and says so in the log.
    async fn serve(&self, exchange: &mut Exchange<'_>, path: &Path) -> Result<(), HttpError> {
        let started = Instant::now();
        let log = AccessLog::begin(exchange.peer(), &exchange.head, path.quoted());
        let method = String::from_utf8_lossy(&exchange.head.method).into_owned();
        let checked = self.check(&method, path);
        let is_handled = checked.is_ok();
        let answer = match checked {
            Ok(()) => {
                let span = trace::span(&exchange.head, &path.quoted());
                let answer = self.answer(&method, path, exchange).instrument(span.clone()).await;
                trace::end(&span, answer.status());
                answer
            }
            Err(refused) => Answer::Response(*refused),
        };
        // As in Swift it ends when the answer begins: how long a body takes is its reader's affair.
        let took = exchange.begun().unwrap_or_else(Instant::now) - started;
        let Shared { config, statsd, policies, .. } = &*self.shared;
        if is_handled {
            timing::record(statsd, policies, &exchange.head, path, answer.status(), took);
        }
        let left = config.slow.saturating_sub(took);
        // Even no time at all would take a tick of the timer.
        if !left.is_zero() && SLOW_METHODS.contains(&method.as_str()) {
            tokio::time::sleep(left).await;
        }
        let (status, length, sent) = send(exchange, answer, &log).await;
        if config.log_requests {
            log.end(&config.log_format, status, length, took);
        }
        sent
    }

    /// What is checked of every request, before anything else.
    fn check(&self, method: &str, path: &Path) -> Result<(), Refused> {
        if path.as_bytes().is_empty() || std::str::from_utf8(path.as_bytes()).is_err() {
            return Err(Box::new(Response::new(412, HTML, "Invalid UTF8 or contains NULL")));
        }
        match self.methods().any(|known| known == method) {
            true => Ok(()),
            false => Err(Box::new(page(405, ""))),
        }
    }

    fn methods(&self) -> impl Iterator<Item = &'static str> {
        let all = self.shared.config.replication_server;
        METHODS.into_iter().filter(move |method| all || !REPLICATION_METHODS.contains(method))
    }

    async fn answer(&self, method: &str, path: &Path, exchange: &mut Exchange<'_>) -> Answer {
        let shared = &self.shared;
        let response = match method {
            "GET" => object_api::get(shared, &exchange.head, path).await,
            "HEAD" => object_api::head(shared, &exchange.head, path).await,
            "PUT" => object_api::put(shared, exchange, path).await,
            "POST" => object_api::post(shared, &exchange.head, path).await,
            "DELETE" => object_api::delete(shared, &exchange.head, path).await,
            "REPLICATE" => replicate::replicate(shared, &exchange.head, path).await,
            "OPTIONS" => Ok(self.options()),
            _ => return ssync_verb::serve(shared, exchange, path).await,
        };
        Answer::Response(response.unwrap_or_else(|refused| *refused))
    }

    fn options(&self) -> Response {
        let allow = self.methods().collect::<Vec<_>>().join(", ");
        // What asks for OPTIONS tells kinds of servers apart by the first word (Swift: recon's server validation).
        Response::new(200, HTML, "")
            .with("Allow", allow)
            .with("Server", concat!("object-server/", env!("CARGO_PKG_VERSION")))
    }
}

/// Sends an answer, unless the handler has. Says its status, and the length of what was sent.
async fn send(
    exchange: &mut Exchange<'_>,
    answer: Answer,
    log: &AccessLog,
) -> (u16, Option<u64>, Result<(), HttpError>) {
    let response = match answer {
        Answer::Response(response) => response,
        Answer::Sent(sent) => return (200, None, sent),
    };
    let (status, announced) = (response.status, exchange.announced(&response));
    match exchange.respond(response).await {
        Ok(()) => (status, announced, Ok(())),
        Err(error) => {
            log.broken(status, announced.unwrap_or_default(), exchange.bytes_sent(), &error);
            (status, Some(exchange.bytes_sent()), Err(error))
        }
    }
}
