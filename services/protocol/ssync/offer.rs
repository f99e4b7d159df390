//! One line of the sender's list: an object's hash and times (Swift: encode_missing, decode_missing).

use std::fmt::Write as _;

use ssync_types::{Invalid, ObjectHash, Offer, Timestamp, config_true};

use super::{repr_str, unquote};

/// Hex digits of a difference of two times; 10^15 ticks need 13.
const DELTA_DIGITS_MAX: usize = 15;

/// The line of an offer, without its end.
#[must_use]
pub fn encode_offer(offer: &Offer) -> String {
    // Neither part has a character that quoting would change.
    let mut line = format!("{} {}", offer.hash, offer.data.internal());
    let mut separator = ' ';
    if offer.metadata != offer.data {
        push_delta(&mut line, separator, 'm', offer.metadata, offer.data);
        separator = ',';
        if offer.content_type != offer.data {
            push_delta(&mut line, separator, 't', offer.content_type, offer.data);
        }
    }
    if !offer.durable {
        line.push(separator);
        line.push_str("durable:False");
    }
    line
}

fn push_delta(line: &mut String, separator: char, key: char, time: Timestamp, base: Timestamp) {
    let delta = time.ticks_since(base);
    let sign = if delta < 0 { "-" } else { "" };
    // Writing to a String cannot fail.
    let _ = write!(line, "{separator}{key}:{sign}{:x}", delta.unsigned_abs());
    if time.offset() != 0 {
        let _ = write!(line, "__{:x}", time.offset());
    }
}

/// Reads a line. What a later version of the protocol may add is passed over, as in Swift: further words, and items
/// with other keys or without a colon.
pub fn decode_offer(line: &[u8]) -> Result<Offer, Invalid> {
    if let Some(at) = line.iter().position(|byte| !byte.is_ascii()) {
        let byte = line.get(at).copied().unwrap_or_default();
        let problem = format!(
            "'ascii' codec can't decode byte 0x{byte:02x} in position {at}: ordinal not in range(128)"
        );
        return Err(Invalid::new("offer", problem));
    }
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let hash = text_of(words.next(), "offer.object_hash")?;
    let data = text_of(words.next(), "offer.timestamp")?;
    let data = data.parse::<Timestamp>().map_err(|_| no_timestamp(&data))?;
    // Swift looks for whatever stands there, wherever that leads to (rule S7).
    let mut offer = Offer::of_one_time(hash.parse::<ObjectHash>()?, data, None);
    let Some(extras) = words.next() else { return Ok(offer) };
    for item in text_of(Some(extras), "offer.extras")?.split(',') {
        if let Some((key, value)) = item.split_once(':') {
            apply_extra(&mut offer, key, value)?;
        }
    }
    Ok(offer)
}

/// What Python says of a text that is no time (Swift: utils.timestamp Timestamp).
fn no_timestamp(text: &str) -> Invalid {
    let seconds = text.split('_').next().unwrap_or_default();
    let problem = match seconds.trim().parse::<f64>() {
        Ok(number) if number.is_nan() => "cannot convert float NaN to integer".to_owned(),
        Ok(number) if number.is_infinite() => "cannot convert float infinity to integer".to_owned(),
        Ok(number) if number < 0.0 => "timestamp cannot be negative".to_owned(),
        Ok(_) => format!("{text:?} is no Swift timestamp"),
        Err(_) => format!("could not convert string to float: {}", repr_str(seconds)),
    };
    Invalid::new("offer.timestamp", problem)
}

fn apply_extra(offer: &mut Offer, key: &str, value: &str) -> Result<(), Invalid> {
    match key {
        "m" => offer.metadata = shifted(offer.data, value)?,
        "t" => offer.content_type = shifted(offer.data, value)?,
        "durable" => offer.durable = config_true(value.as_bytes()),
        _ => {}
    }
    Ok(())
}

fn text_of(word: Option<&[u8]>, field: &str) -> Result<String, Invalid> {
    let word = word.ok_or_else(|| Invalid::new(field, "list index out of range"))?;
    String::from_utf8(unquote(word))
        .map_err(|_| Invalid::new(field, format!("{:?} is not text", String::from_utf8_lossy(word))))
}

/// `base` without its offset, `text` later: hex ticks, and an offset after `__`.
fn shifted(base: Timestamp, text: &str) -> Result<Timestamp, Invalid> {
    let (delta, offset) = text.split_once("__").unwrap_or((text, "0"));
    let (negative, digits) = match delta.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, delta),
    };
    let ticks = hex(digits, DELTA_DIGITS_MAX).and_then(|ticks| i64::try_from(ticks).ok());
    match (ticks, hex(offset, 16)) {
        (Some(ticks), Some(offset)) => base.shifted(if negative { -ticks } else { ticks }, offset),
        (ticks, _) => {
            let wrong = if ticks.is_none() { delta } else { offset };
            let problem = format!("invalid literal for int() with base 16: {}", repr_str(wrong));
            Err(Invalid::new("offer.extras", problem))
        }
    }
}

fn hex(digits: &str, digits_max: usize) -> Option<u64> {
    let plain =
        !digits.is_empty() && digits.len() <= digits_max && digits.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "9d41d8cd98f00b204e9800998ecf0abc";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn offer(data: &str, metadata: &str, content_type: &str, durable: bool) -> Offer {
        Offer {
            hash: HASH.parse().unwrap(),
            data: at(data),
            metadata: at(metadata),
            content_type: at(content_type),
            kind: None,
            durable,
        }
    }

    #[test]
    fn writes_and_reads_what_swift_writes() {
        let data = "1380144470.00000";
        let later = "1380144472.22222";
        let vectors = [
            (offer(data, data, data, true), "1380144470.00000"),
            (offer(data, later, data, true), "1380144470.00000 m:3640e"),
            (offer(data, later, "1380144471.11111", true), "1380144470.00000 m:3640e,t:1b207"),
            (
                offer("1380144470.00000_1", "1380144472.22222_2", "1380144470.00000_1", true),
                "1380144470.00000_0000000000000001 m:3640e__2",
            ),
            (offer(data, data, data, false), "1380144470.00000 durable:False"),
            (offer(data, later, "1380144471.11111", false), "1380144470.00000 m:3640e,t:1b207,durable:False"),
        ];
        for (offer, tail) in vectors {
            let line = format!("{HASH} {tail}");
            assert_eq!(encode_offer(&offer), line);
            assert_eq!(decode_offer(format!("{line}\r\n").as_bytes()).unwrap(), offer, "{line}");
        }
    }

    #[test]
    fn reads_the_recorded_lines() {
        let posted =
            decode_offer(b"5ce9e65943d550f8643a5a7f15c84234 1795248854.00000 m:1e8480,t:f4240\r\n").unwrap();
        assert_eq!(posted.metadata, at("1795248874.00000"));
        assert_eq!(posted.content_type, at("1795248864.00000"));
        let offset =
            decode_offer(b"782f5cf633cea42a3d8f41e2b008da2b 1795248860.00000_0000000000000001\r\n").unwrap();
        assert_eq!((offset.data.offset(), offset.metadata), (1, offset.data));
    }

    #[test]
    fn leaves_the_offset_of_the_data_out_of_the_sum() {
        let read = decode_offer(format!("{HASH} 1.00000_0000000000000001 m:64").as_bytes()).unwrap();
        assert_eq!(read.metadata, at("1.00100"));
        assert_eq!(read.content_type, read.data);
    }

    #[test]
    fn reads_a_delta_backwards() {
        let read = decode_offer(format!("{HASH} 10.00000 m:-64").as_bytes()).unwrap();
        assert_eq!(read.metadata, at("9.99900"));
        assert_eq!(encode_offer(&read), format!("{HASH} 0000000010.00000 m:-64"));
    }

    #[test]
    fn passes_over_what_it_does_not_know() {
        let plain = offer("1.0", "1.0", "1.0", true);
        for tail in ["x:1", "x", ",,", "x:1,durable:true", "durable:yes more words", "x%3A1", "%6D"] {
            assert_eq!(decode_offer(format!("{HASH} 1.0 {tail}").as_bytes()).unwrap(), plain, "{tail}");
        }
        let quoted = format!("%39{}  1%2E0\tdurable%3Ano", &HASH[1..]);
        assert!(!decode_offer(quoted.as_bytes()).unwrap().durable);
    }

    #[test]
    fn says_what_python_says() {
        let good = format!("{HASH} 1.0");
        let vectors = [
            ("", "list index out of range"),
            (HASH, "list index out of range"),
            (&format!("{HASH} xx_1"), "could not convert string to float: 'xx'"),
            (&format!("{HASH} nan"), "cannot convert float NaN to integer"),
            (&format!("{HASH} -inf"), "cannot convert float infinity to integer"),
            (&format!("{HASH} -1"), "timestamp cannot be negative"),
            (&format!("{good} m:"), "invalid literal for int() with base 16: ''"),
            (&format!("{good} m:1__zz"), "invalid literal for int() with base 16: 'zz'"),
            (
                &format!("{good} \u{e9}"),
                "'ascii' codec can't decode byte 0xc3 in position 37: ordinal not in range(128)",
            ),
        ];
        for (line, problem) in vectors {
            assert_eq!(decode_offer(line.as_bytes()).unwrap_err().problem, problem, "{line}");
        }
    }

    #[test]
    fn refuses_what_is_not_an_offer() {
        let good = format!("{HASH} 1.0");
        for bad in [
            "",
            "\r\n",
            HASH,
            "../../etc 1.0",
            &format!("{HASH} x"),
            &format!("{good} m:"),
            &format!("{good} m:x"),
        ] {
            assert!(decode_offer(bad.as_bytes()).is_err(), "{bad:?}");
        }
        for extra in
            ["m:1__", "m:1__x", "m:--1", "m:ffffffffffffffff", "m:-fffff", "t:1:2", "m:1__11111111111111111"]
        {
            assert!(decode_offer(format!("{good} {extra}").as_bytes()).is_err(), "{extra}");
        }
        assert!(decode_offer(format!("{HASH} 1.0 m:\u{e9}").as_bytes()).is_err());
    }
}
