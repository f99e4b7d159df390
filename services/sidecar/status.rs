//! Statuses: the one table from a refusal's reason to HTTP, and Swift's page for each.

use bytes::Bytes;
use ssync_types::{Reason, Refusal};

use crate::http::{Response, ResponseBody, words};

/// An answer that a check of the request gave. Boxed: it is rare, and much larger than what is well.
pub(crate) type Refused = Box<Response>;

/// The content type of Swift's own texts.
pub(crate) const HTML: &str = "text/html; charset=UTF-8";
/// The content type of what a check of the request says.
pub(crate) const PLAIN: &str = "text/plain";

/// The HTTP status of a reason.
pub(crate) const fn status_of(reason: Reason) -> u16 {
    match reason {
        Reason::InvalidArgument | Reason::ProtocolOrder => 400,
        Reason::NotHandoff
        | Reason::NotLocal
        | Reason::IdentityUnknown
        | Reason::NotPermitted
        | Reason::Collision => 403,
        // What was damaged is in quarantine by now: there is no object (Swift: server.py, DiskFileQuarantined).
        Reason::NotFound | Reason::ObjectDamaged => 404,
        Reason::IdleTimeout => 408,
        Reason::Conflict => 409,
        Reason::PreconditionFailed => 412,
        Reason::RangeNotSatisfiable => 416,
        Reason::EtagMismatch => 422,
        Reason::BodyLength => 499,
        Reason::ObjectIo | Reason::FailureRatio | Reason::Internal => 500,
        Reason::Unsupported => 501,
        Reason::ReceiverBusy
        | Reason::PartitionLocked
        | Reason::DeviceLocked
        | Reason::PolicyUnknown
        | Reason::PolicyUnsupported
        | Reason::RingMismatch
        | Reason::StateChanged
        | Reason::Unreachable
        | Reason::Draining => 503,
        Reason::DeviceUnmounted | Reason::DeviceFull => 507,
    }
}

/// Swift's page for a status; `drive` is named by 507.
pub(crate) fn page_text(status: u16, drive: &str) -> String {
    let (title, text) = words(status);
    let drive = if status == 507 { drive } else { "" };
    format!("<html><h1>{title}</h1><p>{text}{drive}</p></html>")
}

/// An answer with Swift's page.
pub(crate) fn page(status: u16, drive: &str) -> Response {
    Response::bare(status, ResponseBody::Page(page_text(status, drive).into())).with("Content-Type", HTML)
}

/// An answer with a text of its own.
pub(crate) fn text(status: u16, text: impl Into<Bytes>) -> Response {
    Response::new(status, PLAIN, text)
}

/// The answer to a refused request. Where Swift has a page it is Swift's, with the time of what is stored; else it is the
/// refusal's own text, which names the way out.
pub(crate) fn refused(refusal: &Refusal, drive: &str) -> Response {
    let status = status_of(refusal.reason);
    let response = match status {
        403 | 404 | 408 | 409 | 412 | 416 | 422 | 499 | 507 => page(status, drive),
        _ => text(status, refusal.message.clone()),
    };
    let response = match refusal.timestamp {
        Some(timestamp) => response.with("X-Backend-Timestamp", timestamp.internal()),
        None => response,
    };
    match refusal.retry_after {
        Some(delay) => response.with("Retry-After", delay.as_secs().max(1).to_string()),
        None => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_status_that_says_so() {
        for reason in Reason::ALL {
            let status = status_of(reason);
            assert!((400..600).contains(&status), "{reason:?}");
            assert_eq!(words(status).0 == words(500).0, status == 500, "{reason:?} has no words of its own");
        }
    }

    #[test]
    fn keeps_the_statuses_that_a_proxy_decides_by() {
        let pairs = [
            (Reason::ReceiverBusy, 503),
            (Reason::PolicyUnknown, 503),
            (Reason::DeviceUnmounted, 507),
            (Reason::DeviceFull, 507),
            (Reason::NotFound, 404),
            (Reason::ObjectDamaged, 404),
            (Reason::Conflict, 409),
            (Reason::PreconditionFailed, 412),
            (Reason::RangeNotSatisfiable, 416),
            (Reason::EtagMismatch, 422),
            (Reason::BodyLength, 499),
            (Reason::IdleTimeout, 408),
            (Reason::Collision, 403),
            (Reason::StateChanged, 503),
            (Reason::PartitionLocked, 503),
            (Reason::DeviceLocked, 503),
            // An error of the operating system that Swift does not expect: EIO, EROFS, EMFILE, ...
            (Reason::ObjectIo, 500),
            (Reason::InvalidArgument, 400),
        ];
        for (reason, status) in pairs {
            assert_eq!(status_of(reason), status, "{reason:?}");
        }
    }

    #[test]
    fn writes_swifts_pages() {
        assert_eq!(
            page_text(404, "sdb1"),
            "<html><h1>Not Found</h1><p>The resource could not be found.</p></html>"
        );
        assert_eq!(
            page_text(507, "sdb1"),
            "<html><h1>Insufficient Storage</h1><p>There was not enough space to save the resource. Drive: sdb1</p></html>"
        );
        assert_eq!(page_text(204, ""), "<html><h1>No Content</h1><p></p></html>");
    }
}
