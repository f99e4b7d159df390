//! The contract of ssync as a Rust crate: what `proto/` compiles to, and the only two places that turn it into the
//! domain's types and back.
//!
//! Generated types stay at the edge: services convert on arrival ([`convert`]) and refuse through one table
//! ([`status`]).

#![forbid(unsafe_code)]

pub mod convert;
pub mod status;

/// Package `ssync.v1`.
pub use ssync::v1;

/// Package `ssync.admin.v1`.
pub use ssync::admin::v1 as admin;

/// Modules as the packages are nested: what is generated finds its neighbours by that.
mod ssync {
    #[allow(clippy::all, clippy::pedantic, missing_docs, unreachable_pub, missing_debug_implementations)]
    pub mod v1 {
        tonic::include_proto!("ssync.v1");
    }

    pub(crate) mod admin {
        #[allow(clippy::all, clippy::pedantic, missing_docs, unreachable_pub, missing_debug_implementations)]
        pub mod v1 {
            tonic::include_proto!("ssync.admin.v1");
        }
    }
}

/// Every message and service of the contract, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ssync_descriptor.bin"));
