//! What goes over the network goes through the messages of the contract, there and back.

use prost::Message;
use ssync_api::{convert, status, v1};
use ssync_types::{Invalid, Offer, PartitionRef, Refusal, SuffixHashes, Want};

/// A value as its message arrives.
pub(crate) fn through<W, T>(value: T) -> Result<T, Refusal>
where
    W: Message + Default + From<T>,
    T: TryFrom<W>,
    T::Error: Into<Refusal>,
{
    T::try_from(bytes(&W::from(value))).map_err(Into::into)
}

fn bytes<W: Message + Default>(message: &W) -> W {
    W::decode(message.encode_to_vec().as_slice()).expect("a message that was just encoded")
}

/// A refusal as its status arrives.
pub(crate) fn refusal(refusal: &Refusal) -> Refusal {
    status::from_status(&status::to_status(refusal))
}

pub(crate) fn partition(partition: PartitionRef) -> Result<PartitionRef, Refusal> {
    through::<v1::PartitionRef, _>(partition)
}

pub(crate) fn offers(offers: Vec<Offer>) -> Result<Vec<Offer>, Refusal> {
    let offers: Vec<v1::ObjectOffer> = offers.into_iter().map(Into::into).collect();
    Ok(convert::offers(offers.iter().map(bytes).collect())?)
}

pub(crate) fn wants(wants: Vec<Want>) -> Result<Vec<Want>, Refusal> {
    let wants: Vec<v1::ObjectWant> = wants.into_iter().map(Into::into).collect();
    Ok(convert::wants(wants.iter().map(bytes).collect())?)
}

pub(crate) fn hashes(hashes: SuffixHashes) -> Result<SuffixHashes, Invalid> {
    convert::suffix_hashes(bytes(&convert::to_suffix_hashes(hashes)))
}
