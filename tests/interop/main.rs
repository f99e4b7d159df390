//! ssync beside stock Swift: everything that either side writes, the other reads.
//!
//! Stock Swift is on one side of each test, at the least as the judge: Swift's own `DiskFile` writes the trees and reads
//! them back. `baseline` runs the same stories with stock Swift on both sides, so that a failure elsewhere is ours.

/// One test for each number of processes that ssync can be.
macro_rules! in_every_shape {
    ($($story:ident),+ $(,)?) => {
        mod one_process {
            $(#[test]
            fn $story() -> anyhow::Result<()> {
                super::$story(ssync_tests::Shape::OneProcess)
            })+
        }
        mod two_over_tcp {
            $(#[test]
            fn $story() -> anyhow::Result<()> {
                super::$story(ssync_tests::Shape::TwoOverTcp)
            })+
        }
        mod two_over_unix {
            $(#[test]
            fn $story() -> anyhow::Result<()> {
                super::$story(ssync_tests::Shape::TwoOverUnix)
            })+
        }
    };
}

mod baseline;
mod from_stock;
mod handoff;
mod push;
mod reconstruct;
mod replay;
mod swift_names;
mod tls;
mod to_stock;
mod updates;
