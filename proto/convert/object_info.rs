//! What is known of an object without its body.

use ssync_types::{FragmentSet, Invalid, ObjectInfo};

use super::{
    FRAGMENTS_MAX, at_most,
    metadata::{from_metadata, stored_metadata},
    partition::{fragment, from_fragment},
    required,
    timestamp::{optional_time, required_time},
    update::content_length,
};
use crate::v1;

impl From<ObjectInfo> for v1::ObjectInfo {
    fn from(info: ObjectInfo) -> Self {
        Self {
            metadata: from_metadata(info.metadata),
            timestamp: Some(info.timestamp.into()),
            data_timestamp: Some(info.data.into()),
            content_type_timestamp: Some(info.content_type.into()),
            durable_timestamp: info.durable.map(Into::into),
            content_length: info.content_length,
            fragments: info.fragments.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::ObjectInfo> for ObjectInfo {
    type Error = Invalid;

    fn try_from(info: v1::ObjectInfo) -> Result<Self, Invalid> {
        at_most(info.fragments.len(), FRAGMENTS_MAX, "fragments")?;
        let fragments =
            info.fragments.into_iter().map(|set| set.try_into().map_err(|i: Invalid| i.within("fragments")));
        Ok(Self {
            metadata: stored_metadata(info.metadata),
            timestamp: required_time(info.timestamp, "timestamp")?,
            data: required_time(info.data_timestamp, "data_timestamp")?,
            content_type: required_time(info.content_type_timestamp, "content_type_timestamp")?,
            durable: optional_time(info.durable_timestamp, "durable_timestamp")?,
            content_length: content_length(info.content_length)?,
            fragments: fragments.collect::<Result<_, _>>()?,
        })
    }
}

impl From<FragmentSet> for v1::FragmentSet {
    fn from(set: FragmentSet) -> Self {
        Self {
            timestamp: Some(set.timestamp.into()),
            indexes: set.indexes.into_iter().map(from_fragment).collect(),
            durable: set.durable,
        }
    }
}

impl TryFrom<v1::FragmentSet> for FragmentSet {
    type Error = Invalid;

    fn try_from(set: v1::FragmentSet) -> Result<Self, Invalid> {
        at_most(set.indexes.len(), FRAGMENTS_MAX, "indexes")?;
        Ok(Self {
            timestamp: required_time(set.timestamp, "timestamp")?,
            indexes: set.indexes.into_iter().map(|i| fragment(i, "indexes")).collect::<Result<_, _>>()?,
            durable: set.durable,
        })
    }
}

/// The `head` of an answer.
fn head(head: Option<v1::ObjectInfo>) -> Result<ObjectInfo, Invalid> {
    ObjectInfo::try_from(required(head, "head")?).map_err(|invalid| invalid.within("head"))
}

impl TryFrom<v1::HeadObjectResponse> for ObjectInfo {
    type Error = Invalid;

    fn try_from(response: v1::HeadObjectResponse) -> Result<Self, Invalid> {
        head(response.head)
    }
}

impl TryFrom<v1::PostObjectResponse> for ObjectInfo {
    type Error = Invalid;

    fn try_from(response: v1::PostObjectResponse) -> Result<Self, Invalid> {
        head(response.head)
    }
}
