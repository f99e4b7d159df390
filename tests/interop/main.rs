//! ssync beside stock Swift: everything that either side writes, the other reads.
//!
//! Stock Swift is on one side of each test, at the least as the judge: Swift's own `DiskFile` writes the trees and reads
//! them back. `baseline` runs the same stories with stock Swift on both sides, so that a failure elsewhere is ours.

mod baseline;
