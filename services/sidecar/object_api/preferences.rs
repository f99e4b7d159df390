//! Which fragments a proxy would rather have (Swift: obj/server.py GET, obj/diskfile.py _validate_frag_prefs).

use serde_json::Value;
use ssync_types::{FragmentIndex, FragmentPreference, Metadata, Timestamp, python_integer};

use crate::fields::bad;
use crate::status::Refused;

const HEADER: &str = "X-Backend-Fragment-Preferences";
/// Most preferences taken, and most indexes in one: a proxy names each time and fragment that it has seen, which are few.
const PREFERENCES_MAX: usize = 1024;

/// `[{"timestamp": .., "exclude": [..]}, ..]`: fragments of that time, but not those. `None` when the header is not there, or
/// is no JSON: durable fragments only. Swift does not check the rest of what it was told before it stumbles over it; here
/// it is a 400.
pub(super) fn fragment_preferences(headers: &Metadata) -> Result<Option<Vec<FragmentPreference>>, Refused> {
    let told = headers.get(HEADER).and_then(|value| serde_json::from_slice::<Value>(value).ok());
    let preferences = match told {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(items)) if items.len() <= PREFERENCES_MAX => {
            items.iter().map(preference).collect::<Option<_>>()
        }
        // To Python anything empty that can be gone through is an empty list.
        Some(Value::Object(items)) if items.is_empty() => Some(Vec::new()),
        Some(Value::String(text)) if text.is_empty() => Some(Vec::new()),
        Some(_) => None,
    };
    preferences.map(Some).ok_or_else(|| bad(format!("Invalid {HEADER}")))
}

fn preference(item: &Value) -> Option<FragmentPreference> {
    let timestamp = match item.get("timestamp")? {
        Value::String(text) => Timestamp::parse(text.as_bytes()),
        Value::Number(number) => Timestamp::parse(number.to_string().as_bytes()),
        _ => return None,
    };
    let excluded = item.get("exclude")?.as_array().filter(|indexes| indexes.len() <= PREFERENCES_MAX)?;
    let excluded = excluded.iter().map(index).collect::<Option<_>>()?;
    Some(FragmentPreference { timestamp: timestamp.ok()?, excluded })
}

/// An index larger than any excludes nothing.
fn index(item: &Value) -> Option<FragmentIndex> {
    let number = match item {
        Value::String(text) => python_integer(text, 10)?,
        Value::Number(number) => number.as_i64()?,
        _ => return None,
    };
    (number >= 0).then(|| FragmentIndex::new(u16::try_from(number).unwrap_or(u16::MAX)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn read(value: impl Into<Bytes>) -> Result<Option<Vec<FragmentPreference>>, u16> {
        let mut headers = Metadata::new();
        headers.set(HEADER, value);
        fragment_preferences(&headers).map_err(|refused| refused.status)
    }

    #[test]
    fn reads_what_a_proxy_prefers() {
        let at = |seconds, excluded: &[u16]| FragmentPreference {
            timestamp: Timestamp::from_seconds(seconds),
            excluded: excluded.iter().copied().map(FragmentIndex::new).collect(),
        };
        for nothing in ["", "{", "null", "[1"] {
            assert_eq!(read(nothing), Ok(None), "{nothing}");
        }
        for any in ["[]", "{}", "\"\""] {
            assert_eq!(read(any), Ok(Some(Vec::new())), "{any}");
        }
        let one = "[{\"timestamp\": \"0000000010.00000\", \"exclude\": [1, \"3\"], \"more\": null}]";
        assert_eq!(read(one), Ok(Some(vec![at(10, &[1, 3])])));
        let two = "[{\"timestamp\": 30, \"exclude\": []}, {\"timestamp\": \"10\", \"exclude\": [99999999]}]";
        assert_eq!(read(two), Ok(Some(vec![at(30, &[]), at(10, &[u16::MAX])])));
    }

    #[test]
    fn what_is_json_but_no_preference_is_a_400() {
        for bad in [
            "5",
            "true",
            "\"x\"",
            "[1]",
            "[{}]",
            "[[]]",
            "{\"timestamp\": 1}",
            "[{\"timestamp\": \"x\", \"exclude\": []}]",
            "[{\"timestamp\": null, \"exclude\": []}]",
            "[{\"timestamp\": 1}]",
            "[{\"exclude\": []}]",
            "[{\"timestamp\": 1, \"exclude\": 5}]",
            "[{\"timestamp\": 1, \"exclude\": [-1]}]",
            "[{\"timestamp\": 1, \"exclude\": [1.0]}]",
            "[{\"timestamp\": 1, \"exclude\": [true]}]",
        ] {
            assert_eq!(read(bad), Err(400), "{bad}");
        }
    }

    #[test]
    fn so_many_preferences_and_no_more() {
        let list = |item: &str, count| format!("[{}]", vec![item; count].join(","));
        for (count, is_read) in [(PREFERENCES_MAX, true), (PREFERENCES_MAX + 1, false)] {
            let many = list(r#"{"timestamp": 1, "exclude": []}"#, count);
            assert_eq!(read(many).is_ok(), is_read, "{count} preferences");
            let wide = format!(r#"[{{"timestamp": 1, "exclude": {}}}]"#, list("1", count));
            assert_eq!(read(wide).is_ok(), is_read, "{count} indexes");
        }
    }
}
