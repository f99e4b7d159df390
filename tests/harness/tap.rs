//! A relay in front of a node that keeps what passes, so that a test can tell what really went over the wire.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use anyhow::Result;

/// One connection's bytes, both ways.
#[derive(Debug, Clone, Default)]
pub struct Conversation {
    /// From the client.
    pub sent: Vec<u8>,
    /// From the node.
    pub answered: Vec<u8>,
}

impl Conversation {
    /// Whether the client sent `text` anywhere.
    #[must_use]
    pub fn has_sent(&self, text: &str) -> bool {
        self.sent.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

/// Forwards connections to a node. Each thread ends with its connection.
#[derive(Debug)]
pub struct Tap {
    seen: Arc<Mutex<Vec<Conversation>>>,
}

fn locked(seen: &Mutex<Vec<Conversation>>) -> MutexGuard<'_, Vec<Conversation>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tap {
    pub(crate) fn between(listen: SocketAddr, node: SocketAddr) -> Result<Self> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let listener = TcpListener::bind(listen)?;
        let record = Arc::clone(&seen);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A node that is down refuses; so does this, by closing.
                if let Ok(server) = TcpStream::connect(node) {
                    let record = Arc::clone(&record);
                    thread::spawn(move || relay(&client, &server, &record));
                }
            }
        });
        Ok(Self { seen })
    }

    /// What passed since the last call, connections that sent nothing left out.
    #[must_use]
    pub fn take(&self) -> Vec<Conversation> {
        let mut seen = locked(&self.seen);
        let taken = seen.iter().filter(|conversation| !conversation.sent.is_empty()).cloned().collect();
        // A connection that is still open goes on recording into its place.
        for conversation in seen.iter_mut() {
            *conversation = Conversation::default();
        }
        taken
    }
}

fn relay(client: &TcpStream, server: &TcpStream, record: &Arc<Mutex<Vec<Conversation>>>) {
    let place = {
        let mut seen = locked(record);
        seen.push(Conversation::default());
        seen.len() - 1
    };
    for stream in [client, server] {
        let _ = stream.set_nodelay(true);
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            pump(client, server, |bytes| locked(record)[place].sent.extend_from_slice(bytes));
        });
        pump(server, client, |bytes| locked(record)[place].answered.extend_from_slice(bytes));
    });
}

fn pump(mut from: &TcpStream, mut to: &TcpStream, keep: impl Fn(&[u8])) {
    let mut buffer = vec![0; 65536];
    while let Ok(count) = from.read(&mut buffer) {
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        keep(bytes);
        if to.write_all(bytes).is_err() {
            // Tell the writer, as the node itself would.
            let _ = from.shutdown(Shutdown::Read);
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
