//! Swift's configuration files, read as Swift reads them: Python's ConfigParser for daemons, paste.deploy for servers.
//!
//! An operator's files stay valid, odd corners included, and every value remembers the file and line it came from.

#![forbid(unsafe_code)]

mod conf;
mod error;
mod interpolate;
mod origin;
mod parse;
mod section;
mod value;

pub use conf::{CONF_BYTES_MAX, CONF_FILES_MAX, Conf};
pub use error::ConfError;
pub use origin::Origin;
pub use section::{Entry, Section};
pub use value::Reserve;
