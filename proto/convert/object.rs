//! Requests for single objects, and what a change of one left.

use ssync_types::{
    ByteRange, CommitMode, Deleted, FragmentPreference, Invalid, ObjectDelete, ObjectPost, ObjectPut, Posted,
    PutStep, ReadOptions, Stored,
};

use super::{
    CONDITIONS_MAX, FRAGMENTS_MAX, RANGES_MAX, at_most,
    body::etag,
    is_md5,
    metadata::{RESERVED_IN_BODY, RESERVED_IN_POST, from_metadata, metadata, previous_metadata},
    partition::{fragment, from_fragment, part_power, required_object},
    required,
    timestamp::{optional_time, required_time},
    update::content_length,
};
use crate::v1;

impl From<ObjectPut> for v1::PutObjectRequest {
    fn from(put: ObjectPut) -> Self {
        Self { message: Some(v1::put_object_request::Message::Head(put.into())) }
    }
}

impl From<ObjectPut> for v1::PutObjectHead {
    fn from(put: ObjectPut) -> Self {
        Self {
            object: Some(put.object.into()),
            timestamp: Some(put.timestamp.into()),
            content_length: put.content_length,
            metadata: from_metadata(put.metadata),
            if_none_match: put.if_none_match,
            commit_mode: v1::PutCommitMode::from(put.commit).into(),
            next_part_power: put.next_part_power,
        }
    }
}

impl TryFrom<v1::PutObjectHead> for ObjectPut {
    type Error = Invalid;

    fn try_from(head: v1::PutObjectHead) -> Result<Self, Invalid> {
        at_most(head.if_none_match.len(), CONDITIONS_MAX, "if_none_match")?;
        let conditions =
            head.if_none_match.into_iter().filter_map(|tag| etag(Some(tag), "if_none_match").transpose());
        Ok(Self {
            object: required_object(head.object)?,
            timestamp: required_time(head.timestamp, "timestamp")?,
            content_length: head.content_length.map(content_length).transpose()?,
            metadata: metadata(head.metadata, RESERVED_IN_BODY)?,
            if_none_match: conditions.collect::<Result<_, _>>()?,
            commit: commit_mode(head.commit_mode)?,
            next_part_power: part_power(head.next_part_power)?,
        })
    }
}

impl From<CommitMode> for v1::PutCommitMode {
    fn from(mode: CommitMode) -> Self {
        match mode {
            CommitMode::AtOnce => Self::AtOnce,
            CommitMode::SecondPhase => Self::SecondPhase,
            CommitMode::Never => Self::Never,
        }
    }
}

/// A mode that is not known here is refused: a mark that should not be, or is missing, cannot be taken back.
fn commit_mode(mode: i32) -> Result<CommitMode, Invalid> {
    match v1::PutCommitMode::try_from(mode) {
        Ok(v1::PutCommitMode::Unspecified | v1::PutCommitMode::AtOnce) => Ok(CommitMode::AtOnce),
        Ok(v1::PutCommitMode::SecondPhase) => Ok(CommitMode::SecondPhase),
        Ok(v1::PutCommitMode::Never) => Ok(CommitMode::Never),
        Err(_) => Err(Invalid::new("commit_mode", format!("{mode} is not known here"))),
    }
}

impl From<PutStep> for v1::PutObjectResponse {
    fn from(step: PutStep) -> Self {
        use v1::put_object_response::Message;
        let message = match step {
            PutStep::Prepared => Message::Prepared(v1::PutPrepared {}),
            PutStep::Stored(stored) => Message::Stored(stored.into()),
        };
        Self { message: Some(message) }
    }
}

/// A message after the first of a PUT's answer.
impl TryFrom<v1::PutObjectResponse> for PutStep {
    type Error = Invalid;

    fn try_from(response: v1::PutObjectResponse) -> Result<Self, Invalid> {
        use v1::put_object_response::Message;
        match required(response.message, "message")? {
            Message::Prepared(_) => Ok(Self::Prepared),
            Message::Stored(stored) => {
                stored.try_into().map(Self::Stored).map_err(|invalid: Invalid| invalid.within("stored"))
            }
            Message::Accepted(_) => Err(Invalid::new("accepted", "stands there twice")),
        }
    }
}

impl From<Stored> for v1::PutStored {
    fn from(stored: Stored) -> Self {
        Self {
            etag: stored.etag,
            content_length: stored.content_length,
            previous_metadata: from_metadata(stored.previous.unwrap_or_default()),
        }
    }
}

impl TryFrom<v1::PutStored> for Stored {
    type Error = Invalid;

    fn try_from(response: v1::PutStored) -> Result<Self, Invalid> {
        if !is_md5(&response.etag) {
            return Err(Invalid::new("etag", "is not 32 lower-case hex digits"));
        }
        Ok(Self {
            etag: response.etag,
            content_length: content_length(response.content_length)?,
            previous: previous_metadata(response.previous_metadata),
        })
    }
}

impl From<ObjectPost> for v1::PostObjectRequest {
    fn from(post: ObjectPost) -> Self {
        Self {
            object: Some(post.object.into()),
            timestamp: Some(post.timestamp.into()),
            metadata: from_metadata(post.metadata),
            content_type_timestamp: post.content_type.map(Into::into),
            open_expired: post.open_expired,
            next_part_power: post.next_part_power,
        }
    }
}

impl TryFrom<v1::PostObjectRequest> for ObjectPost {
    type Error = Invalid;

    fn try_from(request: v1::PostObjectRequest) -> Result<Self, Invalid> {
        Ok(Self {
            object: required_object(request.object)?,
            timestamp: required_time(request.timestamp, "timestamp")?,
            metadata: metadata(request.metadata, RESERVED_IN_POST)?,
            content_type: optional_time(request.content_type_timestamp, "content_type_timestamp")?,
            open_expired: request.open_expired,
            next_part_power: part_power(request.next_part_power)?,
        })
    }
}

impl From<Posted> for v1::PostObjectResponse {
    fn from(posted: Posted) -> Self {
        Self {
            head: Some(posted.info.into()),
            previous_metadata: from_metadata(posted.previous),
            body_content_type: posted.body_type,
        }
    }
}

impl TryFrom<v1::PostObjectResponse> for Posted {
    type Error = Invalid;

    fn try_from(response: v1::PostObjectResponse) -> Result<Self, Invalid> {
        let head = required(response.head, "head")?;
        Ok(Self {
            info: head.try_into().map_err(|invalid: Invalid| invalid.within("head"))?,
            previous: previous_metadata(response.previous_metadata).unwrap_or_default(),
            body_type: response.body_content_type,
        })
    }
}

impl From<ObjectDelete> for v1::DeleteObjectRequest {
    fn from(delete: ObjectDelete) -> Self {
        Self {
            object: Some(delete.object.into()),
            timestamp: Some(delete.timestamp.into()),
            if_delete_at: delete.if_delete_at,
            next_part_power: delete.next_part_power,
        }
    }
}

impl TryFrom<v1::DeleteObjectRequest> for ObjectDelete {
    type Error = Invalid;

    fn try_from(request: v1::DeleteObjectRequest) -> Result<Self, Invalid> {
        Ok(Self {
            object: required_object(request.object)?,
            timestamp: required_time(request.timestamp, "timestamp")?,
            if_delete_at: request.if_delete_at,
            next_part_power: part_power(request.next_part_power)?,
        })
    }
}

impl From<Deleted> for v1::DeleteObjectResponse {
    fn from(deleted: Deleted) -> Self {
        Self {
            existed: deleted.existed,
            written: deleted.written,
            timestamp: Some(deleted.timestamp.into()),
            previous_metadata: from_metadata(deleted.previous.unwrap_or_default()),
        }
    }
}

impl TryFrom<v1::DeleteObjectResponse> for Deleted {
    type Error = Invalid;

    fn try_from(response: v1::DeleteObjectResponse) -> Result<Self, Invalid> {
        Ok(Self {
            existed: response.existed,
            written: response.written,
            timestamp: required_time(response.timestamp, "timestamp")?,
            previous: previous_metadata(response.previous_metadata),
        })
    }
}

impl From<ByteRange> for v1::ByteRange {
    fn from(range: ByteRange) -> Self {
        Self { first: range.first, last: range.last }
    }
}

impl TryFrom<v1::ByteRange> for ByteRange {
    type Error = Invalid;

    fn try_from(range: v1::ByteRange) -> Result<Self, Invalid> {
        if range.last < range.first {
            return Err(Invalid::new(
                "ranges.last",
                format!("{} is below first, {}", range.last, range.first),
            ));
        }
        Ok(Self { first: range.first, last: range.last })
    }
}

impl From<ReadOptions> for v1::ReadOptions {
    fn from(options: ReadOptions) -> Self {
        let preferences = |list: Vec<FragmentPreference>| v1::FragmentPreferences {
            preferences: list.into_iter().map(Into::into).collect(),
        };
        Self {
            open_expired: options.open_expired,
            now: options.now.map(Into::into),
            fragment_preferences: options.fragment_preferences.map(preferences),
            private: options.private,
        }
    }
}

impl TryFrom<v1::ReadOptions> for ReadOptions {
    type Error = Invalid;

    fn try_from(options: v1::ReadOptions) -> Result<Self, Invalid> {
        let preferences = options.fragment_preferences.map(preferences).transpose();
        Ok(Self {
            open_expired: options.open_expired,
            now: optional_time(options.now, "options.now")?,
            fragment_preferences: preferences.map_err(|i| i.within("options.fragment_preferences"))?,
            private: options.private,
        })
    }
}

fn preferences(list: v1::FragmentPreferences) -> Result<Vec<FragmentPreference>, Invalid> {
    at_most(list.preferences.len(), FRAGMENTS_MAX, "preferences")?;
    let list = list.preferences.into_iter();
    list.map(|preference| preference.try_into().map_err(|i: Invalid| i.within("preferences"))).collect()
}

impl From<FragmentPreference> for v1::FragmentPreference {
    fn from(preference: FragmentPreference) -> Self {
        Self {
            timestamp: Some(preference.timestamp.into()),
            excluded_indexes: preference.excluded.into_iter().map(from_fragment).collect(),
        }
    }
}

impl TryFrom<v1::FragmentPreference> for FragmentPreference {
    type Error = Invalid;

    fn try_from(preference: v1::FragmentPreference) -> Result<Self, Invalid> {
        let indexes = preference.excluded_indexes;
        at_most(indexes.len(), FRAGMENTS_MAX, "excluded_indexes")?;
        Ok(Self {
            timestamp: required_time(preference.timestamp, "timestamp")?,
            excluded: indexes
                .into_iter()
                .map(|i| fragment(i, "excluded_indexes"))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// What a GET asks for.
impl TryFrom<v1::GetObjectRequest> for (ssync_types::ObjectRef, Vec<ByteRange>, ReadOptions) {
    type Error = Invalid;

    fn try_from(request: v1::GetObjectRequest) -> Result<Self, Invalid> {
        at_most(request.ranges.len(), RANGES_MAX, "ranges")?;
        let ranges = request.ranges.into_iter().map(ByteRange::try_from).collect::<Result<_, _>>()?;
        Ok((required_object(request.object)?, ranges, request.options.unwrap_or_default().try_into()?))
    }
}

/// What a HEAD asks for.
impl TryFrom<v1::HeadObjectRequest> for (ssync_types::ObjectRef, ReadOptions) {
    type Error = Invalid;

    fn try_from(request: v1::HeadObjectRequest) -> Result<Self, Invalid> {
        let options = request.options.unwrap_or_default().try_into()?;
        Ok((required_object(request.object)?, options))
    }
}
