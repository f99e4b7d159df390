//! Values as numbers, times and so on, by Swift's rules for each (Swift: common/utils/config.py).

use std::{fmt::Display, ops::RangeInclusive, str::FromStr, time::Duration};

use crate::{ConfError, Section};

/// Longest time that an option may hold: some 30 years, so that sums of a few cannot overflow.
const SECONDS_MAX: f64 = 1e9;

/// Space to keep free, as `fallocate_reserve` has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reserve {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of the file system.
    Percent(f64),
}

impl Section {
    /// The value as text, or `default`.
    #[must_use]
    pub fn text<'a>(&'a self, key: &str, default: &'a str) -> &'a str {
        self.get(key).map_or(default, |entry| entry.value())
    }

    /// Whether the value is one of Swift's words for yes; anything else is no.
    #[must_use]
    pub fn flag(&self, key: &str, default: bool) -> bool {
        self.get(key).map_or(default, |entry| is_true(entry.value()))
    }

    /// The value as an integer within `accepted`.
    pub fn integer<T>(&self, key: &str, default: T, accepted: RangeInclusive<T>) -> Result<T, ConfError>
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(entry) = self.get(key) else { return Ok(default) };
        let value = entry.value().trim().parse().ok().filter(|value| accepted.contains(value));
        value.ok_or_else(|| {
            entry.refused(key, format!("an integer from {} to {}", accepted.start(), accepted.end()))
        })
    }

    /// The value as an integer within `accepted`, or `default` if it is `auto` or not set.
    pub fn auto_integer<T>(&self, key: &str, default: T, accepted: RangeInclusive<T>) -> Result<T, ConfError>
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(entry) = self.get(key) else { return Ok(default) };
        if entry.value().eq_ignore_ascii_case("auto") {
            return Ok(default);
        }
        let value = entry.value().trim().parse().ok().filter(|value| accepted.contains(value));
        let (least, most) = (accepted.start(), accepted.end());
        value.ok_or_else(|| entry.refused(key, format!("auto or an integer from {least} to {most}")))
    }

    /// The value as a number within `accepted`.
    pub fn float(&self, key: &str, default: f64, accepted: RangeInclusive<f64>) -> Result<f64, ConfError> {
        let Some(entry) = self.get(key) else { return Ok(default) };
        let value = entry.value().trim().parse().ok().filter(|value| accepted.contains(value));
        value.ok_or_else(|| {
            entry.refused(key, format!("a number from {} to {}", accepted.start(), accepted.end()))
        })
    }

    /// The value as a time in seconds.
    pub fn seconds(&self, key: &str, default: Duration) -> Result<Duration, ConfError> {
        self.float(key, default.as_secs_f64(), 0.0..=SECONDS_MAX).map(Duration::from_secs_f64)
    }

    /// The value as a share, written in hundredths.
    pub fn percent(&self, key: &str, default: f64) -> Result<f64, ConfError> {
        self.float(key, default, 0.0..=100.0)
    }

    /// The value as bytes, or as hundredths if it ends in `%`.
    pub fn reserve(&self, key: &str, default: Reserve) -> Result<Reserve, ConfError> {
        let Some(entry) = self.get(key) else { return Ok(default) };
        let value = match entry.value().strip_suffix('%') {
            Some(percent) => {
                let percent = percent.trim().parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
                percent.map(Reserve::Percent)
            }
            None => entry.value().trim().parse().ok().map(Reserve::Bytes),
        };
        value.ok_or_else(|| entry.refused(key, "a number of bytes, or a percentage such as 1%"))
    }

    /// The value as names between commas, without the empty ones.
    pub fn list<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> {
        self.text(key, "").split(',').map(str::trim).filter(|name| !name.is_empty())
    }
}

/// Swift's words for yes (Swift: common/utils/config.py TRUE_VALUES).
fn is_true(value: &str) -> bool {
    ["true", "1", "yes", "on", "t", "y"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Conf;

    fn section(text: &str) -> Section {
        Conf::parse(&format!("[s]\n{text}"), "s.conf").unwrap().section("s").unwrap()
    }

    #[test]
    fn flags_are_swifts() {
        for yes in ["true", "True", "1", "yes", "ON", "t", "y"] {
            assert!(section(&format!("k = {yes}")).flag("k", false), "{yes}");
        }
        for no in ["false", "0", "2", "enabled", "yes ; really", ""] {
            assert!(!section(&format!("k = {no}")).flag("k", true), "{no}");
        }
        assert!(section("").flag("k", true));
    }

    #[test]
    fn numbers_have_bounds() {
        let values = section("n = 5\nneg = -1\nf = 0.5\nauto = AUTO\nnan = nan\ninf = inf\nword = many");
        assert_eq!(values.integer("n", 1_u32, 0..=9).unwrap(), 5);
        assert_eq!(values.integer("none", 1_u32, 0..=9).unwrap(), 1);
        assert_eq!(values.auto_integer("auto", 7_u32, 0..=9).unwrap(), 7);
        assert_eq!(values.auto_integer("n", 7_u32, 0..=9).unwrap(), 5);
        assert_eq!(values.seconds("f", Duration::ZERO).unwrap(), Duration::from_millis(500));
        assert!(values.integer("n", 1_u32, 6..=9).is_err());
        for bad in ["neg", "nan", "inf", "word", "auto"] {
            assert!(values.seconds(bad, Duration::ZERO).is_err(), "{bad}");
            assert!(values.integer(bad, 1_u32, 0..=9).is_err(), "{bad}");
        }
        assert!(values.auto_integer("word", 1_u32, 0..=9).is_err());
    }

    #[test]
    fn a_reserve_is_bytes_or_a_percentage() {
        let values = section("b = 1024\np = 1%\nq = 2.5 %\nbad = 1k\nover = 101%\nneg = -1\npct = %");
        assert_eq!(values.reserve("b", Reserve::Bytes(0)).unwrap(), Reserve::Bytes(1024));
        assert_eq!(values.reserve("p", Reserve::Bytes(0)).unwrap(), Reserve::Percent(1.0));
        assert_eq!(values.reserve("q", Reserve::Bytes(0)).unwrap(), Reserve::Percent(2.5));
        assert_eq!(values.reserve("none", Reserve::Percent(1.0)).unwrap(), Reserve::Percent(1.0));
        for bad in ["bad", "over", "neg", "pct"] {
            assert!(values.reserve(bad, Reserve::Bytes(0)).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_error_says_where_what_and_what_instead() {
        let error = section("workers = lots").auto_integer("workers", 1_u32, 0..=64).unwrap_err();
        assert_eq!(error.to_string(), "s.conf:2: workers = lots: must be auto or an integer from 0 to 64");
    }

    #[test]
    fn a_list_has_no_empty_names() {
        assert_eq!(section("l = a, b,,c ,").list("l").collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(section("").list("l").count(), 0);
    }
}
