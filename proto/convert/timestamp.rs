//! Times.

use ssync_types::{Invalid, Timestamp};

use super::{named, required};
use crate::v1;

impl From<Timestamp> for v1::SwiftTimestamp {
    fn from(time: Timestamp) -> Self {
        Self { ticks: time.ticks(), offset: time.offset() }
    }
}

impl TryFrom<v1::SwiftTimestamp> for Timestamp {
    type Error = Invalid;

    fn try_from(time: v1::SwiftTimestamp) -> Result<Self, Invalid> {
        Self::new(time.ticks, time.offset).map_err(named("ticks"))
    }
}

pub(super) fn required_time(time: Option<v1::SwiftTimestamp>, field: &str) -> Result<Timestamp, Invalid> {
    Timestamp::try_from(required(time, field)?).map_err(|invalid| invalid.within(field))
}

pub(super) fn optional_time(
    time: Option<v1::SwiftTimestamp>,
    field: &str,
) -> Result<Option<Timestamp>, Invalid> {
    time.map(Timestamp::try_from).transpose().map_err(|invalid| invalid.within(field))
}
