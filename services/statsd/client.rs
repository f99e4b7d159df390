//! The metrics' side: names, numbers and sampling.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    Labels,
    chance::Chance,
    labels::plain,
    sender::{Lines, lines},
};

/// What an operator can set, under Swift's names without `log_statsd_`.
#[derive(Debug, Clone, PartialEq)]
pub struct StatsdSettings {
    /// Host of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Share of events that are sent, where a metric has no rate of its own.
    pub default_sample_rate: f64,
    /// Factor on every rate.
    pub sample_rate_factor: f64,
    /// What stands before the name of each metric without labels.
    pub metric_prefix: String,
    /// `log_name`: what stands between that prefix and the name.
    pub name: String,
    /// `statsd_emit_legacy`: send metrics without labels.
    pub emit_legacy: bool,
    /// How metrics with labels are sent, if they are.
    pub labels: Option<Labels>,
}

/// Sends metrics. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Statsd(Option<Arc<Client>>);

#[derive(Debug)]
struct Client {
    lines: Lines,
    /// With the period behind it.
    prefix: String,
    default_sample_rate: f64,
    sample_rate_factor: f64,
    emit_legacy: bool,
    labels: Option<Labels>,
    chance: Chance,
}

impl Statsd {
    /// Sends nothing.
    #[must_use]
    pub fn disabled() -> Self {
        Self(None)
    }

    /// Sends to the server of the settings. Must be called within a tokio runtime, which the sending task lives in.
    #[must_use]
    pub fn new(settings: StatsdSettings) -> Self {
        let parts = [&settings.metric_prefix, &settings.name];
        let prefix =
            parts.into_iter().filter(|part| !part.is_empty()).map(|part| format!("{part}.")).collect();
        Self(Some(Arc::new(Client {
            lines: lines(settings.host, settings.port),
            prefix,
            default_sample_rate: settings.default_sample_rate,
            sample_rate_factor: settings.sample_rate_factor,
            emit_legacy: settings.emit_legacy,
            labels: settings.labels,
            chance: Chance::new(),
        })))
    }

    /// Counts one event.
    pub fn increment(&self, metric: &str) {
        self.send(metric, "1", "c", None);
    }

    /// Counts so many events at once.
    pub fn add(&self, metric: &str, events: u64) {
        self.send(metric, events, "c", None);
    }

    /// How long something took; `rate` is the metric's own sample rate.
    pub fn timing(&self, metric: impl fmt::Display, took: Duration, rate: Option<f64>) {
        self.send(metric, milliseconds(took.as_secs_f64() * 1000.0), "ms", rate);
    }

    /// How long a thousand of these bytes took; nothing where there were none.
    pub fn transfer_rate(&self, metric: impl fmt::Display, took: Duration, bytes: u64) {
        if bytes > 0 {
            let value = took.as_secs_f64() * 1000.0 / bytes as f64 * 1000.0;
            self.send(metric, milliseconds(value), "ms", None);
        }
    }

    /// Returns when what was said so far has been sent, or after a second: for who is about to end.
    pub async fn settle(&self) {
        if let Some(client) = &self.0 {
            client.lines.settle().await;
        }
    }

    /// Whether metrics with labels are sent: who makes labels can ask first.
    #[must_use]
    pub fn has_labels(&self) -> bool {
        self.0.as_ref().is_some_and(|client| client.labels.is_some())
    }

    /// How long something took, with labels. Such metrics have no prefix.
    pub fn labeled_timing(&self, metric: &str, took: Duration, labels: &[(&str, String)]) {
        let Some(client) = &self.0 else { return };
        let (Some(form), Some(rate)) = (&client.labels, client.sampled(None)) else { return };
        let value = milliseconds(took.as_secs_f64() * 1000.0);
        client.lines.push(form.line(metric, &format!("{value}|ms{rate}"), labels));
    }

    fn send(&self, metric: impl fmt::Display, value: impl fmt::Display, kind: &str, rate: Option<f64>) {
        let Some(client) = self.0.as_ref().filter(|client| client.emit_legacy) else { return };
        if let Some(rate) = client.sampled(rate) {
            // Names of devices stand in it.
            let metric = plain(&metric.to_string());
            client.lines.push(format!("{}{metric}:{value}|{kind}{rate}", client.prefix));
        }
    }
}

impl Client {
    /// What a line says of its rate; `None` where this event is not sent (Swift: `_is_emitted`, which takes part in no
    /// lottery at a rate of 1).
    fn sampled(&self, rate: Option<f64>) -> Option<String> {
        let rate = rate.unwrap_or(self.default_sample_rate) * self.sample_rate_factor;
        let said = if rate < 1.0 { format!("|@{rate:?}") } else { String::new() };
        self.chance.hits(rate).then_some(said)
    }
}

/// A float of four places at most and at least one, as Python writes one that was rounded.
fn milliseconds(value: f64) -> String {
    format!("{:?}", (value * 1e4).round() / 1e4)
}

#[cfg(test)]
mod tests {
    use tokio::{net::UdpSocket, time::timeout};

    use super::*;
    use crate::LabelMode;

    async fn pair(change: impl FnOnce(&mut StatsdSettings)) -> (Statsd, UdpSocket) {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut settings = StatsdSettings {
            host: "127.0.0.1".to_owned(),
            port: server.local_addr().unwrap().port(),
            default_sample_rate: 1.0,
            sample_rate_factor: 1.0,
            metric_prefix: String::new(),
            name: "object-server".to_owned(),
            emit_legacy: true,
            labels: None,
        };
        change(&mut settings);
        (Statsd::new(settings), server)
    }

    async fn next(server: &UdpSocket) -> Option<String> {
        let mut buffer = [0; 1500];
        let length = timeout(Duration::from_secs(2), server.recv(&mut buffer)).await.ok()?.unwrap();
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    #[tokio::test]
    async fn sends_swifts_lines_in_their_order() {
        let (statsd, server) = pair(|settings| settings.metric_prefix = "dc1".to_owned()).await;
        statsd.increment("async_pendings");
        statsd.timing("GET.timing", Duration::from_micros(12_345), None);
        statsd.timing("GET.timing", Duration::from_millis(3), None);
        statsd.transfer_rate("PUT.sdb1.timing", Duration::from_millis(2), 4096);
        statsd.transfer_rate("PUT.sdb1.timing", Duration::from_millis(2), 0);
        statsd.increment("quarantines");
        statsd.add("suffix.syncs", 12);
        statsd.timing("PUT.sd~a:1|c\nx.timing", Duration::from_millis(3), None);
        for line in [
            "dc1.object-server.async_pendings:1|c",
            "dc1.object-server.GET.timing:12.345|ms",
            "dc1.object-server.GET.timing:3.0|ms",
            "dc1.object-server.PUT.sdb1.timing:0.4883|ms",
            "dc1.object-server.quarantines:1|c",
            "dc1.object-server.suffix.syncs:12|c",
            "dc1.object-server.PUT.sd_a_1_c_x.timing:3.0|ms",
        ] {
            assert_eq!(next(&server).await.as_deref(), Some(line));
        }
    }

    #[tokio::test]
    async fn samples_and_says_by_how_much() {
        let (statsd, server) = pair(|settings| settings.sample_rate_factor = 0.5).await;
        for _ in 0..64 {
            statsd.timing("HEAD.timing", Duration::from_millis(1), Some(0.8));
        }
        let first = next(&server).await.unwrap();
        assert_eq!(first, "object-server.HEAD.timing:1.0|ms|@0.4");
        let (silent, server) = pair(|settings| settings.default_sample_rate = 0.0).await;
        silent.increment("never");
        silent.timing("always", Duration::ZERO, Some(1.0));
        assert_eq!(next(&server).await.unwrap(), "object-server.always:0.0|ms");
    }

    #[tokio::test]
    async fn labels_are_beside_the_others_and_have_no_prefix() {
        let (statsd, server) = pair(|settings| {
            settings.labels = Some(Labels::new(LabelMode::Graphite, []).unwrap());
            settings.emit_legacy = false;
        })
        .await;
        assert!(statsd.has_labels());
        statsd.timing("GET.timing", Duration::from_millis(1), None);
        statsd.labeled_timing("timing", Duration::from_millis(1), &[("status", "200".to_owned())]);
        assert_eq!(next(&server).await.unwrap(), "timing;status=200:1.0|ms");
    }

    #[tokio::test]
    async fn one_that_is_disabled_does_nothing() {
        Statsd::disabled().increment("x");
        assert!(!Statsd::disabled().has_labels());
    }
}
