//! The methods that a server has, so that a label of a metric never comes from a caller.

use std::{borrow::Cow, collections::BTreeSet};

use prost::Message as _;
use prost_types::FileDescriptorSet;

/// The label of calls of methods that the server does not have.
pub const OTHER_METHOD: &str = "_OTHER";

/// Full names such as `ssync.v1.ReplicationService/Updates`.
#[derive(Debug, Clone, Default)]
pub struct RpcMethods(BTreeSet<String>);

impl RpcMethods {
    /// The methods in encoded descriptor sets, the ones that reflection gets.
    pub fn from_descriptors<'a>(
        sets: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, prost::DecodeError> {
        let mut methods = BTreeSet::new();
        for set in sets {
            for file in FileDescriptorSet::decode(set)?.file {
                for service in &file.service {
                    methods.extend(
                        service
                            .method
                            .iter()
                            .map(|method| format!("{}.{}/{}", file.package(), service.name(), method.name())),
                    );
                }
            }
        }
        Ok(Self(methods))
    }

    /// The name of the method at a path, or [`OTHER_METHOD`].
    pub(super) fn known(&self, path: &str) -> Cow<'static, str> {
        match path.strip_prefix('/').and_then(|name| self.0.get(name)) {
            Some(name) => Cow::Owned(name.clone()),
            None => Cow::Borrowed(OTHER_METHOD),
        }
    }
}
