//! Clients of the proxy that never rest, and remember what they were told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use ssync_tests::{Answer, Chance, Client};

use crate::ledger::{Ledger, State, body, new_put};

pub(crate) const CONTAINER: &str = "/c";
const WRITERS: usize = 3;
/// Names of one writer.
const NAMES: usize = 30;
/// Between two requests of a writer, so that replicators get a share of the machine.
const PACE: Duration = Duration::from_millis(15);
/// Longest until some requests have been answered.
const ANSWERED_MAX: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    tried: AtomicUsize,
    acknowledged: AtomicUsize,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Writers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<Ledger>>>,
}

impl Writers {
    pub(crate) fn start(client: &Client, chance: &mut Chance) -> Self {
        let shared = Arc::new(Shared::default());
        let start = |number| {
            let (client, shared) = (client.clone(), Arc::clone(&shared));
            let chance = Chance::new(chance.below(usize::MAX) as u64);
            let writer = Writer { number, client, shared, chance, ledger: Ledger::default() };
            thread::spawn(move || writer.work())
        };
        Self { threads: (0..WRITERS).map(start).collect(), shared }
    }

    /// Returns when so many more requests have been answered: this is the test's clock.
    pub(crate) fn wait_for(&self, more: usize) -> Result<()> {
        let (until, began) = (self.tried() + more, Instant::now());
        while self.tried() < until {
            ensure!(!self.threads.iter().any(JoinHandle::is_finished), "a writer has given up");
            ensure!(began.elapsed() < ANSWERED_MAX, "the writers are not answered any more");
            thread::sleep(POLL);
        }
        Ok(())
    }

    fn tried(&self) -> usize {
        self.shared.tried.load(Ordering::Relaxed)
    }

    /// Ends them, and returns what they know.
    pub(crate) fn stop(self) -> Result<Ledger> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut all = Ledger::default();
        for thread in self.threads {
            all.merge(thread.join().map_err(|_| anyhow!("a writer died"))??);
        }
        let (tried, good) =
            (self.shared.tried.load(Ordering::Relaxed), self.shared.acknowledged.load(Ordering::Relaxed));
        let certain = all.objects.values().filter(|history| history.certain().is_some()).count();
        println!(
            "{tried} requests, {good} of them acknowledged writes; {certain} of {} objects certain",
            all.objects.len()
        );
        ensure!(good > tried / 4, "hardly anything was acknowledged, which proves nothing");
        ensure!(certain > all.objects.len() / 2, "hardly anything is certain, which proves nothing");
        Ok(all)
    }
}

struct Writer {
    number: usize,
    client: Client,
    shared: Arc<Shared>,
    chance: Chance,
    ledger: Ledger,
}

impl Writer {
    fn work(mut self) -> Result<Ledger> {
        for number in 0.. {
            if self.shared.stop.load(Ordering::Relaxed) {
                break;
            }
            self.one(number)?;
            self.shared.tried.fetch_add(1, Ordering::Relaxed);
            thread::sleep(PACE);
        }
        Ok(self.ledger)
    }

    fn one(&mut self, number: usize) -> Result<()> {
        let name = format!("{}-{}", self.number, self.chance.below(NAMES));
        match self.chance.below(20) {
            0..9 => {
                let put = new_put(self.number, number, &mut self.chance);
                let headers =
                    [("Content-Type", format!("written/{put}")), ("X-Object-Meta-Fresh", put.clone())];
                let good = self.tell("PUT", &name, &headers, &body(&put));
                self.ledger.history(&name).put(&put, good);
            }
            9..13 => {
                let post = format!("{}-{number}", self.number);
                let good = self.tell("POST", &name, &[("X-Object-Meta-Posted", post.clone())], b"");
                self.ledger.history(&name).post(&post, good);
            }
            13..16 => {
                let good = self.tell("DELETE", &name, &[], b"");
                self.ledger.history(&name).delete(good);
            }
            _ => self.look(&name)?,
        }
        Ok(())
    }

    /// Whether the write was acknowledged. A refusal is no proof that it has not happened on some node.
    fn tell(&self, method: &str, name: &str, headers: &[(&str, String)], body: &[u8]) -> bool {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = self.client.request(method, &format!("{CONTAINER}/{name}"), &headers, body);
        let good = answer.is_ok_and(|answer| answer.status / 100 == 2);
        self.shared.acknowledged.fetch_add(usize::from(good), Ordering::Relaxed);
        good
    }

    /// What is read was written at some time, whole.
    fn look(&mut self, name: &str) -> Result<()> {
        let answer = self.client.request("GET", &format!("{CONTAINER}/{name}"), &[], b"");
        if let Some(found) = answer.ok().filter(|answer| answer.status == 200) {
            let state = state_of(name, &found)?;
            let history = self.ledger.history(name);
            ensure!(history.ever_was(&state), "GET {name} gives {state:?}, which it never was: {history:?}");
        }
        Ok(())
    }
}

/// What an answer to GET shows; its body is the one that was put.
pub(crate) fn state_of(name: &str, answer: &Answer) -> Result<State> {
    if answer.status == 404 {
        return Ok(State::Absent);
    }
    ensure!(answer.status == 200, "GET {name}: {}", answer.head);
    let put = answer.header("content-type").and_then(|kind| kind.strip_prefix("written/"));
    let put = put.ok_or_else(|| anyhow!("GET {name}: {}", answer.head))?.to_owned();
    let promised = answer.header("content-length").and_then(|length| length.parse::<usize>().ok());
    // A node that is killed cuts short what it sends.
    if promised == Some(answer.body.len()) {
        ensure!(answer.body == body(&put), "GET {name}: not the body of {put}");
    }
    let post = answer.header("x-object-meta-posted").map(str::to_owned);
    let fresh = answer.header("x-object-meta-fresh");
    ensure!(
        if post.is_some() { fresh.is_none() } else { fresh == Some(&put) },
        "GET {name}: metadata of neither the PUT nor the POST: {}",
        answer.head
    );
    Ok(State::Present { put, post })
}
