//! Tests of the whole sidecar, over raw streams and a store in memory.
