//! What a body's metadata and a later POST's say together (Swift: diskfile.py _construct_from_data_file).

use ssync_types::{HeaderName, Metadata, Timestamp, python_integer};

/// What only a PUT sets: these come from the body's file, whatever a POST left.
fn is_of_the_body(name: &HeaderName) -> bool {
    ["Content-Length", "Deleted", "ETag", "X-Static-Large-Object"].into_iter().any(|known| name.is(known))
        || name.starts_with("X-Object-Sysmeta-")
}

/// The metadata of a POST, overlaid with what belongs to the body.
pub(crate) fn overlay(meta: &Metadata, data: &Metadata, data_time: Timestamp) -> Metadata {
    let mut merged = meta.clone();
    merged.extend(
        data.iter()
            .filter(|(name, _)| is_of_the_body(name))
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    if let Some(own) = data.get("Content-Type")
        && content_type_time(meta).is_none_or(|time| data_time > time)
    {
        merged.set("Content-Type", own.clone());
        merged.remove("Content-Type-Timestamp");
    }
    merged
}

/// Takes the content type of another POST where that is newer than this one's and the body's.
pub(crate) fn content_type(meta: &mut Metadata, other: &Metadata, data_time: Timestamp) {
    let (Some(value), Some(time), Some(text)) =
        (other.get("Content-Type"), content_type_time(other), other.get("Content-Type-Timestamp"))
    else {
        return;
    };
    if Some(time) > content_type_time(meta) && time > data_time {
        meta.set("Content-Type", value.clone());
        meta.set("Content-Type-Timestamp", text.clone());
    }
}

/// The time of the content type, where it is not the body's own.
pub(crate) fn content_type_time(metadata: &Metadata) -> Option<Timestamp> {
    Timestamp::parse(metadata.get("Content-Type-Timestamp")?).ok()
}

/// A whole number as Swift reads it from a header: each byte is a character to Python.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let text: String = text.iter().copied().map(char::from).collect();
    python_integer(&text, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(pairs: &[(&'static str, &'static str)]) -> Metadata {
        let mut metadata = Metadata::new();
        for (name, value) in pairs {
            metadata.set(name, *value);
        }
        metadata
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_post_replaces_user_metadata_but_not_what_belongs_to_the_body() {
        let data = metadata(&[
            ("X-Timestamp", "1"),
            ("Content-Type", "text/plain"),
            ("Content-Length", "3"),
            ("ETag", "e"),
            ("X-Object-Meta-Old", "1"),
            ("X-Object-Sysmeta-Keep", "1"),
            ("X-Static-Large-Object", "True"),
        ]);
        let meta =
            metadata(&[("X-Timestamp", "2"), ("X-Object-Meta-New", "1"), ("X-Object-Sysmeta-Keep", "no")]);
        let merged = overlay(&meta, &data, at("1"));
        let expected = metadata(&[
            ("X-Timestamp", "2"),
            ("Content-Type", "text/plain"),
            ("Content-Length", "3"),
            ("ETag", "e"),
            ("X-Object-Meta-New", "1"),
            ("X-Object-Sysmeta-Keep", "1"),
            ("X-Static-Large-Object", "True"),
        ]);
        assert_eq!(merged, expected);
    }

    #[test]
    fn the_newer_content_type_counts() {
        let data = metadata(&[("Content-Type", "text/plain")]);
        let meta = metadata(&[("Content-Type", "image/png"), ("Content-Type-Timestamp", "0000000005.00000")]);
        assert_eq!(overlay(&meta, &data, at("4")).get_str("Content-Type"), Some("image/png"));
        let older = overlay(&meta, &data, at("6"));
        assert_eq!(older.get_str("Content-Type"), Some("text/plain"));
        assert_eq!(older.get("Content-Type-Timestamp"), None);

        let mut newest = metadata(&[("X-Timestamp", "8")]);
        content_type(&mut newest, &meta, at("4"));
        assert_eq!(newest.get_str("Content-Type"), Some("image/png"));
        let mut newest = metadata(&[("X-Timestamp", "8")]);
        content_type(&mut newest, &meta, at("5"));
        assert_eq!(newest.get("Content-Type"), None, "not newer than the body");
    }

    #[test]
    fn numbers_are_read_as_python_reads_them() {
        assert_eq!(integer(b" +12\n"), Some(12));
        assert_eq!(integer(b"-3"), Some(-3));
        assert_eq!(integer(b"\xa01_000"), Some(1000), "a space of Latin-1, and a mark between digits");
        assert_eq!(integer(b"99999999999999999999"), Some(i64::MAX), "a time that never comes is one");
        assert_eq!(integer(b"-99999999999999999999"), Some(i64::MIN));
        for bad in [&b""[..], b"1.5", b"0x1", b"one", b"\xff"] {
            assert_eq!(integer(bad), None);
        }
    }
}
