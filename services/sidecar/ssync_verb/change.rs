//! From a sub-request to an update (Swift: ssync_receiver.py updates, obj/server.py PUT, POST, DELETE).

use bytes::Bytes;
use ssync_protocol::{SubHead, SubMethod};
use ssync_types::{HeaderName, Metadata, PutUpdate, UpdateOp};

use crate::{
    Constraints,
    fields::{is_true, normal_etag, timestamp},
    object_api::{
        BodyLength, check_creation, check_delete_at, check_metadata, content_type_time, kept_of_replication,
    },
    placement,
    status::Refused,
};

/// An update whose body, if it is a PUT, is still to be read.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) op: UpdateOp,
    /// The stored MD5 of the body.
    pub(super) etag: Option<String>,
}

/// The update that a sub-request asks for, checked as Swift checks a request of its own.
pub(super) fn change(
    request: &SubHead,
    (method, content_length): (SubMethod, u64),
    limits: &Constraints,
) -> Result<Change, Refused> {
    let path = request.path().map_err(|invalid| placement::refused_name(&invalid))?;
    placement::check_name(&path)?;
    let mut headers = headers(request)?;
    let timestamp = timestamp(&headers)?;
    let etag = headers.get("Etag").map(|etag| normal_etag(&String::from_utf8_lossy(etag)));
    let op = match method {
        SubMethod::Put => {
            let length = BodyLength::Known(content_length);
            check_creation(&mut headers, &path, length, timestamp, limits)?;
            let metadata = kept_of_replication(&headers);
            UpdateOp::Put(PutUpdate {
                path,
                timestamp,
                content_length,
                metadata,
                durable: !is_true(&headers, "X-Backend-No-Commit"),
                inline_body: None,
            })
        }
        SubMethod::Post => {
            check_delete_at(&headers, timestamp)?;
            check_metadata(&headers, limits)?;
            let content_type = content_type_time(&headers, timestamp)?;
            let mut metadata = kept_of_replication(&headers);
            metadata.remove("Content-Type-Timestamp");
            UpdateOp::Post { path, timestamp, metadata, content_type }
        }
        SubMethod::Delete => UpdateOp::Delete { path, timestamp },
    };
    Ok(Change { op, etag: etag.filter(|etag| !etag.is_empty()) })
}

fn headers(request: &SubHead) -> Result<Metadata, Refused> {
    let mut headers = Metadata::new();
    for (name, value) in request.headers() {
        let name = HeaderName::new(name).map_err(|invalid| placement::refused_name(&invalid))?;
        headers.insert(name, value.clone());
    }
    headers.set("X-Backend-Replication", Bytes::from_static(b"True"));
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use ssync_types::Timestamp;

    use super::*;

    fn request(head: &str) -> SubHead {
        let mut lines = head.lines();
        let mut request = SubHead::from_request_line(lines.next().unwrap().as_bytes()).unwrap();
        for line in lines {
            request.push_header_line(line.as_bytes()).unwrap();
        }
        request
    }

    fn of(head: &str) -> Result<Change, u16> {
        let request = request(head);
        let method = request.method().unwrap();
        change(&request, method, &Constraints::default()).map_err(|refused| refused.status)
    }

    #[test]
    fn keeps_all_metadata_of_the_sender() {
        let change = of(
            "PUT /a/c/o\nContent-Length: 8\nContent-Type: x\nETag: \"abc\"\nX-Delete-At: 5\nX-Timestamp: 10\n\
             X-Backend-No-Commit: True\nX-Foo: bar",
        )
        .unwrap();
        assert_eq!(change.etag.as_deref(), Some("abc"));
        let UpdateOp::Put(put) = change.op else { panic!() };
        let names: Vec<_> = put.metadata.iter().map(|(name, _)| format!("{name:?}")).collect();
        assert_eq!(names, ["Content-Type", "X-Delete-At", "X-Foo"]);
        assert_eq!((put.content_length, put.timestamp), (8, Timestamp::from_seconds(10)));
        assert!(!put.durable, "it was not to be committed");
    }

    #[test]
    fn a_post_may_have_a_content_type_of_its_own_time() {
        let change = of(
            "POST /a/c/o\nContent-Type: y\nContent-Type-Timestamp: 7\nX-Timestamp: 10\nX-Object-Meta-A: b",
        )
        .unwrap();
        let UpdateOp::Post { metadata, content_type, .. } = change.op else { panic!() };
        assert_eq!(content_type, Some(Timestamp::from_seconds(7)));
        assert_eq!(metadata.len(), 2);
        let change = of("POST /a/c/o\nX-Timestamp: 10").unwrap();
        assert!(matches!(change.op, UpdateOp::Post { content_type: None, .. }));
    }

    #[test]
    fn refuses_what_swift_refuses() {
        let pairs = [
            ("DELETE /a/c/o", 400),
            ("DELETE /a/c/o\nX-Timestamp: x", 400),
            ("PUT /a/c/o\nContent-Length: 0\nX-Timestamp: 1", 400),
            ("PUT /a/c/o\nContent-Length: 9999999999\nContent-Type: x\nX-Timestamp: 1", 413),
            ("PUT /a/c\nContent-Length: 0\nContent-Type: x\nX-Timestamp: 1", 400),
            ("PUT /a/c/o?x\nContent-Length: 0\nContent-Type: x\nX-Timestamp: 1", 400),
            ("PUT /a/c/%00o\nContent-Length: 0\nContent-Type: x\nX-Timestamp: 1", 400),
            ("POST /a/c/o\nX-Timestamp: 10\nX-Delete-At: x", 400),
        ];
        for (head, status) in pairs {
            assert_eq!(of(head).map(|_| ()), Err(status), "{head}");
        }
    }
}
