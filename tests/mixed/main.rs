//! Clusters of stock Swift in which some object nodes are ssync: a proxy, Swift's own daemons, and clients see no seam.
//!
//! What is asked goes through stock Swift's proxy; what is compared is read from the disks by Swift's own code, and each
//! story has stock nodes beside ours. Stock nodes are kept up by stock daemons. Ours has its own replicator; all else that
//! works on its disk (auditor, updater, reconstructor) is Swift's.

mod copies;
mod fragments;
mod handoffs;
mod listings;
mod scene;
mod upkeep;
