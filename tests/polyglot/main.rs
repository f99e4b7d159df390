//! Clients that know only `proto/`, or only reflection: those of `examples/`, Python's grpcio, and grpcurl.

mod clients;
mod folder;
mod grpcurl;
mod python;
