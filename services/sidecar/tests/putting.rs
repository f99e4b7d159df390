//! PUT: what is said and when, the documents of a body, clients that are slow, silent or gone.

use std::time::Duration;

use md5::{Digest as _, Md5};
use ssync_types::{CommitMode, FragmentIndex, Reason, Refusal};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    time::timeout,
};

use super::{Lab, request, without_date};
use crate::SidecarConfig;

const PUT: &str = "PUT /sdb1/839/a/c/o";
const HELLO: &str = "5d41402abc4b2a76b9719d911017c592";
const PLAIN: &str = "X-Timestamp: 10\r\nContent-Type: x\r\nExpect: 100-continue\r\n";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
const MIME: &str = "X-Backend-Obj-Multipart-Mime-Boundary: b0\r\nTransfer-Encoding: chunked\r\n";
const FOOTER: &str = "X-Backend-Obj-Metadata-Footer: yes\r\n";
const COMMIT: &str = "X-Backend-Obj-Multiphase-Commit: yes\r\n";
const CODED: &str = "X-Backend-Storage-Policy-Index: 1\r\nX-Object-Sysmeta-Ec-Frag-Index: 3\r\n";
const DATA: &str = "--b0\r\nX-Document: object body\r\n\r\nhello\r\n--b0";
const LEAVE: &str = "X-Document: put commit\r\n\r\nput_commit_confirmation\r\n--b0--";
const UNPROCESSABLE: &str = "<p>Unable to process the contained instructions</p></html>";
const LAST: &str = "0\r\n\r\n";

fn head(fields: &[&str]) -> Vec<u8> {
    request(PUT, &[&[PLAIN], fields].concat().concat())
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn footer(json: &str) -> String {
    let md5: String = Md5::digest(json).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\r\nX-Document: object metadata\r\nContent-MD5: {md5}\r\n\r\n{json}\r\n--b0")
}

/// A client that waits for its answers.
struct Client(DuplexStream);

impl Client {
    async fn put(lab: &Lab, fields: &[&str]) -> Self {
        let mut client = Self(lab.connect());
        client.send(&head(fields)).await;
        client
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// The next head.
    async fn hears(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = timeout(Duration::from_secs(5), self.0.read_u8()).await.expect("an answer comes");
            head.push(byte.expect("the server says something"));
        }
        without_date(&head)
    }

    /// All that comes until the server closes, after this side has said that it sends no more.
    async fn ends(&mut self) -> String {
        self.0.shutdown().await.unwrap();
        let mut answer = Vec::new();
        timeout(Duration::from_secs(5), self.0.read_to_end(&mut answer))
            .await
            .expect("the end comes")
            .unwrap();
        without_date(&answer)
    }
}

/// One errand to the store, where nothing is to be said or heard in between.
#[tokio::test]
async fn a_body_that_comes_with_its_head_goes_to_the_store_with_it() {
    let stored_whole = async |fields: &str, rest: &[&str]| {
        let lab = Lab::new();
        let head = format!("X-Timestamp: 10\r\nContent-Type: x\r\nConnection: close\r\n{fields}");
        let mut client = Client(lab.connect());
        client.send(&request(PUT, &head)).await;
        for part in rest {
            client.send(part.as_bytes()).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let answer = client.ends().await;
        assert!(answer.contains(" 201 ") || answer.contains(" 422 "), "{answer}");
        let state = lab.store.state();
        (state.wholes, state.puts.len())
    };
    let sized = "Content-Length: 5\r\n";
    let with = |field: &str| format!("{sized}{field}\r\n");
    // The server is not woken in between, so all of it comes at once.
    assert_eq!(stored_whole(sized, &["hello"]).await, (1, 1));
    assert_eq!(stored_whole("Content-Length: 0\r\n", &[]).await, (1, 1));
    assert_eq!(stored_whole(&with(&format!("ETag: {HELLO}")), &["hello"]).await, (1, 1));
    for (fields, rest) in [
        (sized.to_owned(), &["he", "llo"][..]),
        (with("Expect: 100-continue"), &["hello"]),
        (with("ETag: none"), &["hello"]),
        (CHUNKED.to_owned(), &["5\r\nhello\r\n0\r\n\r\n"]),
    ] {
        let answer = tokio::time::timeout(Duration::from_secs(5), stored_whole(&fields, rest)).await;
        assert_eq!(answer.unwrap(), (0, 1), "{fields}");
    }
    let lab = Lab::new();
    let long = "x".repeat(70_000);
    let mut put = request(PUT, "X-Timestamp: 10\r\nContent-Type: x\r\nContent-Length: 70000\r\n");
    put.extend_from_slice(long.as_bytes());
    assert!(lab.say(&put).await.contains(" 201 "));
    assert_eq!(lab.store.state().wholes, 0);
}

fn hundred(fields: &str) -> String {
    format!("HTTP/1.1 100 Continue\r\n{fields}\r\n")
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("nothing")
}

/// Until the store has let go of all that came.
async fn nothing_is_under_way(lab: &Lab) {
    let gone = async {
        while lab.store.state().uploads > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(5), gone).await.expect("the upload ends");
}

#[tokio::test]
async fn footers_are_kept_and_win() {
    let lab = Lab::new();
    let fields = [MIME, FOOTER, "X-Object-Meta-A: head\r\nETag: d41d8cd98f00b204e9800998ecf8427e\r\n"];
    let mut client = Client::put(&lab, &fields).await;
    assert_eq!(client.hears().await, hundred("X-Obj-Metadata-Footer: yes\r\n"));
    let json = format!(
        r#"{{"Etag": "{}", "x-object-meta-a": "footer", "X-Object-Sysmeta-Crypto": "c", "Content-Type": "y",
            "X-Backend-Container-Update-Override-Etag": "o"}}"#,
        HELLO.to_uppercase()
    );
    let body = [chunk(DATA), chunk(&footer(&json)), chunk("--\r\n"), LAST.to_owned()].concat();
    client.send(body.as_bytes()).await;
    assert!(client.hears().await.contains(&format!(
        "201 Created\r\nContent-Type: text/html; charset=UTF-8\r\nEtag: \"{HELLO}\"\r\n"
    )));
    let kept = lab.store.kept("/a/c/o").unwrap();
    assert_eq!(kept.body, "hello");
    let texts = ["X-Object-Meta-A", "X-Object-Sysmeta-Crypto", "Content-Type"]
        .map(|name| kept.metadata.get_str(name));
    assert_eq!(texts, [Some("footer"), Some("c"), Some("x")]);
    assert!(kept.metadata.get("X-Backend-Container-Update-Override-Etag").is_none());
}

#[tokio::test]
async fn a_fragment_is_committed_when_all_are_stored() {
    let lab = Lab::new();
    let mut client = Client::put(&lab, &[MIME, FOOTER, COMMIT, CODED]).await;
    let told = hundred("X-Obj-Multiphase-Commit: yes\r\nX-Obj-Metadata-Footer: yes\r\n");
    assert_eq!(client.hears().await, told);
    let body = [chunk(DATA), chunk(&footer("{}")), chunk("\r\n"), LAST.to_owned()].concat();
    client.send(body.as_bytes()).await;
    assert_eq!(client.hears().await, told);
    assert_eq!(lab.store.state().commits, 0);
    let more = [chunk(LEAVE).as_bytes(), LAST.as_bytes(), &request("GET /healthcheck", "")].concat();
    client.send(&more).await;
    let answer = client.ends().await;
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n") && answer.ends_with("\r\n\r\nOK"), "{answer}");
    assert_eq!(lab.store.state().commits, 1);
}

#[tokio::test]
async fn what_commits_when_is_the_policys() {
    let lab = Lab::new();
    let no_commit = "X-Backend-No-Commit: True\r\n";
    let fragment = "X-Backend-Ssync-Frag-Index: 4\r\n";
    let vectors: [(&[&str], CommitMode, Option<u8>); 6] = [
        (&[], CommitMode::AtOnce, None),
        (&[no_commit, fragment], CommitMode::AtOnce, None),
        (&[CODED], CommitMode::AtOnce, None),
        (&[CODED, no_commit, fragment], CommitMode::Never, Some(4)),
        (&[CODED, MIME, COMMIT], CommitMode::SecondPhase, None),
        (&[CODED, MIME, COMMIT, no_commit], CommitMode::Never, None),
    ];
    for (fields, commit, fragment) in vectors {
        let framing = if fields.contains(&MIME) { "" } else { CHUNKED };
        let mut client = Client::put(&lab, &[fields, &[framing]].concat()).await;
        client.hears().await;
        let put = lab.store.state().puts.last().unwrap().clone();
        assert_eq!(put.commit, commit, "{fields:?}");
        assert_eq!(put.object.partition.fragment, fragment.map(|index| FragmentIndex::new(index.into())));
    }
    let bad = Client::put(&lab, &[CODED, CHUNKED, "X-Backend-Ssync-Frag-Index: x\r\n"]).await.ends().await;
    assert_eq!(status(&bad), "400");
}

#[tokio::test]
async fn says_what_swift_says_of_broken_documents() {
    let lab = Lab::new();
    let hello = footer(&format!(r#"{{"Etag": "{HELLO}"}}"#));
    let long = footer(&format!(r#"{{"a": "{}"}}"#, "x".repeat(70_000)));
    let vectors: [(&str, String, &str, &str); 11] = [
        ("no footer", format!("{DATA}--\r\n"), "400", "couldn't find footer MIME doc"),
        ("cut off", DATA[..40].to_owned(), "400", "couldn't find footer MIME doc"),
        ("an empty one", format!("{DATA}\r\n"), "400", "no Content-MD5 in footer"),
        (
            "no MD5",
            format!("{DATA}\r\nX-Document: x\r\n\r\n{{}}\r\n--b0--"),
            "400",
            "no Content-MD5 in footer",
        ),
        (
            "another",
            format!("{DATA}{}--", hello.replace("Content-MD5: ", "Content-MD5: 0")),
            "422",
            "footer MD5 mismatch",
        ),
        ("no JSON", format!("{DATA}{}--", footer("{")), "400", "invalid JSON for footer doc"),
        ("long", format!("{DATA}{long}--"), "413", "the footer MIME doc is too large"),
        (
            "much more",
            format!("{DATA}{hello}--{}", "x".repeat(70_000)),
            "413",
            "too much stands behind the MIME docs",
        ),
        (
            "other etag",
            format!("{DATA}{}--", footer(r#"{"Etag": "d41d8cd98f00b204e9800998ecf8427e"}"#)),
            "422",
            UNPROCESSABLE,
        ),
        ("no etag", format!("{DATA}{}--", footer(r#"{"Etag": "zz"}"#)), "422", UNPROCESSABLE),
        ("no boundary", "hello".to_owned(), "400", "the body does not begin with its MIME boundary"),
    ];
    for (what, body, expected, text) in vectors {
        let answer = lab.say(&[head(&[MIME, FOOTER]), (chunk(&body) + LAST).into_bytes()].concat()).await;
        let answer = answer.strip_prefix(&hundred("X-Obj-Metadata-Footer: yes\r\n")).expect(what);
        assert!(status(answer) == expected && answer.ends_with(text), "{what}: {answer}");
        assert!(lab.store.kept("/a/c/o").is_none(), "{what}");
    }
    let boundary = format!("X-Backend-Obj-Multipart-Mime-Boundary: {}\r\n", "x".repeat(300));
    for (fields, text) in [("", "no MIME boundary"), (boundary.as_str(), "the MIME boundary is too long")] {
        let answer = lab.say_and_wait(&head(&[FOOTER, CHUNKED, fields])).await;
        assert!(status(&answer) == "400" && answer.ends_with(text), "{answer}");
    }
    nothing_is_under_way(&lab).await;
}

#[tokio::test]
async fn without_leave_nothing_is_committed() {
    let other = "X-Document: other\r\n\r\nx\r\n--b0--";
    let vectors = [
        ("over before", format!("{DATA}{}--", footer("{}")), String::new(), "400"),
        ("another document", format!("{DATA}{}\r\n", footer("{}")), chunk(other) + LAST, "500"),
        ("no document", format!("{DATA}{}\r\n", footer("{}")), LAST.to_owned(), "500"),
        ("cut off", format!("{DATA}{}\r\n", footer("{}")), chunk(LEAVE), "499"),
        ("gone", format!("{DATA}{}\r\n", footer("{}")), String::new(), "499"),
    ];
    for (what, body, more, expected) in vectors {
        let lab = Lab::new();
        let mut client = Client::put(&lab, &[MIME, FOOTER, COMMIT, CODED]).await;
        client.hears().await;
        client.send((chunk(&body) + LAST).as_bytes()).await;
        assert_eq!(status(&client.hears().await), "100", "{what}");
        client.send(more.as_bytes()).await;
        assert_eq!(status(&client.ends().await), expected, "{what}");
        nothing_is_under_way(&lab).await;
        assert!(lab.store.kept("/a/c/o").is_some() && lab.store.state().commits == 0, "{what}");
    }
}

#[tokio::test]
async fn nobody_is_asked_for_a_body_that_is_not_wanted() {
    let lab = Lab::new();
    let body = [head(&["Content-Length: 5\r\n"]), b"hello".to_vec()].concat();
    assert!(lab.say(&body).await.starts_with(&format!("{}HTTP/1.1 201 ", hundred(""))));
    let later = "X-Timestamp: 11\r\nContent-Type: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n";
    let vectors = [
        (head(&["Content-Length: 5\r\n"]), "409"),
        (request(PUT, &format!("{later}If-None-Match: *\r\n")), "412"),
        (request(PUT, &format!("{later}If-None-Match: x, \"{HELLO}\"\r\n")), "412"),
    ];
    for (head, expected) in vectors {
        let answer = lab.say_and_wait(&head).await;
        assert_eq!(status(&answer), expected, "{answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    }
    lab.store.state().refuse_put = Some(Refusal::new(Reason::DeviceUnmounted, "sdb1 is not mounted"));
    assert_eq!(status(&lab.say_and_wait(&request(PUT, later)).await), "507");
}

#[tokio::test]
async fn an_empty_body_is_waited_for_too() {
    let lab = Lab::new();
    let answer = lab.say(&head(&["Content-Length: 0\r\n"])).await;
    assert!(answer.starts_with(&format!("{}HTTP/1.1 201 ", hundred(""))), "{answer}");
}

#[tokio::test]
async fn lengths_and_etags_are_held_to() {
    let lab = Lab::new();
    let told = |length: &str| format!("X-Backend-Obj-Content-Length: {length}\r\n");
    let vectors = [
        (told("5"), "201"),
        (told("6"), "499"),
        (told("4"), "499"),
        (format!("ETag: {}\r\n", HELLO.to_uppercase()), "422"),
        ("ETag: other\r\n".to_owned(), "422"),
    ];
    for (n, (field, expected)) in vectors.into_iter().enumerate() {
        let fields = format!("X-Timestamp: {}\r\nContent-Type: x\r\n{CHUNKED}{field}", 10 + n);
        let answer = lab.say(&[request(PUT, &fields), b"5\r\nhello\r\n0\r\n\r\n".to_vec()].concat()).await;
        assert_eq!(status(&answer), expected, "{field}");
    }
    let answer = lab.say_and_wait(&head(&[CHUNKED, &told("x")])).await;
    assert!(answer.ends_with("\r\n\r\ninvalid literal for int() with base 10: 'x'"), "{answer}");
    nothing_is_under_way(&lab).await;
}

#[tokio::test]
async fn a_silent_client_is_told_so_and_leaves_nothing() {
    let footer = footer("{}");
    let steps: [&[&str]; 4] =
        [&[], &["--b0\r\n\r\nhel"], &[DATA, "\r\nContent-MD5"], &[DATA, footer.as_str(), "--\r\n"]];
    for said in steps {
        let lab = Lab::impatient();
        let mut client = Client::put(&lab, &[MIME, FOOTER]).await;
        client.hears().await;
        for part in said {
            client.send(chunk(part).as_bytes()).await;
        }
        assert_eq!(status(&client.hears().await), "408", "{said:?}");
        nothing_is_under_way(&lab).await;
        assert!(lab.store.kept("/a/c/o").is_none());
    }
    let lab = Lab::impatient();
    let mut client = Client::put(&lab, &[MIME, COMMIT, CODED]).await;
    client.hears().await;
    client.send((chunk(&format!("{DATA}\r\n")) + LAST).as_bytes()).await;
    assert_eq!(status(&client.hears().await), "100");
    assert_eq!(status(&client.hears().await), "408");
    nothing_is_under_way(&lab).await;
    assert_eq!(lab.store.state().commits, 0);
}

#[tokio::test]
async fn a_client_that_dribbles_is_cut_off() {
    let brief = || SidecarConfig { max_upload_time: Duration::from_millis(200), ..SidecarConfig::default() };
    let data = chunk(&format!("{DATA}\r\n"));
    let vectors: [(Lab, &[&str], &[String]); 3] = [
        (Lab::with(brief()), &[CHUNKED], &[]),
        (Lab::impatient(), &[MIME, FOOTER], std::slice::from_ref(&data)),
        (Lab::impatient(), &[MIME, COMMIT, CODED], &[format!("{data}{LAST}"), String::new()]),
    ];
    for (lab, fields, said) in vectors {
        let mut client = Client::put(&lab, fields).await;
        client.hears().await;
        for (n, part) in said.iter().enumerate() {
            client.send(part.as_bytes()).await;
            if n > 0 {
                assert_eq!(status(&client.hears().await), "100");
            }
        }
        let (mut reader, mut writer) = tokio::io::split(client.0);
        let dribble = async {
            while writer.write_all(b"1\r\nx\r\n").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let mut answer = vec![0; 512];
        let heard = tokio::select! {
            heard = timeout(Duration::from_secs(5), reader.read(&mut answer)) => heard,
            () = dribble => panic!("it was not told"),
        };
        heard.expect("it is told").unwrap();
        let answer = without_date(&answer);
        assert!(
            status(&answer) == "408" && answer.contains("\r\nConnection: close\r\n"),
            "{fields:?}: {answer}"
        );
        nothing_is_under_way(&lab).await;
        assert_eq!(lab.store.kept("/a/c/o").is_some(), fields.contains(&COMMIT));
        assert_eq!(lab.store.state().commits, 0);
    }
}

/// It is the answer's head that would follow the half of another.
#[tokio::test]
async fn a_client_that_does_not_read_hears_no_answer_in_the_middle_of_another() {
    let short = Duration::from_millis(100);
    let lab = Lab::with(SidecarConfig { client_timeout: short, ..SidecarConfig::default() });
    let (client, server) = tokio::io::duplex(16);
    let sidecar = lab.sidecar.clone();
    let served = async move { sidecar.serve_connection(server, "192.0.2.7:4711".parse().unwrap()).await };
    tokio::spawn(served);
    let mut client = Client(client);
    client.send(&head(&[MIME, COMMIT, CODED])).await;
    client.hears().await;
    client.send((chunk(&format!("{DATA}\r\n")) + LAST).as_bytes()).await;
    nothing_is_under_way(&lab).await;
    let mut rest = Vec::new();
    timeout(Duration::from_secs(5), client.0.read_to_end(&mut rest)).await.expect("the end comes").unwrap();
    assert_eq!(rest, b"HTTP/1.1 100 Con");
}

#[tokio::test]
async fn a_client_that_is_gone_leaves_nothing() {
    for said in ["", "5\r\nhel", "5\r\nhello\r\n"] {
        let lab = Lab::new();
        let mut client = Client::put(&lab, &[CHUNKED]).await;
        client.hears().await;
        client.send(said.as_bytes()).await;
        assert_eq!(lab.store.state().uploads, 1);
        drop(client);
        nothing_is_under_way(&lab).await;
        assert!(lab.store.kept("/a/c/o").is_none(), "{said:?}");
    }
}

#[tokio::test]
async fn a_store_that_gives_up_is_heard_while_the_body_comes() {
    let full = Refusal::new(Reason::DeviceFull, "sdb1 is full");
    for (refusal, expected) in [(Some(full), "507"), (None, "503")] {
        let lab = Lab::new();
        lab.store.state().leave_upload = refusal.is_none();
        lab.store.state().refuse_body = refusal;
        let mut client = Client::put(&lab, &[CHUNKED]).await;
        client.hears().await;
        client.send(b"5\r\nhello\r\n").await;
        assert_eq!(status(&client.hears().await), expected);
    }
}

#[tokio::test]
async fn a_slow_store_slows_the_client() {
    let lab = Lab::new();
    lab.store.state().hold_uploads = true;
    let mut client = Client::put(&lab, &["Content-Length: 99999999\r\n"]).await;
    client.hears().await;
    let piece = vec![0; 1 << 16];
    let mut sent = 0;
    while timeout(Duration::from_millis(100), client.0.write_all(&piece)).await.is_ok() {
        sent += piece.len();
        assert!(sent < 2 << 20, "the body piles up");
    }
}

#[tokio::test]
async fn a_body_in_chunks_may_not_be_larger_than_one_of_known_length() {
    let mut config = SidecarConfig::default();
    config.constraints.max_file_size = 4;
    let lab = Lab::with(config);
    let answer = lab.say(&[head(&[CHUNKED]), b"5\r\nhello\r\n0\r\n\r\n".to_vec()].concat()).await;
    let answer = answer.strip_prefix(&hundred("")).unwrap();
    assert!(status(answer) == "413" && answer.ends_with("Your request is too large."), "{answer}");
    nothing_is_under_way(&lab).await;
}

#[tokio::test]
async fn what_a_store_has_kept_is_listed_though_it_could_not_say_so() {
    let listed = "X-Container-Host: 127.0.0.1:1\r\nX-Container-Device: sdc\r\nX-Container-Partition: 7\r\n";
    for (kept, updates) in [(true, 1), (false, 0)] {
        let lab = Lab::new();
        let before = [head(&["Content-Length: 3\r\n"]), b"old".to_vec()].concat();
        assert!(lab.say(&before).await.contains("HTTP/1.1 201 "));
        lab.store.state().leave_at_end = Some(kept);
        let fields =
            format!("X-Timestamp: 11\r\nContent-Type: x\r\nExpect: 100-continue\r\n{CHUNKED}{listed}");
        let mut client = Client(lab.connect());
        client.send(&request(PUT, &fields)).await;
        client.hears().await;
        client.send(b"5\r\nhello\r\n0\r\n\r\n").await;
        assert_eq!(status(&client.hears().await), "503");
        let state = lab.store.state();
        assert_eq!(state.pending.len(), updates, "{:?}", state.pending);
        for update in &state.pending {
            let told = ["X-Etag", "X-Size", "X-Timestamp"].map(|name| update.headers.get_str(name));
            assert_eq!(told, [Some(HELLO), Some("5"), Some("0000000011.00000")]);
        }
    }
}
