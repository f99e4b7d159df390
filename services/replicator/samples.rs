//! What was pushed lately, in steps: for rates and small charts.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// What one sample covers.
pub(crate) const STEP: Duration = Duration::from_secs(5);
/// Samples that are kept: ten minutes.
const SAMPLES_MAX: usize = 120;

/// Live objects, and the bytes of their bodies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Objects.
    pub objects: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

impl Amount {
    /// One object of so many bytes.
    pub(crate) fn of(objects: u64, bytes: u64) -> Self {
        Self { objects, bytes }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.objects = self.objects.saturating_add(other.objects);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    pub(crate) fn less(self, other: Self) -> Self {
        Self {
            objects: self.objects.saturating_sub(other.objects),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

/// Sums in steps of [`STEP`], the last of which is under way.
#[derive(Debug, Clone)]
pub(crate) struct Samples {
    begun: Instant,
    sums: VecDeque<Amount>,
}

impl Samples {
    pub(crate) fn new(now: Instant) -> Self {
        Self { begun: now, sums: VecDeque::from([Amount::default()]) }
    }

    fn advance(&mut self, now: Instant) {
        let steps = now.saturating_duration_since(self.begun).as_nanos() / STEP.as_nanos();
        self.begun += STEP * u32::try_from(steps).unwrap_or(u32::MAX);
        for _ in 0..steps.min(SAMPLES_MAX as u128 + 1) {
            self.sums.push_back(Amount::default());
        }
        let over = self.sums.len().saturating_sub(SAMPLES_MAX + 1);
        self.sums.drain(..over);
    }

    pub(crate) fn add(&mut self, now: Instant, amount: Amount) {
        self.advance(now);
        if let Some(last) = self.sums.back_mut() {
            last.add(amount);
        }
    }

    /// Those that are whole, oldest first.
    pub(crate) fn whole(&mut self, now: Instant) -> Vec<Amount> {
        self.advance(now);
        self.sums.iter().take(self.sums.len() - 1).copied().collect()
    }

    /// Objects and bytes a second, over the last minute or as long as there are samples.
    pub(crate) fn rate(&mut self, now: Instant) -> (f64, f64) {
        self.advance(now);
        let wanted = 60 / STEP.as_secs() as usize;
        let whole = self.sums.len().saturating_sub(1).min(wanted);
        let mut sum = Amount::default();
        self.sums.iter().rev().take(whole + 1).for_each(|sample| sum.add(*sample));
        let seconds =
            (STEP * whole as u32 + now.saturating_duration_since(self.begun)).as_secs_f64().max(1.0);
        (sum.objects as f64 / seconds, sum.bytes as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn sums_by_step_and_forgets_what_is_old() {
        let mut samples = Samples::new(Instant::now());
        samples.add(Instant::now(), Amount::of(1, 10));
        tokio::time::advance(STEP * 2).await;
        samples.add(Instant::now(), Amount::of(5, 50));
        let whole = samples.whole(Instant::now());
        assert_eq!(whole, [Amount::of(1, 10), Amount::default()]);
        assert_eq!(samples.rate(Instant::now()).0, 0.6, "six in ten seconds");
        tokio::time::advance(STEP * 5000).await;
        assert_eq!(samples.whole(Instant::now()), vec![Amount::default(); SAMPLES_MAX]);
        assert_eq!(samples.rate(Instant::now()), (0.0, 0.0));
    }
}
