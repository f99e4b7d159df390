//! What a body's MD5 has to be.

use bytes::Bytes;
use ssync_types::Metadata;

use crate::{
    fields::{bad, etags, normal_etag},
    status::Refused,
};

const MD5_DIGITS: usize = 32;
/// Most etags that an object must not have: more than fit into one line of a head.
const CONDITIONS_MAX: usize = 256;

/// What the client announced.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// Nothing.
    Anything,
    /// This.
    Md5(String),
    /// What no body has: Swift compares texts, and its own are of lower-case digits.
    Nothing,
}

impl Expected {
    /// A footer wins over the header, and may be of upper case (Swift: obj/server.py _read_mime_footers_metadata,
    /// _apply_extra_metadata).
    pub(super) fn of(headers: &Metadata, footers: &Metadata) -> Self {
        let text = |etag: &Bytes| String::from_utf8_lossy(etag).into_owned();
        let footer =
            footers.get("ETag").filter(|etag| !etag.is_empty()).map(|etag| text(etag).to_lowercase());
        let announced = footer.or_else(|| headers.get("ETag").map(text)).unwrap_or_default();
        match normal_etag(&announced) {
            none if none.is_empty() => Self::Anything,
            etag if is_md5(&etag) => Self::Md5(etag),
            _ => Self::Nothing,
        }
    }
}

fn is_md5(etag: &str) -> bool {
    etag.len() == MD5_DIGITS && etag.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The etags that no object of the name may have. What is no MD5 is nobody's etag.
pub(super) fn if_none_match(headers: &Metadata) -> Result<Vec<String>, Refused> {
    let mut unwanted = etags(headers, "If-None-Match");
    unwanted.retain(|etag| etag == "*" || is_md5(etag));
    unwanted.sort_unstable();
    unwanted.dedup();
    match unwanted.len() {
        0..=CONDITIONS_MAX => Ok(unwanted),
        _ => Err(bad(format!("If-None-Match names more than {CONDITIONS_MAX} etags"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_wins_and_texts_are_compared() {
        let lower = "5d41402abc4b2a76b9719d911017c592";
        let upper = lower.to_uppercase();
        let expected = |header: Option<&str>, footer: Option<&str>| {
            let metadata = |etag: Option<&str>| {
                let mut metadata = Metadata::new();
                if let Some(etag) = etag {
                    metadata.set("ETag", etag.to_owned());
                }
                metadata
            };
            Expected::of(&metadata(header), &metadata(footer))
        };
        let md5 = || Expected::Md5(lower.to_owned());
        assert_eq!(expected(None, None), Expected::Anything);
        assert_eq!(expected(Some(""), Some("")), Expected::Anything);
        assert_eq!(expected(Some(&format!("\"{lower}\"")), None), md5());
        assert_eq!(expected(Some("other"), Some(&upper)), md5());
        assert_eq!(expected(Some(lower), Some("")), md5());
        assert_eq!(expected(Some(&upper), None), Expected::Nothing);
        assert_eq!(expected(Some(lower), Some("x")), Expected::Nothing);
    }

    #[test]
    fn only_an_md5_is_unwanted_and_so_many_at_most() {
        let unwanted = |value: &str| {
            let mut headers = Metadata::new();
            headers.set("If-None-Match", value.to_owned());
            if_none_match(&headers).map_err(|refused| refused.status)
        };
        let md5s = |count: usize| (0..count).map(|n| format!("{n:032x}")).collect::<Vec<_>>();
        let [zero] = &md5s(1)[..] else { unreachable!() };
        assert_eq!(
            unwanted(&format!("a, \"{zero}\", *, {zero}, {}, b", zero.to_uppercase())),
            Ok(vec!["*".to_owned(), zero.clone()])
        );
        assert_eq!(unwanted(&"x,".repeat(4000)), Ok(Vec::new()));
        let line = md5s(8192 / (MD5_DIGITS + 1));
        assert_eq!(unwanted(&line.join(",")), Ok(line));
        assert_eq!(unwanted(&md5s(CONDITIONS_MAX).join(",")), Ok(md5s(CONDITIONS_MAX)));
        assert_eq!(unwanted(&md5s(CONDITIONS_MAX + 1).join(",")), Err(400));
    }
}
