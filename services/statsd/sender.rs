//! The socket's side: a bounded queue, and the task that empties it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{UdpSocket, lookup_host},
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};

/// Most lines that wait to be sent.
const LINES_MAX: usize = 4096;
/// How long an address counts: names move, as operators want (Swift resolves anew for each line).
const ADDRESS_AGE_MAX: Duration = Duration::from_secs(60);
/// How long to wait before a name that was not found is looked up again.
const LOOKUP_RETRY: Duration = Duration::from_secs(5);
/// How long a look-up may take.
const LOOKUP_WAIT_MAX: Duration = Duration::from_secs(5);
/// Least time between two complaints.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

/// How long one who is about to end waits for its lines to be sent.
const SETTLE_MAX: Duration = Duration::from_secs(1);

/// What waits in the queue.
#[derive(Debug)]
enum Item {
    Line(String),
    /// All before it has been sent.
    Mark(oneshot::Sender<()>),
}

/// Where lines go in.
#[derive(Debug)]
pub(crate) struct Lines {
    queue: mpsc::Sender<Item>,
    lost: Arc<AtomicU64>,
}

impl Lines {
    /// Sends a line some time, or loses it.
    pub(crate) fn push(&self, line: String) {
        if self.queue.try_send(Item::Line(line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all lines are sent, within reason.
    pub(crate) async fn settle(&self) {
        let (mark, reached) = oneshot::channel();
        let settled = async {
            if self.queue.send(Item::Mark(mark)).await.is_ok() {
                let _ = reached.await;
            }
        };
        let _ = timeout(SETTLE_MAX, settled).await;
    }
}

/// A queue to a server, and the task that empties it for as long as somebody may push.
pub(crate) fn lines(host: String, port: u16) -> Lines {
    let (queue, waiting) = mpsc::channel(LINES_MAX);
    let lost = Arc::new(AtomicU64::new(0));
    tokio::spawn(Sender::new(host, port, Arc::clone(&lost)).run(waiting));
    Lines { queue, lost }
}

struct Sender {
    host: String,
    port: u16,
    lost: Arc<AtomicU64>,
    /// A socket of the server's family, and the server's address.
    target: Option<(UdpSocket, SocketAddr)>,
    /// When the name is looked up again.
    next_lookup: Instant,
    next_complaint: Instant,
}

impl Sender {
    fn new(host: String, port: u16, lost: Arc<AtomicU64>) -> Self {
        let now = Instant::now();
        Self { host, port, lost, target: None, next_lookup: now, next_complaint: now }
    }

    async fn run(mut self, mut waiting: mpsc::Receiver<Item>) {
        while let Some(item) = waiting.recv().await {
            let line = match item {
                Item::Line(line) => line,
                // Nobody may be waiting any more.
                Item::Mark(mark) => {
                    let _ = mark.send(());
                    continue;
                }
            };
            self.look_up().await;
            let sent = match &self.target {
                // One datagram for each line, as Swift's.
                Some((socket, address)) => socket.send_to(line.as_bytes(), address).await.is_ok(),
                None => false,
            };
            if !sent {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
            self.complain();
        }
    }

    /// Finds the server's address, where it is time to. One that is known stays while its name is not found.
    async fn look_up(&mut self) {
        if Instant::now() < self.next_lookup {
            return;
        }
        let found = timeout(LOOKUP_WAIT_MAX, lookup_host((self.host.as_str(), self.port))).await;
        let addresses: Vec<SocketAddr> = match found {
            Ok(Ok(addresses)) => addresses.collect(),
            Ok(Err(_)) | Err(_) => Vec::new(),
        };
        // IPv4 where there is any, as Swift.
        let address = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()).copied();
        self.next_lookup = Instant::now() + if address.is_some() { ADDRESS_AGE_MAX } else { LOOKUP_RETRY };
        let Some(address) = address else { return };
        match &mut self.target {
            Some((_, known)) if known.is_ipv4() == address.is_ipv4() => *known = address,
            _ => {
                let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                self.target = UdpSocket::bind(any).await.ok().map(|socket| (socket, address));
            }
        }
    }

    /// Says now and then that lines were lost.
    fn complain(&mut self) {
        if Instant::now() < self.next_complaint {
            return;
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            self.next_complaint = Instant::now() + COMPLAINT_INTERVAL;
            tracing::warn!(
                lost,
                host = self.host,
                port = self.port,
                "metrics did not get to the StatsD server; check log_statsd_host"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_host_that_nobody_knows_costs_nothing_but_its_lines() {
        let lines = lines("host.invalid".to_owned(), 8125);
        for _ in 0..3 * LINES_MAX {
            lines.push("x:1|c".to_owned());
        }
        assert!(lines.lost.load(Ordering::Relaxed) >= LINES_MAX as u64, "the queue is bounded");
    }
}
