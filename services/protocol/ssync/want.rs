//! One line of the receiver's list: which parts of an object it lacks (Swift: encode_wanted, decode_wanted).

use ssync_types::{Invalid, ObjectHash, Want};

use super::unquote;

/// The line of a want, without its end; `None` when only a durable mark is lacking, for which SSYNC has no letter: the
/// receiver sets it before it answers.
#[must_use]
pub fn encode_want(want: &Want) -> Option<String> {
    let parts = match (want.data, want.metadata) {
        (true, true) => "dm",
        (true, false) => "d",
        (false, true) => "m",
        (false, false) => return None,
    };
    Some(format!("{} {parts}", want.hash))
}

/// Reads a line; `None` for a blank one. A hash alone is the want of a receiver from before 2014, for the body.
pub fn decode_want(line: &[u8]) -> Result<Option<Want>, Invalid> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let Some(hash) = words.next() else { return Ok(None) };
    let hash = String::from_utf8_lossy(&unquote(hash)).parse::<ObjectHash>()?;
    let parts = words.next().unwrap_or_default();
    let metadata = parts.contains(&b'm');
    Ok(Some(Want { hash, data: parts.contains(&b'd') || !metadata, metadata, durable_mark: false }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "51f2603f99f254d89472801b7966bf14";

    fn want(data: bool, metadata: bool) -> Want {
        Want { hash: HASH.parse().unwrap(), data, metadata, durable_mark: false }
    }

    #[test]
    fn writes_and_reads_what_swift_writes() {
        for (want, parts) in [(want(true, true), "dm"), (want(true, false), "d"), (want(false, true), "m")] {
            let line = format!("{HASH} {parts}");
            assert_eq!(encode_want(&want).as_deref(), Some(line.as_str()));
            assert_eq!(decode_want(format!("{line}\r\n").as_bytes()), Ok(Some(want)));
        }
        assert_eq!(encode_want(&Want { durable_mark: true, ..want(false, false) }), None);
    }

    #[test]
    fn reads_other_receivers() {
        assert_eq!(decode_want(HASH.as_bytes()), Ok(Some(want(true, false))));
        assert_eq!(decode_want(format!("{HASH} z").as_bytes()), Ok(Some(want(true, false))));
        assert_eq!(decode_want(b"\r\n"), Ok(None));
        assert!(decode_want(b"Unexpected words").is_err());
        assert!(decode_want(b"\xff\xfe d").is_err());
    }
}
