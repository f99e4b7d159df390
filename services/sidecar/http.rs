//! HTTP/1.1 as Swift's object API needs it: byte-transparent heads, an answer before the request has ended, and
//! `100 Continue` when the handler says so.

mod body;
mod chunked;
mod connection;
mod date;
mod error;
mod exchange;
mod head;
mod mime;
mod reason;
mod response;

#[cfg(any(test, fuzzing))]
pub(crate) use chunked::{Chunked, Step};
pub(crate) use connection::{Connection, Limits};
pub(crate) use date::{http_date, parse_date};
pub(crate) use error::HttpError;
pub(crate) use exchange::Exchange;
pub(crate) use head::RequestHead;
#[cfg(any(test, fuzzing))]
pub(crate) use head::head_length;
pub(crate) use mime::{Documents, MimeHead, MimeStep};
pub(crate) use reason::words;
pub(crate) use response::{Part, Response, ResponseBody, is_one_line};
