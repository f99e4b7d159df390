//! The limits of names, metadata and sizes (Swift: common/constraints.py).

use ssync_conf::{ConfError, Section};

/// Headers that a request may have beside an object's metadata.
const OTHER_HEADERS: u64 = 36;

macro_rules! constraints {
    ($($(#[$doc:meta])* $name:ident = $default:literal,)*) => {
        /// The limits of names, metadata and sizes, as `[swift-constraints]` of swift.conf sets them.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Constraints {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// Swift's own limits.
        impl Default for Constraints {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl Constraints {
            /// The limits that a section sets, and Swift's own for the others.
            pub(crate) fn of(section: &Section) -> Result<Self, ConfError> {
                Ok(Self { $($name: section.integer(stringify!($name), $default, 0..=i64::MAX as u64)?,)* })
            }
        }
    };
}

constraints! {
    /// Bytes of an object.
    max_file_size = 5_368_709_122,
    /// Bytes of a metadata name, without its prefix.
    max_meta_name_length = 128,
    /// Bytes of a metadata value.
    max_meta_value_length = 256,
    /// Metadata items of an object.
    max_meta_count = 90,
    /// Bytes of an object's metadata, names and values.
    max_meta_overall_size = 4096,
    /// Bytes of a header line.
    max_header_size = 8192,
    /// Bytes of a request line.
    max_request_line = 8192,
    /// Bytes of an object's name.
    max_object_name_length = 1024,
    /// Bytes of a container's name.
    max_container_name_length = 256,
    /// Bytes of an account's name.
    max_account_name_length = 256,
    /// Headers of a request beside those that metadata and Swift itself need.
    extra_header_count = 0,
}

impl Constraints {
    /// Headers of a request.
    #[must_use]
    pub fn max_header_count(&self) -> u64 {
        self.max_meta_count.saturating_add(OTHER_HEADERS).saturating_add(self.extra_header_count)
    }
}
