//! Numbers in a form for people: those of the status page, and times to the second.

use std::time::Duration;

pub(crate) use ssync_page::{byte_rate as rate, bytes, count, counted};

/// The two largest units: `3 h 20 min`, `1.5 s`.
pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => pair(seconds, 60, "min", 1, "s"),
        3600..86_400 => pair(seconds, 3600, "h", 60, "min"),
        _ => pair(seconds, 86_400, "d", 3600, "h"),
    }
}

fn pair(seconds: u64, large: u64, large_name: &str, small: u64, small_name: &str) -> String {
    match seconds % large / small {
        0 => format!("{} {large_name}", count(seconds / large)),
        rest => format!("{} {large_name} {rest} {small_name}", count(seconds / large)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_units() {
        let told: Vec<_> =
            [1, 59, 60, 61, 3600, 12_000, 86_400, 100_000].map(|s| time(Duration::from_secs(s))).into();
        assert_eq!(told, ["1.0 s", "59 s", "1 min", "1 min 1 s", "1 h", "3 h 20 min", "1 d", "1 d 3 h"]);
        assert_eq!(time(Duration::from_millis(1500)), "1.5 s");
    }
}
