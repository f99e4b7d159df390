//! Clients that know only `proto/`, or only reflection: Python's grpcio, and grpcurl.

mod grpcurl;
mod python;
