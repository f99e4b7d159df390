//! How much a pickle may cost.

/// Longest pickle that is read, in bytes.
pub const PICKLE_BYTES_MAX: usize = 16 << 20;

/// Deepest nesting of a value. Swift's own pickles nest three deep.
pub const DEPTH_MAX: usize = 32;

/// Most values that a pickle may make while it is read, and most that the result may hold.
pub const ITEMS_MAX: usize = 1 << 19;

/// Largest result, in bytes of memory. A value that the pickle refers to twice counts twice.
pub const VALUE_BYTES_MAX: usize = 64 << 20;
