//! Dates as clients write them. Swift reads whatever Python's email.utils.parsedate takes for a date: HTTP's three forms,
//! and others.

use crate::calendar::{MONTHS, SECONDS_PER_DAY, WEEKDAYS, civil, days_before, short};

/// Seconds since the epoch of a date; `None` for what is no date. A time before the epoch is the epoch: nothing is older.
/// Like Swift, takes every time for GMT, whatever zone stands behind it.
pub(crate) fn parse_date(text: &str) -> Option<u64> {
    let [day, month, year, time] = fields(text)?;
    let (day, month, year) = (number(day)?, month_number(month)?, full_year(year)?);
    let seconds = seconds_of_day(time)?;
    let Some(days) = days_before(year, month, day) else { return (year < 1970).then_some(0) };
    // A day that its month does not have would be one of the next month.
    (civil(days) == (year, month, day)).then_some(days * SECONDS_PER_DAY + seconds)
}

/// Day, month, year and time of day, in whatever order they came; the day of the week and the zone do not count.
fn fields(text: &str) -> Option<[&str; 4]> {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let first = *words.first()?;
    if first.ends_with(',') || WEEKDAYS.iter().any(|day| first.eq_ignore_ascii_case(short(day))) {
        words.remove(0);
    } else if let Some((_, rest)) = first.rsplit_once(',') {
        words.splice(..1, [rest]);
    }
    // `06-Nov-94 08:49:37 GMT`
    if let [date, _, _] = words[..] {
        let parts: Vec<&str> = date.split('-').collect();
        if parts.len() == 3 {
            words.splice(..1, parts);
        }
    }
    // `06 Nov 1994 08:49:37+0100`
    if let [_, _, _, time] = words[..] {
        let zone = time.find('+').or_else(|| time.find('-')).filter(|&at| at > 0).unwrap_or(time.len());
        words.splice(3.., [&time[..zone], &time[zone..]]);
    }
    let [mut day, mut month, mut year, mut time, zone, ..] = words[..] else { return None };
    if month_number(month).is_none() {
        (day, month) = (month, day);
    }
    // `Nov 6 08:49:37 1994`
    if year.find(':').is_some_and(|at| at > 0) {
        (year, time) = (time, year);
    }
    // `Nov 6 08:49:37 GMT 1994`
    if !year.starts_with(|c: char| c.is_ascii_digit()) {
        year = zone;
    }
    Some([day, month, year, time].map(|word| word.strip_suffix(',').unwrap_or(word)))
}

fn month_number(name: &str) -> Option<u64> {
    let is_it =
        |month: &&'static str| name.eq_ignore_ascii_case(month) || name.eq_ignore_ascii_case(short(month));
    MONTHS.iter().position(is_it).map(|index| index as u64 + 1)
}

/// `08:49:37`; without seconds; or with dots.
fn seconds_of_day(time: &str) -> Option<u64> {
    let separator = if time.contains(':') { ':' } else { '.' };
    let mut parts = time.split(separator);
    let (hour, minute) = (number(parts.next()?)?, number(parts.next()?)?);
    let second = parts.next().map_or(Some(0), number)?;
    let exists = hour <= 23 && minute <= 59 && second <= 59 && parts.next().is_none();
    exists.then_some(hour * 3600 + minute * 60 + second)
}

/// At most four digits.
fn number(text: &str) -> Option<u64> {
    let digits = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// Two digits are those of a year from 1969 to 2068.
fn full_year(text: &str) -> Option<u64> {
    let year = number(text)?;
    Some(match year {
        0..=68 => 2000 + year,
        69..=99 => 1900 + year,
        _ => year,
    })
}

#[cfg(test)]
mod tests {
    use super::{super::http_date, *};

    #[test]
    fn reads_the_three_forms_of_a_date() {
        for days in (0..60_000).step_by(7) {
            let seconds = days * SECONDS_PER_DAY + days % SECONDS_PER_DAY;
            assert_eq!(parse_date(&http_date(seconds)), Some(seconds));
        }
        for date in [
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 6 nov 1994 08:49:37",
            "6 Nov 1994 08:49:37 GMT",
            "November 6 1994 08:49:37",
            "Sun, Nov 06 1994 08:49:37",
            "Sun,06 Nov 1994 08:49:37 GMT",
            "Nov 6, 08:49:37 GMT 1994",
            "Sun, 06 Nov 1994 08.49.37 GMT",
            "Sun, 06 Nov 1994 08:49:37+0100",
        ] {
            assert_eq!(parse_date(date), Some(784_111_777), "{date}");
        }
        assert_eq!(parse_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(parse_date("Wed, 31 Dec 1969 23:59:59 GMT"), Some(0));
        assert_eq!(parse_date("Monday, 01-Jan-68 00:00:00 GMT"), Some(3_092_601_600));
        for bad in [
            "",
            "zz",
            "Sun, 06 Nov 1994",
            "Sun, 06 Xov 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 29 Feb 2100 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 084937 GMT",
            "1994-11-06T08:49:37",
            "Sun, 06 Nov 1994 08:49:37:01 GMT",
            "Sun, 06 Nov 99999 08:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }
}
