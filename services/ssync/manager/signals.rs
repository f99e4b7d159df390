//! What signals ask of a manager: Swift's, by their numbers.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// To end with its workers.
    Stop,
    /// To end, and leave its workers to what they have begun.
    Leave,
    /// To have another worker serve.
    Renew,
}

pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    seamless: Signal,
    /// A worker was asked for while another was on its way, which may have read its configuration before.
    renew_waits: bool,
}

impl Signals {
    /// Catches them from now on.
    pub(super) fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            seamless: signal(SignalKind::user_defined1())?,
            renew_waits: false,
        })
    }

    /// The next one, or what has waited.
    pub(super) async fn next(&mut self) -> Asked {
        if std::mem::take(&mut self.renew_waits) {
            return Asked::Renew;
        }
        self.come().await
    }

    async fn come(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hang_up.recv() => Asked::Leave,
            _ = self.seamless.recv() => Asked::Renew,
        }
    }

    /// The next one that ends the manager; what else is asked for waits.
    pub(super) async fn end(&mut self) -> Asked {
        loop {
            match self.come().await {
                Asked::Renew => self.renew_waits = true,
                end => return end,
            }
        }
    }

    /// The next one that tells it to end with its workers.
    pub(super) async fn stop(&mut self) {
        while self.come().await != Asked::Stop {}
    }

    /// Whether a worker was asked for that has not been begun.
    pub(super) fn renew_waits(&self) -> bool {
        self.renew_waits
    }
}
