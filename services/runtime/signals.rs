//! What signals ask of a daemon. That depends on who sends them: a service manager, or Swift's tools.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// By whose rules signals are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    /// A service's: SIGHUP reloads the configuration.
    Service,
    /// Those of Swift's daemons: SIGHUP asks for a graceful end.
    SwiftDaemon,
    /// Those of a process that serves for one of Swift's servers: the manager above it sends SIGHUP when another has taken
    /// over, and decides itself how long to wait.
    SwiftWorker,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To go down, by the signal of this name.
    Stop(&'static str),
    /// To finish what is under way, however long it takes: others serve already.
    Leave,
    /// To read the configuration, the rings and what else may have changed.
    Reload,
}

/// The signals of this process that concern its life, caught from the moment that this is made.
#[derive(Debug)]
pub struct Signals {
    manners: Manners,
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    seamless: Signal,
    /// A reload was asked for while nothing could be reloaded.
    reload_waits: bool,
}

impl Signals {
    /// Catches them from now on.
    pub fn catch(manners: Manners) -> io::Result<Self> {
        Ok(Self {
            manners,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            seamless: signal(SignalKind::user_defined1())?,
            reload_waits: false,
        })
    }

    /// By whose rules they are understood.
    #[must_use]
    pub fn manners(&self) -> Manners {
        self.manners
    }

    /// Returns when one asks for the end, by whatever way. A reload that is asked for meanwhile waits.
    pub async fn end(&mut self) {
        while self.come().await == Asked::Reload {
            self.reload_waits = true;
        }
    }

    /// What the next one asks for, or what has waited.
    pub async fn next(&mut self) -> Asked {
        if std::mem::take(&mut self.reload_waits) {
            return Asked::Reload;
        }
        self.come().await
    }

    /// SIGUSR1 has Swift's servers start anew: the manager of one does that, and who else gets it
    /// must not die of it.
    async fn come(&mut self) -> Asked {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Asked::Stop("SIGTERM"),
                _ = self.interrupt.recv() => return Asked::Stop("SIGINT"),
                _ = self.hang_up.recv() => return self.hung_up(),
                _ = self.seamless.recv() => tracing::warn!(
                    "SIGUSR1 changes nothing here: SIGHUP reloads the configuration, and sockets of the service manager keep \
                     connections through a restart"
                ),
            }
        }
    }

    fn hung_up(&self) -> Asked {
        match self.manners {
            Manners::Service => Asked::Reload,
            Manners::SwiftDaemon => Asked::Stop("SIGHUP"),
            Manners::SwiftWorker => Asked::Leave,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::process::{Signal as Number, getpid, kill_process};
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Each of these would end a process that does not listen to it, and so this one.
    #[tokio::test]
    async fn a_hang_up_means_what_its_sender_means_and_a_seamless_reload_nothing() {
        for (manners, wanted) in [
            (Manners::Service, Asked::Reload),
            (Manners::SwiftDaemon, Asked::Stop("SIGHUP")),
            (Manners::SwiftWorker, Asked::Leave),
        ] {
            let mut signals = Signals::catch(manners).unwrap();
            kill_process(getpid(), Number::USR1).unwrap();
            let waited = timeout(Duration::from_millis(100), signals.next()).await;
            assert!(waited.is_err(), "{waited:?}");
            kill_process(getpid(), Number::HUP).unwrap();
            assert_eq!(timeout(PATIENCE, signals.next()).await, Ok(wanted));
            kill_process(getpid(), Number::TERM).unwrap();
            assert_eq!(timeout(PATIENCE, signals.next()).await, Ok(Asked::Stop("SIGTERM")));
        }
    }
}
