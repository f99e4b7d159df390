//! Dates as HTTP writes them (RFC 9110, 5.6.7).

mod read;

pub(crate) use read::parse_date;

use crate::calendar::{SECONDS_PER_DAY, civil, clock, month_name, short, weekday_name};

/// `Sun, 06 Nov 1994 08:49:37 GMT` for seconds since the epoch.
pub(crate) fn http_date(seconds: u64) -> String {
    let days = seconds / SECONDS_PER_DAY;
    let (year, month, day) = civil(days);
    let (weekday, month) = (short(weekday_name(days)), short(month_name(month)));
    let (hour, minute, second) = clock(seconds);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_calendar() {
        let dates = [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_795_248_857, "Sat, 21 Nov 2026 08:14:17 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ];
        for (seconds, date) in dates {
            assert_eq!(http_date(seconds), date);
        }
    }
}
