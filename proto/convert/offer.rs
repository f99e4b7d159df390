//! Offers and wants.

use ssync_types::{Invalid, ObjectHash, ObjectKind, Offer, Timestamp, Want};

use super::{OFFERS_MAX, WANTS_MAX, at_most, timestamp::optional_time, timestamp::required_time};
use crate::v1;

/// The offers of one message.
pub fn offers(offers: Vec<v1::ObjectOffer>) -> Result<Vec<Offer>, Invalid> {
    at_most(offers.len(), OFFERS_MAX, "offers")?;
    offers
        .into_iter()
        .map(|offer| Offer::try_from(offer).map_err(|invalid| invalid.within("offers")))
        .collect()
}

/// The wants of one message.
pub fn wants(wants: Vec<v1::ObjectWant>) -> Result<Vec<Want>, Invalid> {
    at_most(wants.len(), WANTS_MAX, "wants")?;
    wants.into_iter().map(|want| Want::try_from(want).map_err(|invalid| invalid.within("wants"))).collect()
}

impl From<Offer> for v1::ObjectOffer {
    fn from(offer: Offer) -> Self {
        let unless_data = |time: Timestamp| (time != offer.data).then(|| time.into());
        Self {
            object_hash: offer.hash.to_string(),
            data_timestamp: Some(offer.data.into()),
            metadata_timestamp: unless_data(offer.metadata),
            content_type_timestamp: unless_data(offer.content_type),
            kind: v1::ObjectKind::from(offer.kind).into(),
            non_durable: !offer.durable,
        }
    }
}

impl TryFrom<v1::ObjectOffer> for Offer {
    type Error = Invalid;

    fn try_from(offer: v1::ObjectOffer) -> Result<Self, Invalid> {
        let data = required_time(offer.data_timestamp, "data_timestamp")?;
        let metadata = optional_time(offer.metadata_timestamp, "metadata_timestamp")?;
        let content_type = optional_time(offer.content_type_timestamp, "content_type_timestamp")?;
        Ok(Self {
            hash: offer.object_hash.parse::<ObjectHash>()?,
            data,
            metadata: metadata.unwrap_or(data),
            content_type: content_type.unwrap_or(data),
            kind: kind(offer.kind)?,
            durable: !offer.non_durable,
        })
    }
}

impl From<Option<ObjectKind>> for v1::ObjectKind {
    fn from(kind: Option<ObjectKind>) -> Self {
        match kind {
            None => Self::Unspecified,
            Some(ObjectKind::Data) => Self::Data,
            Some(ObjectKind::Tombstone) => Self::Tombstone,
        }
    }
}

/// The enumeration is frozen, so an unknown value is an error.
fn kind(kind: i32) -> Result<Option<ObjectKind>, Invalid> {
    match v1::ObjectKind::try_from(kind) {
        Ok(v1::ObjectKind::Unspecified) => Ok(None),
        Ok(v1::ObjectKind::Data) => Ok(Some(ObjectKind::Data)),
        Ok(v1::ObjectKind::Tombstone) => Ok(Some(ObjectKind::Tombstone)),
        Err(_) => Err(Invalid::new("kind", format!("{kind} is no ObjectKind"))),
    }
}

impl From<Want> for v1::ObjectWant {
    fn from(want: Want) -> Self {
        Self {
            object_hash: want.hash.to_string(),
            data: want.data,
            metadata: want.metadata,
            durable_mark: want.durable_mark,
        }
    }
}

impl TryFrom<v1::ObjectWant> for Want {
    type Error = Invalid;

    fn try_from(want: v1::ObjectWant) -> Result<Self, Invalid> {
        if !(want.data || want.metadata || want.durable_mark) {
            return Err(Invalid::new("data", "a want that wants nothing"));
        }
        Ok(Self {
            hash: want.object_hash.parse()?,
            data: want.data,
            metadata: want.metadata,
            durable_mark: want.durable_mark,
        })
    }
}
