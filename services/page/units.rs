//! Numbers as people read them: 12,345 objects, 1.2 GiB, 3 min.

use ssync_api::admin::Forecast;

const BYTES: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// With commas: `12,345`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number and its noun: `1 object`, `12 objects`, `3 copies`, `4 suffixes`.
#[must_use]
pub fn counted(number: u64, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{} {stem}ies", count(number)),
        _ => format!("{} {noun}{}", count(number), if noun.ends_with('x') { "es" } else { "s" }),
    }
}

/// `1.2 GiB`.
#[must_use]
pub fn bytes(number: u64) -> String {
    // What is lost of a number so large is not shown.
    scaled(number as f64)
}

/// `1.2 GiB/s`.
#[must_use]
pub fn byte_rate(number: f64) -> String {
    format!("{}/s", scaled(number))
}

/// `1,234/s`, or `0.4/s`.
pub(crate) fn rate(number: f64) -> String {
    if number > 0.0 && number < 9.95 {
        format!("{number:.1}/s")
    } else {
        format!("{}/s", count(whole(number)))
    }
}

fn scaled(number: f64) -> String {
    let mut value = number.max(0.0);
    let mut unit = 0;
    // 1,023.6 KiB would be written 1024 KiB.
    while value >= 1023.5 && unit + 1 < BYTES.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit > 0 && value < 99.95 {
        format!("{value:.1} {}", BYTES[unit])
    } else {
        format!("{} {}", count(whole(value)), BYTES[unit])
    }
}

/// The nearest whole number; 0 for what is none.
fn whole(number: f64) -> u64 {
    // A cast ends at the bounds, and makes 0 of what is no number.
    number.round() as u64
}

/// `12 s`, `3 min`, `1 h 20 min`, `2 d 4 h`.
pub(crate) fn span(seconds: u64) -> String {
    let parts = |large: u64, large_name: &str, small: u64, small_name: &str| match small {
        0 => format!("{} {large_name}", count(large)),
        small => format!("{} {large_name} {small} {small_name}", count(large)),
    };
    if seconds < 2 * MINUTE && seconds != MINUTE {
        return format!("{seconds} s");
    }
    let minutes = seconds.saturating_add(MINUTE / 2) / MINUTE;
    if minutes < 120 {
        return format!("{minutes} min");
    }
    if seconds < 2 * DAY {
        return parts(minutes / 60, "h", minutes % 60, "min");
    }
    let hours = seconds.saturating_add(HOUR / 2) / HOUR;
    parts(hours / 24, "d", hours % 24, "h")
}

/// The same of milliseconds; what is shorter than a second is so.
pub(crate) fn span_of_milliseconds(milliseconds: u64) -> String {
    if milliseconds > 0 && milliseconds < 1000 {
        "under 1 s".to_owned()
    } else {
        span(milliseconds.div_ceil(1000))
    }
}

/// `14 min ± 2 min`.
pub(crate) fn forecast(forecast: &Forecast) -> String {
    let remaining = span_of_milliseconds(forecast.remaining_milliseconds);
    match forecast.margin_milliseconds {
        0 => remaining,
        margin => format!("{remaining} ± {}", span_of_milliseconds(margin)),
    }
}

/// `62 %`; 0 of 0 is nothing. What is not whole is never 100 %, and what is something never 0 %.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let share = percent_of(part, whole);
    let shown = match (part, whole) {
        (0, _) | (_, 0) => 0,
        (part, whole) if part >= whole => 100,
        _ => (share.round() as u64).clamp(1, 99),
    };
    format!("{shown} %")
}

/// From 0 to 100.
pub(crate) fn percent_of(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64 * 100.0).clamp(0.0, 100.0) }
}

/// By the names' own numbers: d2 stands before d10.
pub(crate) fn in_order(name: &str) -> (&str, u64, &str) {
    let stem = name.trim_end_matches(|character: char| character.is_ascii_digit());
    (stem, name[stem.len()..].parse().unwrap_or(u64::MAX), name)
}

/// Not more than so much of a text that others have written.
pub(crate) fn clipped(text: &str) -> String {
    const CHARACTERS_MAX: usize = 300;
    let mut clipped: String = text.chars().take(CHARACTERS_MAX).collect();
    if clipped.len() < text.len() {
        clipped.push('…');
    }
    clipped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_have_commas() {
        let told = [0, 999, 1000, 12_345, 1_234_567, u64::MAX].map(count);
        assert_eq!(told, ["0", "999", "1,000", "12,345", "1,234,567", "18,446,744,073,709,551,615"]);
        assert_eq!((counted(1, "object"), counted(2, "object")), ("1 object".into(), "2 objects".into()));
        assert_eq!(
            (counted(0, "copy"), counted(2000, "suffix")),
            ("0 copies".into(), "2,000 suffixes".into())
        );
    }

    #[test]
    fn bytes_have_three_figures_or_so() {
        let told = [0, 1023, 1024, 1_048_064, 1_288_490_189, 123 << 30, u64::MAX].map(bytes);
        assert_eq!(told, ["0 B", "1,023 B", "1.0 KiB", "1.0 MiB", "1.2 GiB", "123 GiB", "16.0 EiB"]);
        assert_eq!(byte_rate(f64::NAN), "0 B/s");
        assert_eq!([0.0, 0.04, 9.9, 9.96, 1234.5].map(rate), ["0/s", "0.0/s", "9.9/s", "10/s", "1,235/s"]);
    }

    #[test]
    fn times_have_two_parts_at_most() {
        let told = [0, 60, 119, 120, 7_170, 7_200, 30_000, 172_799, 172_800, 100 * DAY].map(span);
        assert_eq!(
            told,
            ["0 s", "1 min", "119 s", "2 min", "2 h", "2 h", "8 h 20 min", "48 h", "2 d", "100 d"],
        );
        assert_eq!([0, 1, 999, 1001].map(span_of_milliseconds), ["0 s", "under 1 s", "under 1 s", "2 s"]);
        let told = Forecast { remaining_milliseconds: 840_000, margin_milliseconds: 120_000 };
        assert_eq!(forecast(&told), "14 min ± 2 min");
    }

    #[test]
    fn a_part_is_never_all_and_never_nothing() {
        let told = [(0, 0), (0, 9), (1, 100_000), (99_999, 100_000), (5, 5), (6, 5)];
        let told = told.map(|(part, whole)| percent(part, whole));
        assert_eq!(told, ["0 %", "0 %", "1 %", "99 %", "100 %", "100 %"]);
    }

    #[test]
    fn names_are_ordered_by_their_numbers() {
        let mut names = ["d10", "sdb", "d2", "", "d1", "12", "d99999999999999999999"];
        names.sort_by_key(|name| in_order(name));
        assert_eq!(names, ["12", "", "d1", "d2", "d10", "d99999999999999999999", "sdb"]);
    }

    #[test]
    fn long_texts_end() {
        assert_eq!(clipped("short"), "short");
        assert_eq!(clipped(&"é".repeat(1000)).chars().count(), 301);
    }
}
