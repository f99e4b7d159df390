//! Mutual TLS: certificates that are followed as their files change, and who their holders are.
//!
//! A [`Tls`] is what a process has of both: it ends handshakes as a server ([`Tls::accept`]) and as a client
//! ([`Tls::connect`]), each with the files as they are then. Version 1.3 alone, both sides always with a certificate, and no
//! session is taken up again: what a certificate was worth yesterday is worth nothing after its files were replaced.

#![forbid(unsafe_code)]

mod certificate;
mod files;
mod follow;
mod handshake;
mod material;
mod metrics;
mod rules;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod tls;

pub use files::{CREDENTIALS_DIRECTORY, TlsError, TlsFiles, credential};
pub use follow::Reloaded;
pub use handshake::{ClientStream, HandshakeError, ServerStream};
pub use rules::PeerRules;
pub use tls::{Tls, TlsSettings};
