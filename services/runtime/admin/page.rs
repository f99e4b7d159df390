//! The page for people at `/`: who gets it, how often it is loaded again, and what a browser may do with it.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use axum::response::{IntoResponse, Response};
use http::{
    HeaderMap, StatusCode,
    header::{
        ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER, VARY,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use tokio::sync::Semaphore;

/// Pages that are made at a time; each asks every device for its space.
const PAGES_MAX: usize = 4;

/// Seconds after which a page may be loaded again by itself: shorter is no help, and longer is no status.
const REFRESH_MIN: u32 = 2;
const REFRESH_MAX: u32 = 3600;

/// HTML, and what it may load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The page.
    pub html: String,
    /// Its `Content-Security-Policy`.
    pub content_security_policy: &'static str,
}

type Making = Pin<Box<dyn Future<Output = Document> + Send>>;

/// Makes the page anew for everybody who asks.
#[derive(Clone)]
pub struct Page {
    make: Arc<dyn Fn(Option<u32>) -> Making + Send + Sync>,
    slots: Arc<Semaphore>,
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").finish_non_exhaustive()
    }
}

impl Page {
    /// A page that `make` makes. It is told after how many seconds the browser shall ask again.
    pub fn new<F, M>(make: F) -> Self
    where
        F: Fn(Option<u32>) -> M + Send + Sync + 'static,
        M: Future<Output = Document> + Send + 'static,
    {
        let make = move |refresh| -> Making { Box::pin(make(refresh)) };
        Self { make: Arc::new(make), slots: Arc::new(Semaphore::new(PAGES_MAX)) }
    }

    /// The answer to who wants HTML.
    pub(super) async fn answer(&self, query: Option<&str>) -> Response {
        let Ok(_slot) = self.slots.try_acquire() else {
            let busy = "too many pages are being made; ask again in a second\n";
            return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], busy).into_response();
        };
        let Document { html, content_security_policy } = (self.make)(refresh(query)).await;
        let headers = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_SECURITY_POLICY, content_security_policy),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            (CACHE_CONTROL, "no-store"),
            (VARY, "accept"),
        ];
        (headers, html).into_response()
    }
}

/// Whether it is a browser that asks: curl and probes take anything, and get plain text.
pub(super) fn wants_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted
        .flat_map(|value| value.split(','))
        .any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/html")))
}

/// `refresh=15` of a query, within bounds. What is no number, or 0, is none.
fn refresh(query: Option<&str>) -> Option<u32> {
    let value = query?.split('&').find_map(|pair| pair.strip_prefix("refresh="))?;
    let seconds: u32 = value.parse().ok()?;
    (seconds > 0).then(|| seconds.clamp(REFRESH_MIN, REFRESH_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_has_bounds() {
        let told =
            ["", "x=1", "refresh=", "refresh=0", "refresh=-1", "refresh=99999999999", "refresh=1;url=//x"];
        assert_eq!(told.map(|query| refresh(Some(query))), [None; 7]);
        let told = ["refresh=1", "x&refresh=15", "refresh=4000000"].map(|query| refresh(Some(query)));
        assert_eq!((told, refresh(None)), ([Some(REFRESH_MIN), Some(15), Some(REFRESH_MAX)], None));
    }

    #[test]
    fn browsers_say_that_they_want_html() {
        let wants = |accept: &str| wants_html(&HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]));
        assert!(
            wants("text/html,application/xhtml+xml,*/*;q=0.8") && wants("application/xml, Text/HTML;q=0.9")
        );
        assert!(!wants("*/*") && !wants("text/plain") && !wants_html(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn no_more_than_so_many_are_made_at_a_time() {
        let page = Page::new(|_| async {
            std::future::pending::<()>().await;
            Document { html: String::new(), content_security_policy: "" }
        });
        let making: Vec<_> = (0..PAGES_MAX)
            .map(|_| {
                let page = page.clone();
                tokio::spawn(async move { page.answer(None).await })
            })
            .collect();
        while page.slots.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(page.answer(None).await.status(), StatusCode::SERVICE_UNAVAILABLE);
        making.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
