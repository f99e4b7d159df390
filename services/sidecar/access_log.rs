//! One line for each request, as Swift's object server writes it (Swift: common/utils/logs.py get_log_line).

mod anonymous;
mod format;
mod spec;
mod time;

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use crate::http::{HttpError, RequestHead};

pub use format::{BadFormat, LineFormat};

/// Parts of a path that have fields: device, partition, account, container and object.
const PARTS: usize = 5;

/// What the line says of the request.
#[derive(Debug)]
pub(crate) struct AccessLog {
    remote: String,
    method: String,
    path: String,
    referer: String,
    user_agent: String,
    transaction: String,
    policy: String,
    quiet: bool,
}

/// A request, and what became of it.
#[derive(Debug)]
struct Facts<'l> {
    log: &'l AccessLog,
    now: SystemTime,
    status: u16,
    content_length: Option<u64>,
    took: Duration,
}

impl AccessLog {
    /// Notes what is known before the request is handled.
    pub(crate) fn begin(remote: SocketAddr, head: &RequestHead, path: String) -> Self {
        let header = |name: &str| {
            let value = head.headers.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
            value.unwrap_or_default()
        };
        let method = String::from_utf8_lossy(&head.method).into_owned();
        Self {
            remote: remote.ip().to_string(),
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

    /// Writes the line. Replication is logged at debug, as Swift does.
    pub(crate) fn end(&self, format: &LineFormat, status: u16, content_length: Option<u64>, took: Duration) {
        let facts = Facts { log: self, now: SystemTime::now(), status, content_length, took };
        match self.quiet {
            true => tracing::debug!(target: "access", "{}", format.line(&facts)),
            false => tracing::info!(target: "access", "{}", format.line(&facts)),
        }
    }

    fn method(&self) -> &str {
        &self.method
    }

    /// A part of the path, as it is quoted.
    fn part(&self, index: usize) -> &str {
        self.path.strip_prefix('/').and_then(|path| path.splitn(PARTS, '/').nth(index)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn log(head: &'static [u8], path: &str) -> AccessLog {
        let head = RequestHead::parse(&Bytes::from_static(head)).unwrap();
        AccessLog::begin("192.0.2.1:5".parse().unwrap(), &head, path.to_owned())
    }

    fn line(log: &AccessLog, format: &LineFormat, content_length: u64) -> String {
        format.line(&Facts {
            log,
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777),
            status: 201,
            content_length: Some(content_length),
            took: Duration::from_micros(1500),
        })
    }

    #[test]
    fn writes_swifts_line() {
        let head =
            b"PUT /sdb1/1/a/c/o%20 HTTP/1.1\r\nX-Trans-Id: tx1\r\nX-Backend-Storage-Policy-Index: 2\r\n\r\n";
        let log = log(head, "/sdb1/1/a/c/o%20");
        assert_eq!(
            line(&log, &LineFormat::default(), 0),
            format!(
                "192.0.2.1 - - [06/Nov/1994:08:49:37 +0000] \"PUT /sdb1/1/a/c/o%20\" 201 - \"-\" \"tx1\" \"-\" 0.0015 \"-\" {} 2",
                std::process::id()
            )
        );
        assert!(!log.quiet);
    }

    #[test]
    fn writes_the_line_that_the_operator_wants() {
        let head = b"GET /x HTTP/1.1\r\nUser-Agent: proxy-server 7\r\nX-Backend-Replication: false\r\n\r\n";
        let log = log(head, "/sdb1/1/a/c/o/with/more");
        let format = "{{{disk}|{partition}|{account}|{container}|{object}}} {object.anonymized} {referer.anonymized} \
                      {user_agent:>16}|{content_length:6d}|{trans_time}|{time.iso8601}|{additional_info}";
        let format = LineFormat::new(format, "sha1", "pepper").unwrap();
        assert_eq!(
            line(&log, &format, 7),
            "{sdb1|1|a|c|o/with/more} {SSHA1}f5cdd77f45688c8557972ec759fb8b721f4950dd -   proxy-server 7|     7|0.0015|1994-11-06T08:49:37|-"
        );
        assert!(log.quiet, "the header alone makes it so");
    }
}
