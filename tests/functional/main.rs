//! Swift's own functional tests on a cluster whose object servers are ssync, beside the same cluster as Swift ships it.

mod basics;
