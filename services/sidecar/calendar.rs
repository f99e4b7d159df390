//! The Gregorian calendar, in UTC: names, clock times, and the way back from a date.

pub(crate) use ssync_types::civil;

/// Seconds of a day.
pub(crate) const SECONDS_PER_DAY: u64 = 86_400;
/// Days of the week, as C counts them.
pub(crate) const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
/// The epoch began with a Thursday.
const EPOCH_WEEKDAY: u64 = 4;
pub(crate) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The day of the week, from 0 for Sunday, `days` after 1 January 1970.
pub(crate) fn weekday(days: u64) -> u64 {
    (days + EPOCH_WEEKDAY) % 7
}

/// The name of the day of the week, `days` after 1 January 1970.
pub(crate) fn weekday_name(days: u64) -> &'static str {
    named(&WEEKDAYS, weekday(days))
}

/// The name of a month, of which January is 1.
pub(crate) fn month_name(month: u64) -> &'static str {
    named(&MONTHS, month.saturating_sub(1))
}

/// The three letters of a name of a day or month.
pub(crate) fn short(name: &'static str) -> &'static str {
    name.get(..3).unwrap_or(name)
}

fn named(names: &[&'static str], at: u64) -> &'static str {
    usize::try_from(at).ok().and_then(|at| names.get(at)).copied().unwrap_or_default()
}

/// Hour, minute and second of the day.
pub(crate) fn clock(seconds: u64) -> (u64, u64, u64) {
    (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

/// Days from 1 January 1970 to a date: what [`civil`] undoes. `None` before 1970, and for a day that no month has.
pub(crate) fn days_before(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 || !(1..=31).contains(&day) {
        return None;
    }
    let year = year - u64::from(month <= 2);
    let march_month = (month + 9) % 12;
    let day_of_era =
        (year % 400) * 365 + year % 400 / 4 - year % 400 / 100 + (153 * march_month + 2) / 5 + day - 1;
    (year / 400 * 146_097 + day_of_era).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_days_and_counts_them() {
        for (days, date, weekday) in [
            (0, (1970, 1, 1), "Thursday"),
            (11_016, (2000, 2, 29), "Tuesday"),
            (47_541, (2100, 3, 1), "Monday"),
        ] {
            let (year, month, day) = date;
            assert_eq!((civil(days), weekday_name(days)), (date, weekday));
            assert_eq!(days_before(year, month, day), Some(days));
        }
        assert_eq!((days_before(1969, 12, 31), days_before(2000, 1, 32)), (None, None));
        assert_eq!((month_name(1), month_name(12), short(month_name(9))), ("January", "December", "Sep"));
        assert_eq!(clock(SECONDS_PER_DAY - 1), (23, 59, 59));
    }
}
