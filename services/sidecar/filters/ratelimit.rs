//! A limit on the requests into each device (Swift: common/middleware/backend_ratelimit.py).

mod limiter;
mod options;

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use limiter::Limiter;
use options::Rates;
pub use options::{RateOptions, RatelimitConfig};
use ssync_statsd::Statsd;
use ssync_types::DeviceName;

use crate::{
    http::{RequestHead, Response},
    path::Path,
    status::page,
};

/// The status of a request too many.
pub(super) const TOO_MANY: u16 = 529;
/// Most pairs of device and method that are counted. Names come from clients: what is beyond takes the place of another.
const LIMITERS_MAX: usize = 16_384;
/// Seconds between two looks for those that were idle, which are long.
const SWEEP_SECONDS_MIN: f64 = 1.0;

/// Counts requests by device and method.
#[derive(Debug)]
pub(super) struct Ratelimit {
    config: RatelimitConfig,
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rates: Rates,
    looked: Instant,
    /// That the file was there at the last look, so that it is news when it is gone.
    file_expected: bool,
    /// By device, and by method or for all.
    limiters: HashMap<(DeviceName, Option<&'static str>), Limiter>,
    /// When those that were idle were last looked for.
    swept: f64,
}

impl Ratelimit {
    pub(super) fn new(config: RatelimitConfig) -> Self {
        let now = Instant::now();
        let mut state = State {
            rates: config.options.rates(),
            looked: now,
            file_expected: config.path_is_set,
            limiters: HashMap::new(),
            swept: f64::NEG_INFINITY,
        };
        state.load(&config, options::read(&config));
        Self { config, began: now, state: Mutex::new(state) }
    }

    pub(super) async fn answer(&self, statsd: &Statsd, head: &RequestHead, path: &Path) -> Option<Response> {
        self.look_again().await;
        let method = options::METHODS.into_iter().find(|method| method.as_bytes() == head.method.as_ref())?;
        let device = device(path)?;
        let now = self.began.elapsed().as_secs_f64();
        if self.state().is_allowed(&device, method, now) {
            return None;
        }
        statsd.increment("backend.ratelimit");
        Some(page(TOO_MANY, ""))
    }

    /// Reads the file again when it is time to. The one request that finds that it is waits for it.
    async fn look_again(&self) {
        let interval = self.config.reload_interval;
        {
            let mut state = self.state();
            if interval.is_zero() || state.looked.elapsed() < interval {
                return;
            }
            state.looked = Instant::now();
        }
        let config = self.config.clone();
        if let Ok(found) = tokio::task::spawn_blocking(move || options::read(&config)).await {
            self.state().load(&self.config, found);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes over what was read; what could not be read changes nothing.
    fn load(&mut self, config: &RatelimitConfig, found: options::Found) {
        let path = config.path.display();
        match found {
            options::Found::Rates(rates) => {
                if rates != self.rates {
                    tracing::info!(%path, "backend_ratelimit: the options of the file count from now on");
                }
                self.rates = rates;
                self.file_expected = true;
            }
            options::Found::NoFile(problem) => {
                if self.file_expected {
                    tracing::warn!(%path, problem, "backend_ratelimit: the file could not be read; nothing changes");
                }
                self.file_expected = false;
            }
            options::Found::Bad(problem) => {
                tracing::warn!(%path, problem, "backend_ratelimit: the file is not valid; nothing changes");
            }
        }
    }

    /// Both limits are asked, that of the device first; and a request that the second refuses counts for the first.
    fn is_allowed(&mut self, device: &DeviceName, method: &'static str, now: f64) -> bool {
        if !self.rates.any() {
            return true;
        }
        [None, Some(method)].into_iter().all(|method| {
            let rate = self.rates.of(method);
            if rate <= 0.0 {
                return true;
            }
            let key = (device.clone(), method);
            if self.limiters.len() >= LIMITERS_MAX && !self.limiters.contains_key(&key) {
                self.make_room(now);
            }
            self.limiters.entry(key).or_default().is_allowed(rate, self.rates.buffer(), now)
        })
    }

    /// Forgets all that were idle, which lose nothing by it; where there are none, any.
    fn make_room(&mut self, now: f64) {
        if now - self.swept >= SWEEP_SECONDS_MIN {
            self.swept = now;
            let buffer = self.rates.buffer();
            self.limiters.retain(|_, limiter| !limiter.is_idle(buffer, now));
        }
        if self.limiters.len() >= LIMITERS_MAX
            && let Some(any) = self.limiters.keys().next().cloned()
        {
            self.limiters.remove(&any);
        }
    }
}

/// The device of a path that has one, and a partition behind it.
fn device(path: &Path) -> Option<DeviceName> {
    let mut parts = std::str::from_utf8(path.as_bytes()).ok()?.strip_prefix('/')?.split('/');
    let (device, partition) = (parts.next()?, parts.next()?);
    let is_number = !partition.is_empty() && partition.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| device.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use bytes::Bytes;

    use super::*;

    fn config(folder: &std::path::Path, options: RateOptions) -> RatelimitConfig {
        RatelimitConfig {
            options,
            path: folder.join("backend-ratelimit.conf"),
            path_is_set: false,
            reload_interval: Duration::from_millis(1),
        }
    }

    async fn ask(filter: &Ratelimit, method: &str, path: &str) -> u16 {
        let head = format!("{method} {path} HTTP/1.1\r\n\r\n");
        let head = RequestHead::parse(&Bytes::from(head)).unwrap();
        let path = Path::of_target(&head.target);
        filter.answer(&Statsd::disabled(), &head, &path).await.map_or(200, |response| response.status)
    }

    #[tokio::test]
    async fn refuses_what_is_too_much_for_a_device_or_a_method_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        // A burst of three beside the one that is due, then one in a thousand seconds.
        let options = RateOptions { per_device: 0.001, buffer: 3000.0, ..RateOptions::default() };
        let filter = Ratelimit::new(config(folder.path(), options));
        for expected in [200, 200, 200, 200, 529, 529] {
            assert_eq!(ask(&filter, "GET", "/sda/1/a/c/o").await, expected);
        }
        assert_eq!(ask(&filter, "REPLICATE", "/sda/1").await, 529);
        for (method, path) in [
            ("GET", "/sdb/1/a/c/o"),
            ("OPTIONS", "/sda/1"),
            ("SSYNC", "/sda/1"),
            ("GET", "/sda/x"),
            ("GET", "/sda"),
        ] {
            assert_eq!(ask(&filter, method, path).await, 200, "{method} {path}");
        }
    }

    #[tokio::test]
    async fn the_file_overrides_the_options_and_what_it_no_longer_says_counts_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let filter = Ratelimit::new(config(folder.path(), RateOptions::default()));
        let path = folder.path().join("backend-ratelimit.conf");
        let refused = async || {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let mut statuses = Vec::new();
            for _ in 0..3 {
                statuses.push(ask(&filter, "PUT", "/sda/1/a/c/o").await);
            }
            statuses.contains(&529)
        };
        assert!(!refused().await);
        let limited = "[backend_ratelimit]\nput_requests_per_device_per_second = 0.01\nrequests_per_device_rate_buffer = 1\n";
        fs::write(&path, limited).unwrap();
        assert!(refused().await);
        for bad in ["[backend_ratelimit]\nput_requests_per_device_per_second = many\n", "[other]\n"] {
            fs::write(&path, bad).unwrap();
            assert!(refused().await, "{bad}");
        }
        fs::remove_file(&path).unwrap();
        assert!(refused().await, "a file that is gone changes nothing");
        fs::write(&path, "[backend_ratelimit]\n").unwrap();
        assert!(!refused().await);
    }

    fn state(buffer: f64) -> State {
        let options = RateOptions { per_device: 0.001, buffer, ..RateOptions::default() };
        let limiters = HashMap::new();
        let (looked, swept) = (Instant::now(), f64::NEG_INFINITY);
        State { rates: options.rates(), looked, file_expected: false, limiters, swept }
    }

    /// One request to each of so many devices.
    fn flood(state: &mut State, name: &str, count: usize, now: f64) {
        for n in 0..count {
            state.is_allowed(&format!("{name}{n}").parse().unwrap(), "GET", now);
        }
    }

    #[test]
    fn made_up_devices_neither_end_the_limit_nor_fill_the_memory() {
        let mut state = state(0.0);
        flood(&mut state, "x", LIMITERS_MAX + 100, 10.0);
        assert_eq!(state.limiters.len(), LIMITERS_MAX);
        let sda = "sda".parse().unwrap();
        let answers = [0.0, 0.0, 0.5].map(|later| state.is_allowed(&sda, "GET", 10.0 + later));
        assert_eq!(answers, [true, false, false]);
    }

    #[test]
    fn a_full_table_forgets_those_that_were_idle_and_no_other() {
        let mut state = state(1.0);
        let sda = "sda".parse().unwrap();
        flood(&mut state, "x", LIMITERS_MAX - 1, 10.0);
        // Their next requests are due at 1009.
        let allowed = |state: &mut State, now| (0..9).filter(|_| state.is_allowed(&sda, "GET", now)).count();
        assert_eq!(allowed(&mut state, 1009.0), 1);
        flood(&mut state, "y", 1, 1011.0);
        assert_eq!(state.limiters.len(), 2, "the busy one and the new one");
        assert_eq!(allowed(&mut state, 1012.0), 0);
    }
}
