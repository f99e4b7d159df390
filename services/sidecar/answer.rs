//! What a handler makes of a request.

use crate::http::{HttpError, Response};

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It is to be answered so.
    Response(Response),
    /// The handler has answered 200, and more.
    Sent(Result<(), HttpError>),
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Response(response) => response.status,
            Self::Sent(_) => 200,
        }
    }
}
