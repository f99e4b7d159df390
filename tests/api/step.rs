//! One step of a case: a request, built or said byte by byte, and what is done to the disk before it.

use std::path::PathBuf;

use crate::names::{Names, hash, partition, unquote};

/// The second of which `at(0)` speaks.
pub(crate) const EPOCH: u64 = 1_700_000_000;

/// A time of these tests as Swift writes it.
pub(crate) fn time(second: u64) -> String {
    format!("{}.00000", EPOCH + second)
}

/// What a client does on its connection, in order.
#[derive(Debug, Clone)]
pub(crate) enum Move {
    /// Sends this.
    Say(Vec<u8>),
    /// Waits for an answer, which may be a `100 Continue`.
    Hear,
    /// Says that nothing more will come.
    Finish,
    /// Is silent.
    Pause(std::time::Duration),
}

/// Where a step finds what it may damage.
#[derive(Debug)]
pub(crate) struct Place {
    /// The folder of the case's first object.
    pub(crate) object: PathBuf,
}

impl Place {
    /// The one file of the object's folder whose name ends so.
    pub(crate) fn file(&self, extension: &str) -> PathBuf {
        let mut entries = std::fs::read_dir(&self.object).expect("the object's folder").flatten();
        let found = entries.find(|entry| entry.file_name().to_string_lossy().ends_with(extension));
        found.unwrap_or_else(|| panic!("no {extension} in {}", self.object.display())).path()
    }
}

/// Something that happens to a disk.
pub(crate) type Deed = fn(&Place);

#[derive(Debug, Clone)]
enum Body {
    None,
    Sized(Vec<u8>),
    Chunked(Vec<Vec<u8>>),
    Moves(Vec<Talk>),
}

/// What a body, or a whole request, is made of. Text is filled in by [`Names::fill`].
#[derive(Debug, Clone)]
pub(crate) enum Talk {
    Text(String),
    Chunk(String),
    Do(Move),
}

/// Text as it stands.
pub(crate) fn say(text: impl Into<String>) -> Talk {
    Talk::Text(text.into())
}

/// Text as one chunk.
pub(crate) fn chunk(text: impl Into<String>) -> Talk {
    Talk::Chunk(text.into())
}

/// These bytes as one chunk.
pub(crate) fn bytes(chunk: &[u8]) -> Talk {
    Talk::Do(Move::Say(framed(chunk)))
}

/// An answer is waited for.
pub(crate) fn hear() -> Talk {
    Talk::Do(Move::Hear)
}

/// One step of a case.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    deed: Option<Deed>,
    method: String,
    target: Target,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Body,
    expects: bool,
    raw: Option<Vec<Talk>>,
    pub(crate) pickled: bool,
    pub(crate) roughly: bool,
    pub(crate) probed: bool,
}

#[derive(Debug, Clone)]
enum Target {
    /// Of an object, percent-encoded; device and partition go before it.
    Object(String),
    Whole(String),
}

/// A request for the case's object.
pub(crate) fn request(method: &str) -> Step {
    Step {
        deed: None,
        method: method.to_owned(),
        target: Target::Object("{path}".to_owned()),
        headers: Vec::new(),
        body: Body::None,
        expects: false,
        raw: None,
        pickled: false,
        roughly: false,
        probed: true,
    }
}

pub(crate) fn put() -> Step {
    request("PUT").header("Content-Type", "text/plain").body("")
}

pub(crate) fn get() -> Step {
    request("GET")
}

pub(crate) fn head() -> Step {
    request("HEAD")
}

pub(crate) fn post() -> Step {
    request("POST")
}

pub(crate) fn delete() -> Step {
    request("DELETE")
}

/// A whole conversation, byte by byte. It is not asked afterwards whether the connection is still good.
pub(crate) fn raw(talks: impl IntoIterator<Item = Talk>) -> Step {
    Step { raw: Some(talks.into_iter().collect()), probed: false, ..request("") }
}

impl Step {
    /// With an X-Timestamp so many seconds after the tests' first.
    pub(crate) fn at(self, second: u64) -> Self {
        self.header("X-Timestamp", time(second))
    }

    pub(crate) fn header(self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        let mut step = self.no(name.as_ref());
        step.headers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        step
    }

    /// The same name once more.
    pub(crate) fn and(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Without a header.
    pub(crate) fn no(mut self, name: impl AsRef<[u8]>) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name.as_ref()));
        self
    }

    /// An object by its percent-encoded path, `/account/container/object`.
    pub(crate) fn object(mut self, path: &str) -> Self {
        self.target = Target::Object(path.to_owned());
        self
    }

    /// The whole target.
    pub(crate) fn target(mut self, target: &str) -> Self {
        self.target = Target::Whole(target.to_owned());
        self
    }

    pub(crate) fn body(self, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut step = self.header("Content-Length", body.len().to_string());
        step.body = Body::Sized(body.to_vec());
        step
    }

    /// A body of this, whatever Content-Length says.
    pub(crate) fn content(mut self, talks: impl IntoIterator<Item = Talk>) -> Self {
        self.body = Body::Moves(talks.into_iter().collect());
        self
    }

    pub(crate) fn chunked(self, chunks: &[&str]) -> Self {
        let mut step = self.no("Content-Length").header("Transfer-Encoding", "chunked");
        step.body = Body::Chunked(chunks.iter().map(|chunk| chunk.as_bytes().to_vec()).collect());
        step
    }

    /// `Expect: 100-continue`, and the body only after an answer.
    pub(crate) fn expecting(self) -> Self {
        Self { expects: true, ..self.header("Expect", "100-continue") }
    }

    /// In another policy.
    pub(crate) fn policy(self, index: &str) -> Self {
        self.header("X-Backend-Storage-Policy-Index", index)
    }

    /// The answer's body is a pickle; what it says is compared.
    pub(crate) fn pickled(self) -> Self {
        Self { pickled: true, ..self }
    }

    /// Numbers in the answer's body are those of the moment.
    pub(crate) fn roughly(self) -> Self {
        Self { roughly: true, ..self }
    }

    /// This happens to the disk before.
    pub(crate) fn after(self, deed: Deed) -> Self {
        Self { deed: Some(deed), ..self }
    }

    /// What a client does. `fill` puts names and addresses into text.
    pub(crate) fn moves(&self, names: &Names, fill: &dyn Fn(&str) -> String) -> Vec<Move> {
        if let Some(talks) = &self.raw {
            return talks.iter().map(|talk| as_move(talk, fill)).collect();
        }
        let mut moves = vec![Move::Say(self.head(names, fill))];
        if self.expects {
            moves.push(Move::Hear);
        }
        match &self.body {
            Body::None => {}
            Body::Sized(bytes) => moves.push(Move::Say(bytes.clone())),
            Body::Chunked(chunks) => {
                let chunks = chunks.iter().map(|chunk| framed(chunk));
                moves.push(Move::Say(chunks.chain([b"0\r\n\r\n".to_vec()]).collect::<Vec<_>>().concat()));
            }
            Body::Moves(talks) => moves.extend(talks.iter().map(|talk| as_move(talk, fill))),
        }
        moves
    }

    fn head(&self, names: &Names, fill: &dyn Fn(&str) -> String) -> Vec<u8> {
        let target = match &self.target {
            Target::Whole(target) => fill(target),
            Target::Object(path) => {
                let path = names.fill(path);
                format!("/sdb1/{}{path}", partition(&hash(&unquote(&path))))
            }
        };
        let mut head = format!("{} {target} HTTP/1.1\r\nHost: node\r\n", self.method).into_bytes();
        for (name, value) in &self.headers {
            let value =
                std::str::from_utf8(value).map_or_else(|_| value.clone(), |text| fill(text).into_bytes());
            head.extend([name.as_slice(), b": ", &value, b"\r\n"].concat());
        }
        head.extend(b"\r\n");
        head
    }

    pub(crate) fn deed(&self) -> Option<Deed> {
        self.deed
    }

    /// Whether answers to this have a head only.
    pub(crate) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }
}

fn framed(chunk: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat()
}

fn as_move(talk: &Talk, fill: &dyn Fn(&str) -> String) -> Move {
    match talk {
        Talk::Text(text) => Move::Say(fill(text).into_bytes()),
        Talk::Chunk(text) => Move::Say(framed(fill(text).as_bytes())),
        Talk::Do(what) => what.clone(),
    }
}
