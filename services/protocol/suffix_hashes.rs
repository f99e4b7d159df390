//! The body of a REPLICATE answer: a pickle of suffix hashes (Swift: obj/server.py REPLICATE).

use ssync_pickle::Value;
use ssync_types::{FragmentIndex, Invalid, Suffix, SuffixHash, SuffixHashes};

const FIELD: &str = "suffix_hashes";

/// The pickle of a partition's hashes. The dialect is the one that Python 2 peers read, too.
#[must_use]
pub fn suffix_hashes_to_pickle(hashes: &SuffixHashes) -> Vec<u8> {
    let pairs = hashes.iter().map(|(suffix, hash)| (Value::text(suffix.to_string()), to_value(hash)));
    ssync_pickle::write(&Value::Dict(pairs.collect()))
}

fn to_value(hash: &SuffixHash) -> Value {
    match hash {
        SuffixHash::Replicated(hash) => Value::text(hash),
        SuffixHash::Fragments(hashes) => {
            let key = |index: &Option<FragmentIndex>| {
                index.map_or(Value::None, |index| Value::Int(index.get().into()))
            };
            Value::Dict(hashes.iter().map(|(index, hash)| (key(index), Value::text(hash))).collect())
        }
        SuffixHash::Unknown => Value::None,
    }
}

/// Reads a peer's answer. A key that is no suffix cannot equal one of ours, so it is passed over; a hash of another form
/// than Swift's is refused.
pub fn suffix_hashes_from_pickle(pickle: &[u8]) -> Result<SuffixHashes, Invalid> {
    let value = ssync_pickle::read(pickle).map_err(|error| Invalid::new(FIELD, error.to_string()))?;
    let pairs = value.as_dict().ok_or_else(|| Invalid::new(FIELD, "the answer is no dict of hashes"))?;
    let mut hashes = SuffixHashes::new();
    for (key, value) in pairs {
        if let Some(suffix) = key.as_raw().and_then(Suffix::from_name) {
            hashes.insert(suffix, from_value(suffix, value)?);
        }
    }
    Ok(hashes)
}

fn from_value(suffix: Suffix, value: &Value) -> Result<SuffixHash, Invalid> {
    if matches!(value, Value::None) {
        // So Swift says that it could not read the suffix (diskfile.py __get_hashes, 'Error hashing suffix').
        return Ok(SuffixHash::Unknown);
    }
    let Some(pairs) = value.as_dict() else { return md5_of(suffix, value).map(SuffixHash::Replicated) };
    pairs
        .iter()
        .map(|(key, value)| {
            let index = match key {
                Value::None => None,
                Value::Int(index) => Some(FragmentIndex::new(
                    u16::try_from(*index).map_err(|_| bad(suffix, "a fragment index is out of range"))?,
                )),
                _ => return Err(bad(suffix, "a fragment index is no number")),
            };
            Ok((index, md5_of(suffix, value)?))
        })
        .collect::<Result<_, _>>()
        .map(SuffixHash::Fragments)
}

fn md5_of(suffix: Suffix, value: &Value) -> Result<String, Invalid> {
    let lower_hex =
        |text: &&str| text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let hash = value.as_str().filter(lower_hex);
    hash.map(str::to_owned).ok_or_else(|| bad(suffix, "the hash is not 32 lower-case hex digits"))
}

fn bad(suffix: Suffix, problem: &str) -> Invalid {
    Invalid::new(format!("{FIELD}.{suffix}"), problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded answers of stock servers.
    const EMPTY: &[u8] = b"\x80\x02}q\x00.";
    const ONE: &[u8] =
        b"\x80\x02}q\x00X\x03\x00\x00\x0011dq\x01X \x00\x00\x00801c19033e79de694c4a24c293d6f5beq\x02s.";
    const FRAGMENTS: &[u8] = b"\x80\x02}q\x00X\x03\x00\x00\x001c9q\x01}q\x02(K\x00X \x00\x00\x00\
        60c2fa8c20d8945ebf70fe2baf229388q\x03NX \x00\x00\x008cfd084cf1391f8c6b903faae0540333q\x04us.";

    #[test]
    fn writes_what_swift_writes() {
        assert_eq!(suffix_hashes_to_pickle(&SuffixHashes::new()), EMPTY);
        let one = suffix_hashes_from_pickle(ONE).unwrap();
        assert_eq!(one.len(), 1);
        assert_eq!(suffix_hashes_to_pickle(&one), ONE);
    }

    #[test]
    fn reads_fragments() {
        let hashes = suffix_hashes_from_pickle(FRAGMENTS).unwrap();
        let SuffixHash::Fragments(fragments) = &hashes[&"1c9".parse().unwrap()] else { panic!("{hashes:?}") };
        assert_eq!(fragments[&None], "8cfd084cf1391f8c6b903faae0540333");
        assert_eq!(fragments[&Some(FragmentIndex::new(0))], "60c2fa8c20d8945ebf70fe2baf229388");
        assert_eq!(suffix_hashes_from_pickle(&suffix_hashes_to_pickle(&hashes)).unwrap(), hashes);
    }

    /// Recorded of `pickle.dumps({"11d": None}, protocol=2)`.
    #[test]
    fn a_suffix_that_could_not_be_read_does_not_spoil_the_others() {
        const UNREADABLE: &[u8] = b"\x80\x02}q\x00X\x03\x00\x00\x0011dq\x01Ns.";
        let hashes = suffix_hashes_from_pickle(UNREADABLE).unwrap();
        assert_eq!(hashes, [("11d".parse().unwrap(), SuffixHash::Unknown)].into());
        assert_eq!(suffix_hashes_to_pickle(&hashes), UNREADABLE);
    }

    #[test]
    fn passes_over_keys_that_are_no_suffix() {
        let extra =
            Value::Dict(vec![(Value::text("valid"), Value::Bool(true)), (Value::Int(1), Value::None)]);
        assert!(suffix_hashes_from_pickle(&ssync_pickle::write(&extra)).unwrap().is_empty());
    }

    #[test]
    fn refuses_what_is_no_answer() {
        for bad in [
            &b""[..],
            b"<html>",
            b"\x80\x02N.",
            &ONE[..20],
            b"\x80\x02}q\x00X\x03\x00\x00\x0011dq\x01K\x01s.",
        ] {
            assert!(suffix_hashes_from_pickle(bad).is_err());
        }
        let index = |key| {
            Value::Dict(vec![(Value::text("11d"), Value::Dict(vec![(key, Value::text("0".repeat(32)))]))])
        };
        assert!(suffix_hashes_from_pickle(&ssync_pickle::write(&index(Value::Int(3)))).is_ok());
        for key in [Value::Int(-1), Value::Int(70_000), Value::text("0")] {
            assert!(suffix_hashes_from_pickle(&ssync_pickle::write(&index(key))).is_err());
        }
    }
}
