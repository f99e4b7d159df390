//! Statuses: the one table from a refusal's reason to HTTP, and Swift's words for each (Swift: common/swob.py
//! RESPONSE_REASONS).

use bytes::Bytes;
use ssync_types::{Reason, Refusal};

use crate::http::{Response, ResponseBody};

/// The content type of Swift's own texts.
pub(crate) const HTML: &str = "text/html; charset=UTF-8";
/// The content type of what a check of the request says.
pub(crate) const PLAIN: &str = "text/plain";

/// The HTTP status of a reason.
pub(crate) const fn status_of(reason: Reason) -> u16 {
    match reason {
        Reason::InvalidArgument | Reason::ProtocolOrder => 400,
        Reason::NotHandoff | Reason::NotLocal | Reason::Collision => 403,
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

/// The words of the status line.
pub(crate) const fn reason_phrase(status: u16) -> &'static str {
    words(status).0
}

/// The words of the status line, and those of the body.
const fn words(status: u16) -> (&'static str, &'static str) {
    match status {
        200 => ("OK", ""),
        201 => ("Created", ""),
        202 => ("Accepted", "The request is accepted for processing."),
        204 => ("No Content", ""),
        206 => ("Partial Content", ""),
        304 => ("Not Modified", ""),
        400 => (
            "Bad Request",
            "The server could not comply with the request since it is either malformed or otherwise incorrect.",
        ),
        403 => ("Forbidden", "Access was denied to this resource."),
        404 => ("Not Found", "The resource could not be found."),
        405 => ("Method Not Allowed", "The method is not allowed for this resource."),
        408 => {
            ("Request Timeout", "The server has waited too long for the request to be sent by the client.")
        }
        409 => ("Conflict", "There was a conflict when trying to complete your request."),
        411 => ("Length Required", "Content-Length header required."),
        412 => ("Precondition Failed", "A precondition for this request was not met."),
        413 => ("Request Entity Too Large", "The body of your request was too large for this server."),
        414 => ("Request URI Too Long", ""),
        416 => ("Requested Range Not Satisfiable", "The Range requested is not available."),
        422 => ("Unprocessable Entity", "Unable to process the contained instructions"),
        431 => ("Too many headers", ""),
        499 => ("Client Disconnect", "The client was disconnected during request."),
        501 => ("Not Implemented", "The requested method is not implemented by this server."),
        503 => {
            ("Service Unavailable", "The server is currently unavailable. Please try again at a later time.")
        }
        505 => ("Invalid HTTP version", ""),
        507 => ("Insufficient Storage", "There was not enough space to save the resource. Drive: "),
        529 => (
            "Too Many Backend Requests",
            "The server is incapable of performing the requested operation due to too many requests. Slow down.",
        ),
        _ => (
            "Internal Error",
            "The server has either erred or is incapable of performing the requested operation.",
        ),
    }
}

/// Swift's page for a status; `drive` is named by 507.
pub(crate) fn page(status: u16, drive: &str) -> String {
    let (title, text) = words(status);
    let drive = if status == 507 { drive } else { "" };
    format!("<html><h1>{title}</h1><p>{text}{drive}</p></html>")
}

/// An answer with Swift's page.
pub(crate) fn plain_page(status: u16, drive: &str) -> Response {
    Response::bare(status, ResponseBody::Page(page(status, drive).into())).with("Content-Type", HTML)
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
        403 | 404 | 408 | 409 | 412 | 416 | 422 | 499 | 507 => plain_page(status, drive),
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
            page(404, "sdb1"),
            "<html><h1>Not Found</h1><p>The resource could not be found.</p></html>"
        );
        assert_eq!(
            page(507, "sdb1"),
            "<html><h1>Insufficient Storage</h1><p>There was not enough space to save the resource. Drive: sdb1</p></html>"
        );
        assert_eq!(page(204, ""), "<html><h1>No Content</h1><p></p></html>");
    }
}
