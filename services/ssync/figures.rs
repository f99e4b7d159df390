//! Numbers in a form for people.

use std::time::Duration;

/// `12,345`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 object`, `12,345 objects`: one of it has no `s`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{} {stem}ies", count(number)),
        _ => format!("{} {noun}{}", count(number), if noun.ends_with('x') { "es" } else { "s" }),
    }
}

/// `1.2 GiB`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let mut amount = number as f64 / 1024.0;
    let mut unit = 0;
    // What would be shown as 1024 of a unit is one of the next.
    while amount >= 1023.95 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if amount < 99.95 {
        format!("{amount:.1} {}", UNITS[unit])
    } else {
        format!("{amount:.0} {}", UNITS[unit])
    }
}

/// `1.2 GiB/s`.
pub(crate) fn rate(bytes_per_second: f64) -> String {
    format!("{}/s", bytes(bytes_per_second.max(0.0) as u64))
}

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
    fn thousands_are_parted() {
        let told: Vec<_> = [0, 999, 1000, 12_345, 1_234_567].map(count).into();
        assert_eq!(told, ["0", "999", "1,000", "12,345", "1,234,567"]);
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(counted(1, "object"), "1 object");
        assert_eq!(counted(0, "copy"), "0 copies");
        assert_eq!(counted(2000, "suffix"), "2,000 suffixes");
    }

    #[test]
    fn bytes_have_units_of_1024() {
        let told: Vec<_> = [0, 1023, 1024, 1536, 102_400, 1_048_575, 1_288_490_189].map(bytes).into();
        assert_eq!(told, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "100 KiB", "1.0 MiB", "1.2 GiB"]);
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
        assert_eq!(rate(-1.0), "0 B/s");
    }

    #[test]
    fn times_have_two_units() {
        let told: Vec<_> =
            [1, 59, 60, 61, 3600, 12_000, 86_400, 100_000].map(|s| time(Duration::from_secs(s))).into();
        assert_eq!(told, ["1.0 s", "59 s", "1 min", "1 min 1 s", "1 h", "3 h 20 min", "1 d", "1 d 3 h"]);
        assert_eq!(time(Duration::from_millis(1500)), "1.5 s");
    }
}
