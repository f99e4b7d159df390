//! `ssync demo` and `ssync dev`, as somebody without a cluster meets them.

mod demo;
mod dev;
