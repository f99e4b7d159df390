//! `ssync demo` and `ssync dev`, as somebody without a cluster meets them.

mod config;
mod demo;
mod dev;
mod examples;
mod protocol;
