//! From a request to its handler (Swift: obj/server.py `__call__`, common/middleware/healthcheck.py).

use std::time::Instant;

use tracing::Instrument as _;

use crate::{
    Sidecar,
    access_log::AccessLog,
    http::{Exchange, HttpError, Response, ResponseBody},
    object_api, placement,
    placement::Path,
    replicate, ssync_verb,
    status::{HTML, PLAIN, plain_page, text},
    trace,
};

/// Paths that belong to middlewares of Swift's pipeline which are not here (common/middleware/recon.py, xprofile.py).
const NOT_SERVED: [(&str, &str); 2] = [
    ("/recon/", "this server does not serve swift-recon's figures; its own are in its metrics"),
    ("/__profile__", "this server has no profiler"),
];
const METHODS: [&str; 8] = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT", "REPLICATE", "SSYNC"];
/// Those that `replication_server = false` turns away.
const REPLICATION_METHODS: [&str; 2] = ["REPLICATE", "SSYNC"];

impl Sidecar {
    /// Answers one request.
    pub(crate) async fn dispatch(&self, exchange: &mut Exchange<'_>) -> Result<(), HttpError> {
        let path = Path::of_target(&exchange.head.target);
        if path.as_bytes() == b"/healthcheck" {
            return exchange.respond(self.health(&exchange.head.method)).await;
        }
        if let Some(response) = not_served(&path) {
            return exchange.respond(response).await;
        }
        let started = Instant::now();
        let log = AccessLog::begin(exchange.peer(), &exchange.head, path.quoted());
        let method = String::from_utf8_lossy(&exchange.head.method).into_owned();
        let answer = match self.check(&method, &path) {
            Ok(()) => {
                let span = trace::span(&exchange.head, &path.quoted());
                self.answer(&method, &path, exchange).instrument(span).await
            }
            Err(refused) => Answer::Response(*refused),
        };
        let (status, length, sent) = match answer {
            Answer::Response(response) => {
                let (status, announced) = (response.status, response.content_length());
                let sent = exchange.respond(response).await;
                let length = if sent.is_ok() { announced } else { Some(exchange.bytes_sent()) };
                if let Err(error) = &sent {
                    log.broken(status, announced.unwrap_or_default(), exchange.bytes_sent(), error);
                }
                (status, length, sent)
            }
            Answer::Sent(sent) => (200, None, sent),
        };
        if self.shared.config.log_requests {
            log.end(status, length, started.elapsed());
        }
        sent
    }

    /// What is checked of every request, before anything else.
    fn check(&self, method: &str, path: &Path) -> Result<(), placement::Refused> {
        if path.as_bytes().is_empty() || std::str::from_utf8(path.as_bytes()).is_err() {
            return Err(Box::new(Response::new(412, HTML, "Invalid UTF8 or contains NULL")));
        }
        match self.methods().any(|known| known == method) {
            true => Ok(()),
            false => Err(Box::new(plain_page(405, ""))),
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

    fn health(&self, method: &[u8]) -> Response {
        let disabled = self.shared.config.disable_path.as_ref().is_some_and(|path| path.exists());
        let (status, said) = if disabled { (503, "DISABLED BY FILE") } else { (200, "OK") };
        match method {
            b"HEAD" => Response::bare(status, ResponseBody::LengthOnly(said.len() as u64))
                .with("Content-Type", PLAIN),
            _ => Response::new(status, PLAIN, said),
        }
    }
}

fn not_served(path: &Path) -> Option<Response> {
    let (prefix, why) =
        NOT_SERVED.into_iter().find(|(prefix, _)| path.as_bytes().starts_with(prefix.as_bytes()))?;
    Some(text(501, format!("{prefix} is not supported: {why}")))
}

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It is to be answered so.
    Response(Response),
    /// The handler has answered 200, and more.
    Sent(Result<(), HttpError>),
}
