//! What was pushed in the last minutes, in bytes and in objects.

use maud::{Markup, html};
use ssync_api::admin::{GetReplicatorStatusResponse, Sample};

use crate::{
    chart::{area, top_of},
    units::{byte_rate, rate, span},
};

/// What "now" means: the mean of so many seconds.
const NOW_SECONDS: u32 = 60;

/// One curve.
struct Curve<'a> {
    id: &'a str,
    title: &'a str,
    values: Vec<f64>,
    base: f64,
    text: fn(f64) -> String,
    ago: String,
    steps_now: usize,
}

/// Both curves; nothing where nobody has measured.
pub(crate) fn charts(status: &GetReplicatorStatusResponse) -> Markup {
    let seconds = status.sample_seconds.max(1);
    let curve = |id, title, base, text, of: fn(&Sample) -> u64| Curve {
        id,
        title,
        values: status.samples.iter().map(|sample| of(sample) as f64 / f64::from(seconds)).collect(),
        base,
        text,
        ago: span(status.samples.len() as u64 * u64::from(seconds)),
        steps_now: steps_now(status),
    };
    html! {
        @if !status.samples.is_empty() {
            section #throughput aria-labelledby="throughput-title" {
                h2 #throughput-title { "Throughput" }
                div.charts {
                    (curve("bytes", "Bytes pushed", 1024.0, byte_rate, |sample| sample.bytes).html())
                    (curve("objects", "Objects pushed", 1000.0, rate, |sample| sample.objects).html())
                }
            }
        }
    }
}

/// What is pushed now, objects and bytes a second.
pub(crate) fn now(status: &GetReplicatorStatusResponse) -> Option<(f64, f64)> {
    let lately = status.samples.iter().rev().take(steps_now(status));
    let seconds = lately.len() as f64 * f64::from(status.sample_seconds.max(1));
    let (objects, bytes) = lately.fold((0.0, 0.0), |(objects, bytes), sample| {
        (objects + sample.objects as f64, bytes + sample.bytes as f64)
    });
    (seconds > 0.0).then_some((objects / seconds, bytes / seconds))
}

fn steps_now(status: &GetReplicatorStatusResponse) -> usize {
    NOW_SECONDS.div_ceil(status.sample_seconds.max(1)) as usize
}

impl Curve<'_> {
    fn html(&self) -> Markup {
        let most = self.values.iter().copied().fold(0.0, f64::max);
        let top = top_of(most, self.base);
        let mean = mean(&self.values);
        let lately = mean_of_last(&self.values, self.steps_now);
        let [most, mean, lately] = [most, mean, lately].map(self.text);
        let label = format!(
            "{} in the last {}: {lately} in the last minute, {mean} on average, {most} at most",
            self.title, self.ago
        );
        html! {
            figure #{ "chart-" (self.id) } {
                figcaption {
                    span.name { (self.title) }
                    span.told { "now " b { (lately) } ", mean " b { (mean) } ", peak " b { (most) } }
                }
                div.plot {
                    (area(&self.values, top, &label))
                    span.top aria-hidden="true" { ((self.text)(top)) }
                }
                div.time aria-hidden="true" { span { (self.ago) " ago" } span { "now" } }
            }
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

fn mean_of_last(values: &[f64], steps: usize) -> f64 {
    mean(&values[values.len().saturating_sub(steps)..])
}
