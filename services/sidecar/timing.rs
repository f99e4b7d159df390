//! What StatsD is told of each request (Swift: common/base_storage_server.py timing_stats and labeled_timing_stats).

use std::time::Duration;

use ssync_statsd::Statsd;

use crate::{Policies, http::RequestHead, path::Path, placement};

/// The metric with labels (Swift: obj/server.py LABELED_METRIC_NAME).
const LABELED: &str = "swift_object_server_request_timing";

/// The share of requests of a method that is sent, where it is not the operator's to say.
fn sample_rate(method: &str) -> Option<f64> {
    match method {
        "HEAD" => Some(0.8),
        "REPLICATE" | "SSYNC" => Some(0.1),
        _ => None,
    }
}

/// Tells of one request that a handler has answered.
pub(crate) fn record(
    statsd: &Statsd,
    policies: &Policies,
    head: &RequestHead,
    path: &Path,
    status: u16,
    took: Duration,
) {
    let method = String::from_utf8_lossy(&head.method);
    if statsd.has_labels() && method != "OPTIONS" {
        statsd.labeled_timing(LABELED, took, &labels(policies, head, path, &method, status));
    }
    // What is the server's own fault is counted apart.
    let kind = if (500..600).contains(&status) { "errors.timing" } else { "timing" };
    statsd.timing(format_args!("{method}.{kind}"), took, sample_rate(&method));
}

/// What is known of the request; what its path does not say is left out.
fn labels(
    policies: &Policies,
    head: &RequestHead,
    path: &Path,
    method: &str,
    status: u16,
) -> Vec<(&'static str, String)> {
    let mut labels = vec![("method", method.to_owned()), ("status", status.to_string())];
    match method {
        // A session that has not begun has no policy yet.
        "SSYNC" if status != 200 => {}
        "SSYNC" | "REPLICATE" => {
            let with_rest = method == "REPLICATE";
            let Ok((place, rest)) = placement::partition(path, &head.headers, policies, with_rest) else {
                return labels;
            };
            labels.push(("policy", place.policy.to_string()));
            if with_rest {
                // Python's words.
                let skip = if rest.is_empty() { "False" } else { "True" };
                labels.push(("skip_rehash", skip.to_owned()));
            }
        }
        _ => {
            let Ok(object) = placement::object(path, &head.headers, policies) else { return labels };
            let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
            let mut parts = object.path.as_bytes().splitn(4, |&byte| byte == b'/').skip(1).map(text);
            if let (Some(account), Some(container)) = (parts.next(), parts.next()) {
                labels.extend([("account", account), ("container", container)]);
            }
            labels.push(("policy", object.partition.policy.to_string()));
        }
    }
    labels
}
