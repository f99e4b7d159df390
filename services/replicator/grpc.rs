//! A peer that speaks the contract, behind the `Store` trait.

mod check;
mod in_flight;
mod peer;
mod prepare;
mod push;
mod send;

pub use peer::GrpcPeer;
