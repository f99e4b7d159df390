//! HTTP/2 as nobody means it (RFC 9113, 10.5): resets, headers and streams without end, and more of them than a server says it takes.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use ssync_tests::{Cluster, Server, Shape};

use crate::scene::Scene;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PATIENCE: Duration = Duration::from_secs(20);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame that came.
#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    /// Why a stream (RST_STREAM) or a connection (GOAWAY) ends.
    fn error(&self) -> Option<u32> {
        let at = match self.kind {
            RST_STREAM => 0,
            GO_AWAY => 4,
            _ => return None,
        };
        Some(u32::from_be_bytes(self.payload.get(at..at + 4)?.try_into().ok()?))
    }
}

/// A connection, frame by frame.
struct Wire(TcpStream);

impl Wire {
    fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut wire = Self(stream);
        wire.0.write_all(PREFACE)?;
        wire.say(SETTINGS, 0, 0, b"")?;
        Ok(wire)
    }

    fn say(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> std::io::Result<()> {
        self.0.write_all(&frame(kind, flags, stream, payload))
    }

    /// The next frame; `None` when the connection has ended, however.
    fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.0.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// All frames until one is `wanted` or the connection ends.
    fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next() {
            let found = wanted(&frame);
            frames.push(frame);
            if found {
                break;
            }
        }
        frames
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header without an index and without Huffman (RFC 7541, 6.2.2).
fn literal(name: &str, value: &[u8]) -> Vec<u8> {
    let text = |text: &[u8]| {
        // A length of seven bits, and what does not fit into them.
        let mut coded = Vec::new();
        match text.len() {
            short @ 0..127 => coded.push(short as u8),
            long => {
                coded.push(127);
                let mut rest = long - 127;
                while rest >= 128 {
                    coded.push((rest % 128) as u8 | 128);
                    rest /= 128;
                }
                coded.push(rest as u8);
            }
        }
        coded.extend(text);
        coded
    };
    [vec![0], text(name.as_bytes()), text(value)].concat()
}

/// The headers of a call that asks for updates.
fn call() -> Vec<u8> {
    [
        literal(":method", b"POST"),
        literal(":scheme", b"http"),
        literal(":path", b"/ssync.v1.ReplicationService/Updates"),
        literal(":authority", b"node"),
        literal("content-type", b"application/grpc"),
        literal("te", b"trailers"),
    ]
    .concat()
}

/// Streams that are opened and reset at once (CVE-2023-44487): their work would go on after the server has forgotten them.
#[tokio::test]
async fn a_flood_of_resets_ends_the_connection() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut wire = Wire::connect(scene.node().address())?;
    let mut flood = Vec::new();
    for stream in (1..40_000).step_by(2) {
        flood.extend(frame(HEADERS, END_HEADERS, stream, &call()));
        flood.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    // It may be closed before all is sent.
    let _ = wire.0.write_all(&flood);
    let frames = wire.until(|frame| frame.kind == GO_AWAY);
    let end = frames.last().and_then(Frame::error);
    ensure!(end.is_none() || end == Some(ENHANCE_YOUR_CALM), "{end:?}");
    ensure!(wire.until(|_| false).len() < 100, "it goes on");
    scene.assert_untouched("a flood of resets").await
}

/// CONTINUATION after CONTINUATION, and never the end of the headers (CVE-2024-27316 and its like).
#[tokio::test]
async fn headers_without_an_end_end_the_connection() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut wire = Wire::connect(scene.node().address())?;
    wire.say(HEADERS, 0, 1, &call())?;
    let piece = literal("x-more", &[b'a'; 8000]);
    let started = Instant::now();
    let mut sent = 0_u32;
    while wire.say(CONTINUATION, 0, 1, &piece).is_ok() {
        sent += 1;
        ensure!(sent < 200_000 && started.elapsed() < PATIENCE, "it is still read after {sent} pieces");
    }
    scene.assert_untouched("headers without an end").await
}

/// 32 KiB are the most; the stream is refused, and the connection may go on.
#[tokio::test]
async fn headers_that_are_too_large_are_refused() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut wire = Wire::connect(scene.node().address())?;
    let large = [call(), literal("x-large", &[b'a'; 40_000])].concat();
    let (first, rest) = large.split_at(16_000);
    wire.say(HEADERS, 0, 1, first)?;
    let mut pieces = rest.chunks(16_000).peekable();
    while let Some(piece) = pieces.next() {
        let flags = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        wire.say(CONTINUATION, flags, 1, piece)?;
    }
    let frames = wire.until(|frame| frame.stream == 1 || frame.kind == GO_AWAY);
    let last = frames.last();
    let refused = last.is_none_or(|frame| {
        frame.error().is_some() || (frame.kind == HEADERS && frame.flags & END_STREAM != 0)
    });
    ensure!(refused, "{last:?}");
    scene.assert_untouched("large headers").await
}

/// More than SETTINGS_MAX_CONCURRENT_STREAMS: those beyond are refused, and none of the others is.
#[tokio::test]
async fn streams_beyond_those_that_are_taken_are_refused() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut wire = Wire::connect(scene.node().address())?;
    let settings = wire.until(|frame| frame.kind == SETTINGS && frame.flags == 0);
    let settings = settings.last().map(|frame| frame.payload.clone()).unwrap_or_default();
    let most = settings
        .chunks_exact(6)
        .find(|setting| setting[..2] == [0, 3])
        .map(|setting| u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]));
    let most = most.ok_or_else(|| anyhow::anyhow!("it says nothing of how many streams it takes"))?;
    ensure!((1..=256).contains(&most), "{most}");
    wire.say(SETTINGS, 1, 0, b"")?;
    for number in 0..most + 20 {
        wire.say(HEADERS, END_HEADERS, number * 2 + 1, &call())?;
    }
    wire.say(PING, 0, 0, b"whatever")?;
    let frames = wire.until(|frame| frame.kind == PING && frame.flags == 1);
    let refused = frames.iter().filter(|frame| frame.error() == Some(REFUSED_STREAM)).count();
    ensure!(refused == 20, "{refused} were refused of 20 too many; {most} are taken");
    scene.assert_untouched("too many streams").await
}

/// A message says that it will have 4 GiB. It is refused by that, not awaited.
#[tokio::test]
async fn a_message_that_says_it_is_huge_is_not_awaited() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut wire = Wire::connect(scene.node().address())?;
    wire.say(HEADERS, END_HEADERS, 1, &call())?;
    wire.say(DATA, 0, 1, &[0, 0xff, 0xff, 0xff, 0xff])?;
    let started = Instant::now();
    let frames = wire.until(|frame| frame.stream == 1 && frame.flags & END_STREAM != 0);
    ensure!(frames.last().is_some_and(|frame| frame.kind == HEADERS), "{frames:?}");
    ensure!(started.elapsed() < Duration::from_secs(5), "it waited for {:?}", started.elapsed());
    scene.assert_untouched("a huge message").await
}

/// As many connections as there may be (`max_clients`), and all of them silent: others wait, and get in when those are let go.
#[tokio::test]
async fn silent_connections_keep_others_waiting_no_longer_than_they_may() -> Result<()> {
    let few = Cluster::of(1).setting("DEFAULT", "max_clients", "8").setting(
        "app:object-server",
        "client_timeout",
        "1",
    );
    let mut scene = Scene::of(few, Server::Ssync(Shape::OneProcess))?;
    let silent: Result<Vec<_>, _> = (0..40).map(|_| TcpStream::connect(scene.node().address())).collect();
    let silent = silent?;
    scene.assert_untouched("silent connections").await?;
    drop(silent);
    Ok(())
}
