//! Swift's object API: single objects (Swift: obj/server.py).

mod conditions;
mod constraints;
mod delete;
mod get;
mod kept;
mod multipart;
mod post;
mod preferences;
mod put;
mod range;

pub(crate) use constraints::{BodyLength, check_creation, check_metadata};
pub(crate) use delete::delete;
pub(crate) use get::{get, head};
pub(crate) use kept::kept_of_replication;
pub(crate) use post::{check_delete_at, content_type_time, post};
pub(crate) use put::put;
#[cfg(any(test, fuzzing))]
pub(crate) use range::{Ranges, Wanted};
