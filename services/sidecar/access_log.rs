//! One line for each request, in Swift's format (Swift: common/utils/logs.py get_log_line).

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use ssync_types::Timestamp;

use crate::http::{HttpError, RequestHead, log_date};

/// What the line says of the request.
#[derive(Debug)]
pub(crate) struct AccessLog {
    remote: SocketAddr,
    method: String,
    path: String,
    referer: String,
    user_agent: String,
    transaction: String,
    policy: String,
    quiet: bool,
}

impl AccessLog {
    /// Notes what is known before the request is handled.
    pub(crate) fn begin(remote: SocketAddr, head: &RequestHead, path: String) -> Self {
        let header = |name: &str| {
            let value = head.headers.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
            value.filter(|value| !value.is_empty()).unwrap_or_else(|| "-".to_owned())
        };
        let method = String::from_utf8_lossy(&head.method).into_owned();
        Self {
            remote,
            referer: header("Referer"),
            user_agent: header("User-Agent"),
            transaction: header("X-Trans-Id"),
            policy: header("X-Backend-Storage-Policy-Index"),
            quiet: matches!(method.as_str(), "REPLICATE" | "SSYNC")
                || head.headers.get("X-Backend-Replication").is_some(),
            method,
            path,
        }
    }

    /// Says that the answer did not get through whole.
    pub(crate) fn broken(&self, status: u16, announced: u64, sent: u64, error: &HttpError) {
        let Self { remote, method, path, transaction, .. } = self;
        tracing::warn!(%remote, method, path, transaction, status, announced, sent, %error, "an answer broke off");
    }

    /// Writes the line, once the answer is sent. Replication is logged at debug, as Swift does.
    pub(crate) fn end(&self, status: u16, content_length: Option<u64>, took: Duration) {
        let line = self.line(SystemTime::now(), status, content_length, took);
        match self.quiet {
            true => tracing::debug!(target: "access", "{line}"),
            false => tracing::info!(target: "access", "{line}"),
        }
    }

    fn line(&self, now: SystemTime, status: u16, content_length: Option<u64>, took: Duration) -> String {
        let date = log_date(Timestamp::from_system_time(now).seconds());
        // A zero is missing to Swift's formatter.
        let length =
            content_length.filter(|&length| length > 0).map_or("-".to_owned(), |length| length.to_string());
        format!(
            "{} - - [{date} +0000] \"{} {}\" {status} {length} \"{}\" \"{}\" \"{}\" {:.4} \"-\" {} {}",
            self.remote.ip(),
            self.method,
            self.path,
            self.referer,
            self.transaction,
            self.user_agent,
            took.as_secs_f64(),
            std::process::id(),
            self.policy,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn writes_swifts_line() {
        let head =
            b"PUT /sdb1/1/a/c/o%20 HTTP/1.1\r\nX-Trans-Id: tx1\r\nX-Backend-Storage-Policy-Index: 2\r\n\r\n";
        let head = RequestHead::parse(&Bytes::from_static(head)).unwrap();
        let log = AccessLog::begin("192.0.2.1:5".parse().unwrap(), &head, "/sdb1/1/a/c/o%20".into());
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(
            log.line(now, 201, Some(0), Duration::from_micros(1500)),
            format!(
                "192.0.2.1 - - [06/Nov/1994:08:49:37 +0000] \"PUT /sdb1/1/a/c/o%20\" 201 - \"-\" \"tx1\" \"-\" 0.0015 \"-\" {} 2",
                std::process::id()
            )
        );
        assert!(!log.quiet);
    }
}
