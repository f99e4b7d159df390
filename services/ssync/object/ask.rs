//! Asks every device, a bounded number at a time, each for a bounded time.

use std::time::Duration;

use super::{
    Answer, Copy, Seen, Site, grpc,
    head::{Head, exchange, request},
};
use futures_util::{StreamExt as _, stream};
use ssync_store::PeerBook;
use ssync_tls::Tls;
use ssync_types::{FragmentIndex, FragmentSet, ObjectPath, Partition, PolicyIndex, Timestamp};

/// Most devices that are asked at once.
const ASKED_AT_ONCE_MAX: usize = 32;

/// What is asked of every device.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) path: ObjectPath,
    pub(crate) policy: PolicyIndex,
    pub(crate) partition: Partition,
    /// For each device.
    pub(crate) limit: Duration,
    /// This node's certificates, if it has any.
    pub(crate) tls: Option<Tls>,
}

/// The answers, in the order of the sites.
pub(crate) async fn ask_all(question: &Question, sites: Vec<Site>) -> Vec<Seen> {
    let book = PeerBook::default().with_tls(question.tls.clone());
    let book = &book;
    let asked = sites.into_iter().map(|site| async move {
        let mut answer = ask(question, &site, book).await;
        if let Answer::Data(copy) = &mut answer
            && copy.content_type.is_none()
        {
            // When the content type was set is in no header.
            let head = grpc::head(question, &site, book).await;
            copy.content_type = head.and_then(Result::ok).map(|info| info.content_type);
        }
        Seen { site, answer }
    });
    stream::iter(asked).buffered(ASKED_AT_ONCE_MAX).collect().await
}

async fn ask(question: &Question, site: &Site, book: &PeerBook) -> Answer {
    let text = request(&site.address, &site.device, question.partition, question.policy, &question.path);
    match exchange(&site.address, &text, question.limit).await {
        // It has no HTTP, or none for us.
        Ok(head) if matches!(head.status, 403 | 426) && question.tls.is_some() => {
            grpc::head(question, site, book).await.map_or_else(|| answer(&head), grpc::answer)
        }
        Ok(head) => answer(&head),
        Err(error) => Answer::Failed(format!("{error:#}")),
    }
}

/// What an answer means (Swift: obj/server.py HEAD).
fn answer(head: &Head) -> Answer {
    let time = |name: &str| head.get(name).and_then(|text| text.parse::<Timestamp>().ok());
    match head.status {
        200..=299 => {
            let Some(newest) = time("x-backend-timestamp") else {
                return Answer::Failed(
                    "is no object server: its answer has no X-Backend-Timestamp".to_owned(),
                );
            };
            let data = time("x-backend-data-timestamp").unwrap_or(newest);
            let whole = head.get("x-object-sysmeta-ec-etag");
            let bytes = head.get("x-object-sysmeta-ec-content-length").filter(|_| whole.is_some());
            let etag = whole.or_else(|| head.get("etag")).unwrap_or_default();
            Answer::Data(Box::new(Copy {
                data,
                newest,
                content_type: (newest == data).then_some(data),
                durable: time("x-backend-durable-timestamp"),
                etag: etag.trim_matches('"').to_owned(),
                bytes: bytes.or_else(|| head.get("content-length")).and_then(|text| text.parse().ok()),
                fragments: head.get("x-backend-fragments").map(fragments).unwrap_or_default(),
                delete_at: head.get("x-delete-at").and_then(|text| text.parse().ok()),
            }))
        }
        404 => time("x-backend-timestamp").map_or(Answer::Nothing, Answer::Tombstone),
        507 => Answer::Failed("answered 507: the device is not mounted, or cannot be used".to_owned()),
        status => Answer::Failed(format!("answered {status}; see the log of its object server")),
    }
}

/// `{"TIMESTAMP": [INDEX, ...], ...}` (Swift: obj/server.py _make_backend_fragments_header). Which of them are durable is
/// told by another header.
fn fragments(text: &str) -> Vec<FragmentSet> {
    let Ok(serde_json::Value::Object(sets)) = serde_json::from_str(text) else { return Vec::new() };
    let set = |(time, indexes): (String, serde_json::Value)| {
        let indexes = indexes
            .as_array()?
            .iter()
            .filter_map(|index| Some(FragmentIndex::new(u16::try_from(index.as_u64()?).ok()?)));
        Some(FragmentSet { timestamp: time.parse().ok()?, indexes: indexes.collect(), durable: false })
    };
    sets.into_iter().filter_map(set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(text: &str) -> Answer {
        answer(&Head::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn tells_data_from_tombstones_and_troubles() {
        let told = "HTTP/1.1 200 OK\r\nETag: \"abc\"\r\nContent-Length: 7\r\nX-Backend-Timestamp: 20.0\r\n\
                    X-Backend-Data-Timestamp: 10.0\r\nX-Backend-Durable-Timestamp: 10.0\r\nX-Delete-At: 99";
        let Answer::Data(copy) = answered(told) else { panic!("data") };
        assert_eq!((copy.data.seconds(), copy.newest.seconds(), copy.content_type), (10, 20, None));
        assert_eq!((copy.etag.as_str(), copy.bytes, copy.delete_at), ("abc", Some(7), Some(99)));
        let tombstone = answered("HTTP/1.1 404 Not Found\r\nX-Backend-Timestamp: 30.0");
        assert_eq!(tombstone, Answer::Tombstone(Timestamp::from_seconds(30)));
        assert_eq!(answered("HTTP/1.1 404 Not Found\r\n"), Answer::Nothing);
        for trouble in ["HTTP/1.1 507 Insufficient Storage", "HTTP/1.1 503 x", "HTTP/1.1 200 OK"] {
            assert!(matches!(answered(trouble), Answer::Failed(_)), "{trouble}");
        }
    }

    #[test]
    fn a_fragment_tells_of_the_whole() {
        let told = "HTTP/1.1 200 OK\r\nETag: \"frag\"\r\nContent-Length: 7\r\nX-Backend-Timestamp: 10.0\r\n\
                    X-Object-Sysmeta-Ec-Etag: whole\r\nX-Object-Sysmeta-Ec-Content-Length: 100\r\n\
                    X-Backend-Fragments: {\"0000000010.00000\": [1, 4], \"x\": 3}";
        let Answer::Data(copy) = answered(told) else { panic!("data") };
        assert_eq!((copy.etag.as_str(), copy.bytes, copy.durable), ("whole", Some(100), None));
        assert_eq!(copy.fragments.len(), 1);
        assert_eq!(copy.fragments[0].indexes.len(), 2);
        assert!(fragments("[1]").is_empty() && fragments("{").is_empty());
    }
}
