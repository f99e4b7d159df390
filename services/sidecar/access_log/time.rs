//! Parts of the time, as a line can show them (Swift: common/utils/logs.py StrFormatTime), in the C locale and in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::calendar::{SECONDS_PER_DAY, civil, clock, days_before, month_name, short, weekday, weekday_name};

/// The directives of strftime that Swift lets through.
const DIRECTIVES: &str = "aAbBcdHIjmMpSUwWxXyYZ";

/// A part of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimePart {
    /// Seconds since the epoch, to the nanosecond.
    Stamp,
    Seconds,
    /// So many digits of the fraction.
    Fraction(usize),
    Directive(char),
    /// Several directives, and what stands between them.
    Composed(&'static str),
}

impl TimePart {
    /// The part of this name; without one, all of it.
    pub(super) fn named(name: Option<&str>) -> Option<Self> {
        Some(match name {
            None => Self::Stamp,
            Some("s") => Self::Seconds,
            Some("ms") => Self::Fraction(3),
            Some("us") => Self::Fraction(6),
            Some("ns") => Self::Fraction(9),
            Some("asctime") => Self::Directive('c'),
            Some("datetime") => Self::Composed("d/b/Y/H/M/S"),
            Some("iso8601") => Self::Composed("Y-m-dTH:M:S"),
            Some(name) => {
                let mut chars = name.chars();
                match (chars.next(), chars.next()) {
                    (Some(directive), None) if DIRECTIVES.contains(directive) => Self::Directive(directive),
                    _ => return None,
                }
            }
        })
    }

    /// This part of a time.
    pub(super) fn of(self, now: SystemTime) -> String {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let (seconds, nanoseconds) = (since.as_secs(), since.subsec_nanos());
        match self {
            Self::Stamp => format!("{seconds}.{nanoseconds:09}"),
            Self::Seconds => seconds.to_string(),
            Self::Fraction(digits) => format!("{nanoseconds:09}").chars().take(digits).collect(),
            Self::Directive(directive) => directive_of(directive, seconds),
            Self::Composed(parts) => parts
                .chars()
                .map(|part| match part {
                    part if DIRECTIVES.contains(part) => directive_of(part, seconds),
                    between => between.to_string(),
                })
                .collect(),
        }
    }
}

fn directive_of(directive: char, seconds: u64) -> String {
    let days = seconds / SECONDS_PER_DAY;
    let (year, month, day) = civil(days);
    let (hour, minute, second) = clock(seconds);
    let (weekday, weekday_name, month_name) = (weekday(days), weekday_name(days), month_name(month));
    let day_of_year = || 1 + days.saturating_sub(days_before(year, 1, 1).unwrap_or(days));
    let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
    match directive {
        'a' => short(weekday_name).to_owned(),
        'A' => weekday_name.to_owned(),
        'b' => short(month_name).to_owned(),
        'B' => month_name.to_owned(),
        'c' => format!(
            "{} {} {day:>2} {hour:02}:{minute:02}:{second:02} {year}",
            short(weekday_name),
            short(month_name)
        ),
        'd' => format!("{day:02}"),
        'H' => format!("{hour:02}"),
        'I' => format!("{twelve:02}"),
        'j' => format!("{:03}", day_of_year()),
        'm' => format!("{month:02}"),
        'M' => format!("{minute:02}"),
        'p' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
        'S' => format!("{second:02}"),
        // Weeks begin with Sunday, or with Monday; the days before the first are week 0.
        'U' => format!("{:02}", (day_of_year() + 6 - weekday) / 7),
        'W' => format!("{:02}", (day_of_year() + 6 - (weekday + 6) % 7) / 7),
        'w' => weekday.to_string(),
        'x' => format!("{month:02}/{day:02}/{:02}", year % 100),
        'X' => format!("{hour:02}:{minute:02}:{second:02}"),
        'y' => format!("{:02}", year % 100),
        'Y' => year.to_string(),
        _ => "UTC".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Swift 2.38.3 writes them.
    #[test]
    fn writes_the_time_as_swift_does() {
        let now = UNIX_EPOCH + Duration::new(784_111_777, 123_456_001);
        for (name, expected) in [
            ("a", "Sun"),
            ("A", "Sunday"),
            ("b", "Nov"),
            ("B", "November"),
            ("c", "Sun Nov  6 08:49:37 1994"),
            ("d", "06"),
            ("H", "08"),
            ("I", "08"),
            ("j", "310"),
            ("m", "11"),
            ("M", "49"),
            ("p", "AM"),
            ("S", "37"),
            ("U", "45"),
            ("w", "0"),
            ("W", "44"),
            ("x", "11/06/94"),
            ("X", "08:49:37"),
            ("y", "94"),
            ("Y", "1994"),
            ("Z", "UTC"),
            ("asctime", "Sun Nov  6 08:49:37 1994"),
            ("datetime", "06/Nov/1994/08/49/37"),
            ("iso8601", "1994-11-06T08:49:37"),
            ("ms", "123"),
            ("us", "123456"),
            ("ns", "123456001"),
            ("s", "784111777"),
        ] {
            assert_eq!(TimePart::named(Some(name)).unwrap().of(now), expected, "{name}");
        }
        assert_eq!(TimePart::named(None).unwrap().of(now), "784111777.123456001");
        let new_year = UNIX_EPOCH + Duration::from_secs(1_704_067_200);
        for (name, expected) in
            [("U", "00"), ("W", "01"), ("j", "001"), ("I", "12"), ("c", "Mon Jan  1 00:00:00 2024")]
        {
            assert_eq!(TimePart::named(Some(name)).unwrap().of(new_year), expected, "{name}");
        }
    }
}
