//! Why a conversation ended early, and what the sender is told (Swift: ssync_receiver.py `__call__`).

use ssync_protocol::ErrorLine;
use ssync_types::{Invalid, Reason, Refusal};

use super::session_log::SessionLog;
use crate::{
    http::HttpError,
    status::{page_text, status_of},
};

/// Why a conversation ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The sender ended the request where a phase should have begun: it had nothing more to say, or only wanted to know
    /// what is here. Nothing more is said.
    #[error("client disconnected before {0}")]
    Left(&'static str),
    /// The sender went away, or what it sent cannot be read any further. Nothing more is said.
    #[error("read failed: {0}")]
    Unreadable(String),
    /// The sender was silent for too long.
    #[error("timeout: {0}")]
    Silent(String),
    /// The store said no.
    #[error("{0}")]
    Refused(Refusal),
    /// Some updates went wrong; the log has each.
    #[error("{0}")]
    Failures(String),
    /// Anything else, in the words that the sender gets.
    #[error("{0}")]
    Said(ErrorLine),
}

impl Fault {
    /// A message with a code.
    pub(super) fn text(code: u16, text: impl Into<String>) -> Self {
        Self::Said(ErrorLine::text(code, text))
    }

    /// A line that is not what should stand there.
    pub(super) fn invalid(invalid: Invalid) -> Self {
        Self::text(0, invalid.problem)
    }

    /// The line for the sender; `None` when it cannot be reached.
    pub(super) fn line(&self, drive: &str) -> Option<ErrorLine> {
        match self {
            Self::Left(_) | Self::Unreadable(_) => None,
            Self::Silent(text) => Some(ErrorLine::text(408, text)),
            Self::Refused(refusal) => Some(refused_line(refusal, drive)),
            Self::Failures(text) => Some(ErrorLine::body(500, text.as_str())),
            Self::Said(line) => Some(line.clone()),
        }
    }

    /// Tells the operator, as loudly as Swift does: not of what the sender hears and mends by coming back.
    pub(super) fn report(&self, log: &SessionLog) {
        match self {
            Self::Left(_) => log.error("client disconnected"),
            Self::Unreadable(text) => log.error(&format!("read failed: {text}")),
            Self::Silent(text) => log.error(&format!("TIMEOUT: {text}")),
            Self::Refused(refusal) => match refusal.reason {
                Reason::PartitionLocked | Reason::DeviceLocked => {
                    log.debug(&format!("LOCK TIMEOUT: {}", refusal.message));
                }
                reason if is_page(reason) => log.debug(&refusal.message),
                _ => log.error(&format!("EXCEPTION: {}", refusal.message)),
            },
            Self::Failures(text) => log.debug(text),
            Self::Said(line) => log.error(&format!("EXCEPTION: {line}")),
        }
    }
}

/// Whether it is an HTTP error to Swift, whose page is what the sender gets.
fn is_page(reason: Reason) -> bool {
    matches!(reason, Reason::ReceiverBusy | Reason::Draining | Reason::DeviceUnmounted | Reason::DeviceFull)
}

fn refused_line(refusal: &Refusal, drive: &str) -> ErrorLine {
    let status = status_of(refusal.reason);
    match refusal.reason {
        reason if is_page(reason) => ErrorLine::body(status, page_text(status, drive)),
        Reason::IdleTimeout => ErrorLine::text(status, &refusal.message),
        _ => ErrorLine::text(0, &refusal.message),
    }
}

impl From<HttpError> for Fault {
    fn from(error: HttpError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(reason: Reason) -> String {
        let fault = Fault::Refused(Refusal::new(reason, "15 seconds: /srv/node/sdb1/.lock"));
        String::from_utf8(fault.line("sdb1").unwrap().encode()).unwrap()
    }

    #[test]
    fn says_what_swift_says() {
        assert_eq!(
            line(Reason::ReceiverBusy),
            ":ERROR: 503 b'<html><h1>Service Unavailable</h1><p>The server is currently unavailable. Please try again at \
             a later time.</p></html>'\n"
        );
        assert_eq!(line(Reason::PartitionLocked), ":ERROR: 0 '15 seconds: /srv/node/sdb1/.lock'\n");
        assert!(line(Reason::DeviceUnmounted).starts_with(":ERROR: 507 b'<html>"));
        assert!(line(Reason::IdleTimeout).starts_with(":ERROR: 408 '15"));
        assert_eq!(Fault::Unreadable("gone".into()).line("sdb1"), None);
    }
}
