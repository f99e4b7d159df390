//! Where objects live.

use ssync_types::{FragmentIndex, Invalid, ObjectPath, ObjectRef, Partition, PartitionRef, PolicyIndex};

use super::required;
use crate::v1;

/// Swift's ring knows part powers up to 32.
const PART_POWER_MAX: u32 = 32;

impl From<PartitionRef> for v1::PartitionRef {
    fn from(partition: PartitionRef) -> Self {
        Self {
            device: partition.device.to_string(),
            partition: partition.partition.get(),
            policy_index: partition.policy.get(),
            fragment_index: partition.fragment.map(from_fragment),
        }
    }
}

impl TryFrom<v1::PartitionRef> for PartitionRef {
    type Error = Invalid;

    fn try_from(partition: v1::PartitionRef) -> Result<Self, Invalid> {
        Ok(Self {
            device: partition.device.parse()?,
            partition: Partition::new(partition.partition),
            policy: PolicyIndex::new(partition.policy_index),
            fragment: partition.fragment_index.map(|index| fragment(index, "fragment_index")).transpose()?,
        })
    }
}

/// The field `partition` of a request, or of a stream's first message.
pub fn partition(partition: Option<v1::PartitionRef>) -> Result<PartitionRef, Invalid> {
    PartitionRef::try_from(required(partition, "partition")?).map_err(|invalid| invalid.within("partition"))
}

impl From<ObjectRef> for v1::ObjectRef {
    fn from(object: ObjectRef) -> Self {
        Self { partition: Some(object.partition.into()), path: object.path.to_bytes() }
    }
}

impl TryFrom<v1::ObjectRef> for ObjectRef {
    type Error = Invalid;

    fn try_from(object: v1::ObjectRef) -> Result<Self, Invalid> {
        Ok(Self { partition: partition(object.partition)?, path: ObjectPath::parse(object.path)? })
    }
}

pub(super) fn required_object(object: Option<v1::ObjectRef>) -> Result<ObjectRef, Invalid> {
    ObjectRef::try_from(required(object, "object")?).map_err(|invalid| invalid.within("object"))
}

pub(super) fn fragment(index: u32, field: &str) -> Result<FragmentIndex, Invalid> {
    u16::try_from(index)
        .map(FragmentIndex::new)
        .map_err(|_| Invalid::new(field, format!("{index} is beyond any erasure code")))
}

pub(super) fn from_fragment(index: FragmentIndex) -> u32 {
    u32::from(index.get())
}

pub(super) fn part_power(power: Option<u32>) -> Result<Option<u32>, Invalid> {
    match power {
        Some(power) if power > PART_POWER_MAX => {
            Err(Invalid::new("next_part_power", format!("{power} is more than {PART_POWER_MAX}")))
        }
        power => Ok(power),
    }
}
