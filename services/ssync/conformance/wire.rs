//! Messages in the JSON form that protobuf defines, so that authors of other languages can read the same vectors.

use anyhow::{Context as _, anyhow};
use prost::Message;
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, SerializeOptions};
use serde_json::Value;
use ssync_api::{
    FILE_DESCRIPTOR_SET,
    status::from_rpc_status,
    v1::{UpdateResult, UpdatesResponse, updates_response},
};

/// The contract, by reflection.
#[derive(Debug)]
pub(crate) struct Contract {
    pool: DescriptorPool,
}

impl Contract {
    pub(crate) fn load() -> anyhow::Result<Self> {
        Ok(Self { pool: DescriptorPool::decode(FILE_DESCRIPTOR_SET).context("the contract")? })
    }

    fn descriptor(&self, name: &str) -> anyhow::Result<prost_reflect::MessageDescriptor> {
        let name = format!("ssync.v1.{name}");
        self.pool.get_message_by_name(&name).ok_or_else(|| anyhow!("the contract has no {name}"))
    }

    /// A message of a vector.
    pub(crate) fn read<M: Message + Default>(&self, name: &str, value: &Value) -> anyhow::Result<M> {
        let options = DeserializeOptions::new().deny_unknown_fields(true);
        let message = DynamicMessage::deserialize_with_options(self.descriptor(name)?, value, &options);
        let message = message.with_context(|| value.to_string())?;
        Ok(M::decode(message.encode_to_vec().as_slice())?)
    }

    /// A message of a receiver.
    pub(crate) fn write(&self, name: &str, message: &impl Message) -> anyhow::Result<Value> {
        let message = DynamicMessage::decode(self.descriptor(name)?, message.encode_to_vec().as_slice())?;
        let options = SerializeOptions::new().skip_default_fields(false);
        Ok(message.serialize_with_options(serde_json::value::Serializer, &options)?)
    }

    /// An answer of `Updates`, its errors by their reasons.
    pub(crate) fn write_answer(&self, answer: UpdatesResponse) -> anyhow::Result<(Value, Vec<Value>)> {
        let Some(updates_response::Message::Results(results)) = answer.message else {
            return Ok((self.write("UpdatesResponse", &answer)?, Vec::new()));
        };
        let results = results.results.into_iter().map(|result| self.write_result(result));
        Ok((Value::Null, results.collect::<anyhow::Result<_>>()?))
    }

    fn write_result(&self, mut result: UpdateResult) -> anyhow::Result<Value> {
        let error = result.error.take().map(|status| from_rpc_status(&status));
        let mut value = self.write("UpdateResult", &result)?;
        if let Some(refusal) = error {
            value["error"] = serde_json::json!({"reason": refusal.reason.name(), "field": refusal.field});
        }
        Ok(value)
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with padding (RFC 4648, section 4).
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, i| bits << 8 | u32::from(group.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            let digit = ALPHABET.get((bits >> (18 - 6 * i)) as usize & 63).copied().unwrap_or(b'=');
            text.push(if i <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// The same back.
pub(crate) fn from_base64(text: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for digit in text.bytes().filter(|&digit| digit != b'=') {
        let value = ALPHABET.iter().position(|&known| known == digit);
        let value = value.with_context(|| format!("{text:?} is not base64"))?;
        bits = bits << 6 | u32::try_from(value)?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_leads_there_and_back() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(to_base64(bytes.as_bytes()), text);
            assert_eq!(from_base64(text).unwrap(), bytes.as_bytes());
        }
        assert!(from_base64("?").is_err());
    }
}
