//! How many lines of the log tell of trouble, for alerts.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use ssync_instruments::Instrument;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::metrics::Metrics;

pub(super) const LINES: Instrument =
    Instrument::counter("ssync_log_lines", &["level"], "Warnings and errors, whatever is logged of them");

/// Counts events. To be filtered to warnings and errors.
#[derive(Debug, Clone, Default)]
pub(super) struct LineCounter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    warnings: AtomicU64,
    errors: AtomicU64,
}

impl LineCounter {
    /// Shows the counts.
    pub(super) fn observe(&self, metrics: &Metrics) {
        let counts = Arc::clone(&self.0);
        LINES.observe(&metrics.meter(), move |values| {
            for (level, count) in [("WARN", &counts.warnings), ("ERROR", &counts.errors)] {
                values.observe(count.load(Ordering::Relaxed), &[LINES.label(level)]);
            }
        });
    }
}

impl<S: Subscriber> Layer<S> for LineCounter {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let count = if *event.metadata().level() == Level::ERROR { &self.0.errors } else { &self.0.warnings };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::{filter::LevelFilter, layer::SubscriberExt as _};

    use super::*;

    #[test]
    fn warnings_and_errors_are_counted_apart() {
        let metrics = Metrics::new("0").unwrap();
        let counter = LineCounter::default();
        counter.observe(&metrics);
        let lines = counter.with_filter(LevelFilter::WARN);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            tracing::info!("not this");
            tracing::warn!("this");
            tracing::error!("this");
            tracing::error!("and this");
        });
        let text = metrics.text().unwrap();
        for line in ["ssync_log_lines_total{level=\"WARN\"} 1", "ssync_log_lines_total{level=\"ERROR\"} 2"] {
            assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
        }
    }
}
