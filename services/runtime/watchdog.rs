//! Beats for systemd's watchdog (`WatchdogSec=`), for as long as the daemon really gets on.

use std::{
    env, io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use tokio::runtime::Handle;

use crate::notify;

const INTERVAL_VARIABLE: &str = "WATCHDOG_USEC";
const PROCESS_VARIABLE: &str = "WATCHDOG_PID";

/// Looks in the time in which systemd wants a beat: one look asks, the next one sees the answer, and one is to spare.
const LOOKS: u32 = 4;

/// Beats while each of its runtimes runs what it is given. It ends when this is dropped.
#[derive(Debug)]
pub struct Watchdog {
    _end: mpsc::Sender<()>,
}

impl Watchdog {
    /// Begins, if the service manager asks this process for it. `runtimes` have to get on; a device that hangs stalls
    /// threads of its own, and is nothing that a restart would mend.
    pub fn start(runtimes: Vec<Handle>) -> io::Result<Option<Self>> {
        let Some(interval) = interval(|name| env::var(name).ok()) else { return Ok(None) };
        Self::beating(interval / LOOKS, runtimes, notify::beat).map(Some)
    }

    fn beating(pause: Duration, runtimes: Vec<Handle>, beat: impl Fn() + Send + 'static) -> io::Result<Self> {
        let (end, ended) = mpsc::channel();
        let mut probes: Vec<Probe> = runtimes.into_iter().map(Probe::new).collect();
        let looks = move || {
            while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                // All are asked again, whichever has not answered.
                let answered = probes.iter_mut().filter_map(Probe::answer).count();
                if answered == probes.len() {
                    beat();
                }
            }
        };
        thread::Builder::new().name("watchdog".to_owned()).spawn(looks)?;
        Ok(Self { _end: end })
    }
}

/// The time within which a beat is wanted from this process.
fn interval(variable: impl Fn(&str) -> Option<String>) -> Option<Duration> {
    let ours = variable(PROCESS_VARIABLE).is_none_or(|id| id.parse() == Ok(std::process::id()));
    let microseconds: u64 = variable(INTERVAL_VARIABLE)?.parse().ok()?;
    (ours && microseconds > 0).then(|| Duration::from_micros(microseconds))
}

/// A runtime, and whether it has run what it was last given.
#[derive(Debug)]
struct Probe {
    runtime: Handle,
    asked: u64,
    answered: Arc<AtomicU64>,
}

impl Probe {
    fn new(runtime: Handle) -> Self {
        Self { runtime, asked: 0, answered: Arc::default() }
    }

    /// Asks anew, if the last question has been answered; nothing piles up in a runtime that stands still.
    fn answer(&mut self) -> Option<()> {
        if self.answered.load(Ordering::Acquire) != self.asked {
            return None;
        }
        let first = self.asked == 0;
        self.asked += 1;
        let (answered, asked) = (Arc::clone(&self.answered), self.asked);
        self.runtime.spawn(async move { answered.store(asked, Ordering::Release) });
        (!first).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::runtime::{Builder, Runtime};

    use super::*;

    const PAUSE: Duration = Duration::from_millis(10);
    const PATIENCE: Duration = Duration::from_secs(20);

    fn runtime() -> Runtime {
        Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    }

    #[test]
    fn beats_only_while_every_runtime_gets_on() {
        let (one, other) = (runtime(), runtime());
        let (beats, felt) = mpsc::channel();
        let handles = vec![one.handle().clone(), other.handle().clone()];
        let watchdog = Watchdog::beating(PAUSE, handles, move || {
            let _ = beats.send(Instant::now());
        })
        .unwrap();
        felt.recv_timeout(PATIENCE).expect("a beat while both get on");

        let (go_on, blocked) = mpsc::channel::<()>();
        let (began, begin) = mpsc::channel();
        other.spawn(async move {
            began.send(()).unwrap();
            // What no task should do.
            blocked.recv()
        });
        begin.recv_timeout(PATIENCE).unwrap();
        thread::sleep(5 * PAUSE);
        while felt.try_recv().is_ok() {}
        assert!(felt.recv_timeout(20 * PAUSE).is_err(), "a beat while a runtime stands still");

        go_on.send(()).unwrap();
        felt.recv_timeout(PATIENCE).expect("a beat when it gets on again");
        drop(watchdog);
        let quiet = Instant::now() + 5 * PAUSE;
        while let Ok(at) = felt.recv_timeout(20 * PAUSE) {
            assert!(at < quiet, "it goes on after its end");
        }
    }

    #[test]
    fn only_the_process_that_is_asked_beats() {
        let asked = |id: &str, microseconds: &str| {
            interval(|name| match name {
                PROCESS_VARIABLE => (!id.is_empty()).then(|| id.to_owned()),
                _ => (!microseconds.is_empty()).then(|| microseconds.to_owned()),
            })
        };
        let own = std::process::id().to_string();
        assert_eq!(asked(&own, "30000000"), Some(Duration::from_secs(30)));
        assert_eq!(asked("", "30000000"), Some(Duration::from_secs(30)));
        for (id, microseconds) in [("1", "30000000"), (own.as_str(), ""), ("", "0"), ("", "soon")] {
            assert_eq!(asked(id, microseconds), None, "{id:?} {microseconds:?}");
        }
    }
}
