//! A running node told by an operator: the contract's ControlService over the parts of this process.

mod advice;
mod errors;
mod limits;
mod service;

pub(crate) use service::ControlGrpc;
