//! Whether one more request is too much (Swift: common/utils AbstractRateLimiter, with `burst_after_idle`).

/// The requests of one kind into one device.
#[derive(Debug)]
pub(super) struct Limiter {
    /// When the next request may come, in seconds.
    next: f64,
}

impl Default for Limiter {
    /// Idle since ever: it begins with a burst.
    fn default() -> Self {
        Self { next: f64::NEG_INFINITY }
    }
}

impl Limiter {
    /// Counts a request, unless it comes too early. `rate` is for each second; a device that was idle makes up for at most
    /// `buffer` seconds.
    pub(super) fn is_allowed(&mut self, rate: f64, buffer: f64, now: f64) -> bool {
        if self.is_idle(buffer, now) {
            self.next = now - buffer;
        }
        let allowed = now >= self.next;
        if allowed {
            self.next += 1.0 / rate;
        }
        allowed
    }

    /// Whether it was idle for so long that a new one would say the same.
    pub(super) fn is_idle(&self, buffer: f64, now: f64) -> bool {
        now - self.next > buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Swift 2.38.3's EventletRateLimiter answers.
    #[test]
    fn allows_the_rate_and_bursts_of_what_was_not_used() {
        let mut limiter = Limiter::default();
        let mut allowed = |now| (0..20).filter(|_| limiter.is_allowed(2.0, 1.5, now)).count();
        assert_eq!(allowed(10.0), 4, "three of the buffer and the one that is due");
        assert_eq!(allowed(10.4), 0);
        assert_eq!(allowed(10.5), 1);
        assert_eq!(allowed(11.5), 2);
        assert_eq!(allowed(100.0), 4);
    }
}
