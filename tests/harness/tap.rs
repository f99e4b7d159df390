//! A relay in front of a node that keeps what passes, so that a test can tell what really went over the wire, and that can
//! hold the node's answers back.

use std::{
    fmt,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

/// Longest that a test waits for an answer to hold.
const HOLD_WAIT_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);

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
    gate: Arc<Mutex<Gate>>,
}

/// Which answers do not pass.
#[derive(Default)]
struct Gate {
    holds: Option<Box<dyn Fn() -> bool + Send>>,
    has_held: bool,
    /// What each piece of a question takes.
    delay: Duration,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("holds", &self.holds.is_some())
            .field("has_held", &self.has_held)
            .field("delay", &self.delay)
            .finish()
    }
}

impl Gate {
    /// Whether the answer that is here now has to wait.
    fn is_shut(&mut self) -> bool {
        let shut = self.holds.as_ref().is_some_and(|holds| holds());
        self.has_held |= shut;
        shut
    }
}

/// Answers of a node that wait. They pass when this is dropped.
#[derive(Debug)]
pub struct Held<'a>(&'a Mutex<Gate>);

impl Held<'_> {
    /// Returns when there is one.
    pub fn wait(&self) -> Result<()> {
        let started = Instant::now();
        while !locked(self.0).has_held {
            ensure!(started.elapsed() < HOLD_WAIT_MAX, "no answer came to be held");
            thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut gate = locked(self.0);
        gate.holds = None;
        gate.has_held = false;
    }
}

fn locked<T>(seen: &Mutex<T>) -> MutexGuard<'_, T> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tap {
    pub(crate) fn between(listen: SocketAddr, node: SocketAddr) -> Result<Self> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let gate = Arc::default();
        let listener = TcpListener::bind(listen)?;
        let (record, shared) = (Arc::clone(&seen), Arc::clone(&gate));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A node that is down refuses; so does this, by closing.
                if let Ok(server) = TcpStream::connect(node) {
                    let (record, gate) = (Arc::clone(&record), Arc::clone(&shared));
                    thread::spawn(move || relay(&client, &server, &record, &gate));
                }
            }
        });
        Ok(Self { seen, gate })
    }

    /// Answers that come while `holds` says so wait, until what this returns is dropped.
    #[must_use]
    pub fn hold_answers(&self, holds: impl Fn() -> bool + Send + 'static) -> Held<'_> {
        let mut gate = locked(&self.gate);
        gate.holds = Some(Box::new(holds));
        gate.has_held = false;
        drop(gate);
        Held(&self.gate)
    }

    /// From now on each piece of what is sent to the node takes so long on its way: there is little room in the network.
    pub fn take_time(&self, delay: Duration) {
        locked(&self.gate).delay = delay;
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

fn relay(client: &TcpStream, server: &TcpStream, record: &Mutex<Vec<Conversation>>, gate: &Mutex<Gate>) {
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
            pump(client, server, |bytes| {
                locked(record)[place].sent.extend_from_slice(bytes);
                let delay = locked(gate).delay;
                thread::sleep(delay);
            });
        });
        pump(server, client, |bytes| {
            locked(record)[place].answered.extend_from_slice(bytes);
            while locked(gate).is_shut() {
                thread::sleep(POLL);
            }
        });
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
