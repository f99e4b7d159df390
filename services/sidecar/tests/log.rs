//! The access log: what it says is what was sent.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use super::{Lab, request, with_body};

/// Keeps what is logged.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    /// Keeps what this thread logs, until the guard is dropped.
    pub(super) fn begin() -> (Self, DefaultGuard) {
        let kept = Self::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(kept.clone()).finish();
        (kept, tracing::subscriber::set_default(subscriber))
    }

    pub(super) fn lines(&self) -> Vec<String> {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
    }
}

impl<'a> MakeWriter<'a> for Kept {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl io::Write for Kept {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn says_what_was_sent() {
    let lab = Lab::new();
    let body = vec![b'x'; 40_000];
    lab.say(&with_body("PUT /sdb1/839/a/c/o", "X-Timestamp: 10\r\nContent-Type: x\r\n", &body)).await;
    let (kept, _guard) = Kept::begin();
    lab.say(&request("GET /sdb1/839/a/c/o", "")).await;
    lab.say(&request("GET /sdb1/839/a/c/o", "Range: bytes=5-11\r\n")).await;
    lab.say(&request("HEAD /sdb1/839/a/c/o", "")).await;
    let lines = kept.lines();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (line, said) in lines.iter().zip([
        "\"GET /sdb1/839/a/c/o\" 200 40000 ",
        " 206 7 ",
        "\"HEAD /sdb1/839/a/c/o\" 200 40000 ",
    ]) {
        assert!(line.contains(said), "{line}");
    }
}

#[tokio::test]
async fn a_body_that_broke_off_is_a_warning_and_not_said_to_be_whole() {
    let lab = Lab::new();
    let body = vec![b'x'; 40_000];
    lab.say(&with_body("PUT /sdb1/839/a/c/o", "X-Timestamp: 10\r\nContent-Type: x\r\n", &body)).await;
    lab.store.state().shorten_body = true;
    let (kept, _guard) = Kept::begin();
    let answer = lab.say(&request("GET /sdb1/839/a/c/o", "X-Trans-Id: tx7\r\n")).await;
    let (_, received) = answer.split_once("\r\n\r\n").unwrap();
    assert!((1..40_000).contains(&received.len()), "{}", received.len());
    let lines = kept.lines();
    let [warning, line] = &lines[..] else { panic!("{lines:?}") };
    let sent = format!("announced=40000 sent={} ", received.len());
    assert!(warning.contains(" WARN ") && warning.contains(&sent) && warning.contains("tx7"), "{warning}");
    assert!(line.contains(&format!(" 200 {} ", received.len())), "{line}");
}
