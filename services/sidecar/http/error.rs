//! Why a request could not be read or answered.

use std::io;

/// What went wrong on a connection. After any of these it is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// The peer closed between two requests: nothing went wrong.
    #[error("the peer closed the connection")]
    Closed,
    /// The peer closed within a request.
    #[error("the peer went away within a request")]
    Disconnected,
    /// The peer was silent, or took nothing, for too long.
    #[error("the peer was silent for too long")]
    Timeout,
    /// What came is not HTTP, or not of the strict kind that is taken here.
    #[error("{text}")]
    Malformed {
        /// The status to answer with.
        status: u16,
        /// What was wrong.
        text: &'static str,
    },
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
}

impl HttpError {
    /// Not HTTP: 400.
    pub(crate) const fn bad(text: &'static str) -> Self {
        Self::Malformed { status: 400, text }
    }
}
