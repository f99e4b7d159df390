//! The footers of a PUT: metadata that is known when the body has been sent (Swift: obj/server.py _parse_footer).

use bytes::Bytes;
use md5::{Digest as _, Md5};
use serde_json::Value;
use ssync_types::{HeaderName, Metadata};

use crate::{
    hex::hex,
    http::{MimeHead, Response},
    status::{HTML, Refused},
};

/// Most bytes of the document: as many as a request's headers may have.
pub(super) const FOOTER_BYTES_MAX: usize = 65_536;

/// An answer with this text.
pub(super) fn said(status: u16, text: &'static str) -> Refused {
    Box::new(Response::new(status, HTML, text))
}

/// What the document says.
pub(super) fn parse(head: &MimeHead, body: &[u8]) -> Result<Metadata, Refused> {
    let announced = head.get("Content-MD5").filter(|md5| !md5.is_empty());
    let announced = announced.ok_or_else(|| said(400, "no Content-MD5 in footer"))?;
    if announced != hex(&Md5::digest(body)).as_bytes() {
        return Err(said(422, "footer MD5 mismatch"));
    }
    let invalid = || said(400, "invalid JSON for footer doc");
    let fields = match serde_json::from_slice(body).map_err(|_| invalid())? {
        Value::Object(fields) => fields,
        // What Python takes for nothing.
        Value::Null | Value::Bool(false) => return Ok(Metadata::new()),
        Value::Array(list) if list.is_empty() => return Ok(Metadata::new()),
        _ => return Err(invalid()),
    };
    let mut footers = Metadata::new();
    for (name, value) in fields {
        let name = header_bytes(&name).and_then(|name| HeaderName::new(&name).ok()).ok_or_else(invalid)?;
        if value != Value::Null {
            footers.insert(name, header_value(&value).ok_or_else(invalid)?);
        }
    }
    Ok(footers)
}

/// A value as Python would send it in a header. Lists and objects are none, nor is what would break a line.
fn header_value(value: &Value) -> Option<Bytes> {
    let value = match value {
        Value::String(text) => header_bytes(text)?,
        Value::Bool(true) => b"True".to_vec(),
        Value::Bool(false) => b"False".to_vec(),
        Value::Number(number) => number.to_string().into_bytes(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    let breaks = value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0));
    (!breaks).then(|| Bytes::from(value))
}

/// The bytes of a header, which JSON carries as one character each (Swift: WSGI strings).
fn header_bytes(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Documents, MimeStep, ResponseBody};

    fn head(lines: &str) -> MimeHead {
        let mut documents = Documents::new(b"b").unwrap();
        documents.feed(Bytes::from(format!("--b\r\n{lines}\r\nx")));
        match documents.step() {
            Ok(MimeStep::Head(head)) => head,
            other => panic!("{other:?}"),
        }
    }

    fn parsed(json: &str) -> Result<Metadata, (u16, String)> {
        parsed_with(&format!("Content-MD5: {}\r\n", hex(&Md5::digest(json.as_bytes()))), json)
    }

    fn parsed_with(lines: &str, json: &str) -> Result<Metadata, (u16, String)> {
        parse(&head(lines), json.as_bytes()).map_err(|refused| match refused.body {
            ResponseBody::Full(text) => (refused.status, String::from_utf8(text.to_vec()).unwrap()),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn reads_names_and_values_as_headers() {
        let json = r#"{"etag": "ABC", "X-Object-Sysmeta-Ec-Frag-Index": "3", "x-object-meta-t\u00c3\u00a8st": "v\u00e4l",
            "X-Number": 12, "X-True": true, "X-Gone": null}"#;
        let footers = parsed(json).unwrap();
        assert_eq!(footers.get_str("ETag"), Some("ABC"));
        assert_eq!(footers.get_str("X-Object-Sysmeta-Ec-Frag-Index"), Some("3"));
        let accented = footers.iter().find(|(name, _)| name.starts_with("x-object-meta-")).unwrap();
        assert_eq!(
            (accented.0.as_bytes(), &accented.1[..]),
            (&b"X-Object-Meta-T\xc3\xa8St"[..], &b"v\xe4l"[..])
        );
        assert_eq!((footers.get_str("X-Number"), footers.get_str("X-True")), (Some("12"), Some("True")));
        assert_eq!(footers.len(), 5);
        for nothing in ["{}", "null", "false", "[]"] {
            assert_eq!(parsed(nothing), Ok(Metadata::new()));
        }
    }

    #[test]
    fn says_what_swift_says_of_bad_footers() {
        let no_md5 = Err((400, "no Content-MD5 in footer".to_owned()));
        assert_eq!(parsed_with("X-Document: x\r\n", "{}"), no_md5);
        assert_eq!(parsed_with("Content-MD5:\r\n", "{}"), no_md5);
        let other = parsed_with("Content-MD5: 99914b932bd37a50b983c5e7c90ae93c\r\n", "{}");
        assert_eq!(other, Err((422, "footer MD5 mismatch".to_owned())));
        let deep = format!("{{\"a\": {}1{}}}", "[".repeat(9000), "]".repeat(9000));
        for bad in [
            "",
            "{",
            "[1]",
            "1",
            r#"{"a": []}"#,
            r#"{"a": "\r\nb"}"#,
            r#"{"a b": "c"}"#,
            r#"{"a": "☃"}"#,
            &deep,
        ] {
            assert_eq!(parsed(bad), Err((400, "invalid JSON for footer doc".to_owned())), "{bad}");
        }
    }
}
