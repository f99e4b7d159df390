//! One row: an instrument before it is made.

use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, Histogram, Meter},
};

/// How a value behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It is what it is now.
    Gauge,
    /// Seconds, counted in buckets.
    Durations,
}

/// An instrument: its name, what it says, and by which labels. Names are in base units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instrument {
    /// Its name, without what the kind adds to it.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Its labels. They have few values: never a partition, a hash or a path.
    pub labels: &'static [&'static str],
    /// What it says.
    pub doc: &'static str,
}

impl Instrument {
    /// What only grows.
    #[must_use]
    pub const fn counter(name: &'static str, labels: &'static [&'static str], doc: &'static str) -> Self {
        Self { name, kind: Kind::Counter, labels, doc }
    }

    /// What is as it is now.
    #[must_use]
    pub const fn gauge(name: &'static str, labels: &'static [&'static str], doc: &'static str) -> Self {
        Self { name, kind: Kind::Gauge, labels, doc }
    }

    /// How long something takes.
    #[must_use]
    pub const fn durations(name: &'static str, labels: &'static [&'static str], doc: &'static str) -> Self {
        Self { name, kind: Kind::Durations, labels, doc }
    }

    /// Its name on `/metrics`.
    #[must_use]
    pub fn prometheus_name(&self) -> String {
        let name = self.name.replace('.', "_");
        match self.kind {
            Kind::Counter => format!("{name}_total"),
            Kind::Gauge => name,
            Kind::Durations => format!("{name}_seconds"),
        }
    }

    /// Makes a counter or a gauge of it, which asks `values` whenever somebody looks.
    pub fn observe(&self, meter: &Meter, values: impl Fn(&dyn AsyncInstrument<u64>) + Send + Sync + 'static) {
        match self.kind {
            Kind::Gauge => {
                let gauge = meter.u64_observable_gauge(self.name).with_description(self.doc);
                gauge.with_callback(values).build();
            }
            Kind::Counter | Kind::Durations => {
                let counter = meter.u64_observable_counter(self.name).with_description(self.doc);
                counter.with_callback(values).build();
            }
        }
    }

    /// The same of one value without labels; none when nobody is there to say it.
    pub fn observe_one(&self, meter: &Meter, value: impl Fn() -> Option<u64> + Send + Sync + 'static) {
        self.observe(meter, move |instrument| {
            if let Some(value) = value() {
                instrument.observe(value, &[]);
            }
        });
    }

    /// Makes a histogram of seconds of it.
    #[must_use]
    pub fn histogram(&self, meter: &Meter) -> Histogram<f64> {
        meter.f64_histogram(self.name).with_unit("s").with_description(self.doc).build()
    }

    /// Its one label.
    #[must_use]
    pub fn label(&self, value: impl Into<opentelemetry::Value>) -> KeyValue {
        KeyValue::new(self.labels.first().copied().unwrap_or_default(), value)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::metrics::MeterProvider as _;
    use opentelemetry_sdk::metrics::SdkMeterProvider;
    use prometheus::{Registry, TextEncoder};

    use super::*;

    #[test]
    fn the_name_that_it_says_is_the_one_that_is_scraped() {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter().with_registry(registry.clone()).build().unwrap();
        let provider = SdkMeterProvider::builder().with_reader(exporter).build();
        let meter = provider.meter("test");
        let counter = Instrument::counter("x_objects", &[], "Counted");
        let gauge = Instrument::gauge("x_ring_bytes", &["device"], "Measured");
        let durations = Instrument::durations("x.pass.duration", &[], "Timed");
        counter.observe_one(&meter, || Some(3));
        gauge.observe(&meter, move |instrument| instrument.observe(7, &[gauge.label("d1")]));
        durations.histogram(&meter).record(0.5, &[]);
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for (instrument, suffix) in [(counter, "{"), (gauge, "{device=\"d1\""), (durations, "_count")] {
            let name = instrument.prometheus_name();
            assert!(text.contains(&format!("# HELP {name} {}\n", instrument.doc)), "{name}:\n{text}");
            assert!(text.contains(&format!("{name}{suffix}")), "{name}:\n{text}");
        }
    }
}
