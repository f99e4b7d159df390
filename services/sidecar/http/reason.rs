//! Swift's words for each status (Swift: common/swob.py RESPONSE_REASONS).

/// The words of the status line.
pub(super) const fn reason_phrase(status: u16) -> &'static str {
    words(status).0
}

/// The words of the status line, and those of the body.
pub(crate) const fn words(status: u16) -> (&'static str, &'static str) {
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
