//! What a Swift server's refusals mean: HTTP statuses and `:ERROR:` lines, as this program's reasons.

use ssync_protocol::{ErrorLine, ErrorText};
use ssync_types::{Reason, Refusal};

/// Most bytes of a peer's text that are quoted (Swift: cap_length 1024).
pub(super) const QUOTED_BYTES_MAX: usize = 1024;

/// A status other than 200 in answer to a request.
pub(super) fn of_status(status: u16, body: &[u8]) -> Refusal {
    let reason = match status {
        400 => Reason::InvalidArgument,
        503 => Reason::PolicyUnknown,
        507 => Reason::DeviceUnmounted,
        _ => Reason::Internal,
    };
    Refusal::new(reason, format!("Expected status 200; got {status} ({})", quoted(body)))
}

/// A line where a marker or a want was due.
pub(super) fn of_line(line: &[u8]) -> Refusal {
    let message = format!("Unexpected response: '{}'", quoted(line.trim_ascii()));
    let Some(error) = ErrorLine::decode(line) else {
        return Refusal::new(Reason::ProtocolOrder, message);
    };
    let reason = match error.code {
        0 if is_lock_timeout(&error.text) => Reason::PartitionLocked,
        0 | 500 => Reason::FailureRatio,
        408 => Reason::IdleTimeout,
        503 => Reason::ReceiverBusy,
        507 => Reason::DeviceUnmounted,
        _ => Reason::Internal,
    };
    Refusal::new(reason, message)
}

/// `15 seconds: /srv/node/sdb1/objects/1/.lock-replication` (Swift: exceptions.py LockTimeout).
fn is_lock_timeout(text: &ErrorText) -> bool {
    let ErrorText::Text(text) = text else { return false };
    text.split_once(" second")
        .is_some_and(|(number, rest)| number.parse::<f64>().is_ok() && rest.contains(".lock"))
}

fn quoted(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..QUOTED_BYTES_MAX).unwrap_or(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_busy_and_locked_from_broken() {
        let of = |line: &[u8]| of_line(line).reason;
        assert_eq!(of(b":ERROR: 503 b'<html>busy</html>'\n"), Reason::ReceiverBusy);
        let locked = b":ERROR: 0 '15 seconds: /srv/node/sdb1/objects/1/.lock-replication'\n";
        assert_eq!(of(locked), Reason::PartitionLocked);
        assert_eq!(of(b":ERROR: 0 'Too many 101 failures to 3 successes'\n"), Reason::FailureRatio);
        assert_eq!(
            of(b":ERROR: 500 'ERROR: With :UPDATES: 1 failures to 0 successes'\n"),
            Reason::FailureRatio
        );
        assert_eq!(of(b":ERROR: 408 b'slow'\n"), Reason::IdleTimeout);
        assert_eq!(of(b"whatever\r\n"), Reason::ProtocolOrder);
        assert_eq!(of_line(b"x\r\n").message, "Unexpected response: 'x'");
    }

    #[test]
    fn an_unmounted_device_is_told_by_507() {
        assert_eq!(of_status(507, b"").reason, Reason::DeviceUnmounted);
        assert_eq!(of_status(503, b"no policy").message, "Expected status 200; got 503 (no policy)");
        assert!(of_status(500, &[b'x'; 5000]).message.len() < 1100);
    }
}
