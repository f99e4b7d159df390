//! The status page, opened, read and looked at in headless Chromium: a busy node's of made-up figures, and those of a small
//! cluster, whose figures have to be those that its daemons tell by gRPC.

mod browser;
mod drawn;
mod live;
mod sample;
