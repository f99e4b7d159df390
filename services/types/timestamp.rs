//! Swift's timestamps, as integers (Swift: common/utils/timestamp.py, class Timestamp).

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{Invalid, civil, python_integer};

const TICKS_PER_SECOND: u64 = 100_000;
/// Swift knows no time of 10^10 seconds or more.
const TICKS_MAX: u64 = 10_000_000_000 * TICKS_PER_SECOND - 1;
/// Hex digits of the offset.
const OFFSET_DIGITS_MAX: usize = 16;

/// A point in time, in ticks of ten microseconds, with an offset that orders writes of one tick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    ticks: u64,
    offset: u64,
}

impl Timestamp {
    /// The beginning: older than, or as old as, anything.
    pub const ZERO: Self = Self { ticks: 0, offset: 0 };

    /// The time `ticks` units of ten microseconds after the epoch, and the `offset`th write of that tick.
    pub fn new(ticks: u64, offset: u64) -> Result<Self, Invalid> {
        if ticks > TICKS_MAX {
            return Err(Invalid::new("timestamp", format!("{ticks} ticks are not below 10^15")));
        }
        Ok(Self { ticks, offset })
    }

    /// The time of whole seconds since the epoch; the last time there is when they are too many.
    #[must_use]
    pub fn from_seconds(seconds: u64) -> Self {
        Self { ticks: seconds.saturating_mul(TICKS_PER_SECOND).min(TICKS_MAX), offset: 0 }
    }

    /// The time of a clock, cut to ticks.
    #[must_use]
    pub fn from_system_time(time: SystemTime) -> Self {
        let micros = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_micros();
        let ticks = u64::try_from(micros / 10).unwrap_or(u64::MAX);
        Self { ticks: ticks.min(TICKS_MAX), offset: 0 }
    }

    /// Units of ten microseconds since the epoch: Swift's `raw`.
    #[must_use]
    pub fn ticks(self) -> u64 {
        self.ticks
    }

    /// The part after the `_`.
    #[must_use]
    pub fn offset(self) -> u64 {
        self.offset
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.ticks / TICKS_PER_SECOND
    }

    /// Whole seconds since the epoch, rounded up: what Swift puts into Last-Modified.
    #[must_use]
    pub fn seconds_ceiling(self) -> u64 {
        self.ticks.div_ceil(TICKS_PER_SECOND)
    }

    /// The same tick without the offset.
    #[must_use]
    pub fn without_offset(self) -> Self {
        Self { ticks: self.ticks, offset: 0 }
    }

    /// `delta` ticks later (or earlier), with `offset`; an error outside of Swift's range.
    pub fn shifted(self, delta: i64, offset: u64) -> Result<Self, Invalid> {
        let ticks = self
            .ticks
            .checked_add_signed(delta)
            .ok_or_else(|| Invalid::new("timestamp", "a delta reaches below zero or beyond the range"))?;
        Self::new(ticks, offset)
    }

    /// Ticks from `earlier` to this time; negative when `earlier` is later. Offsets do not count.
    #[must_use]
    pub fn ticks_since(self, earlier: Self) -> i64 {
        // Both are below 10^15, so neither conversion nor difference can overflow.
        self.ticks as i64 - earlier.ticks as i64
    }

    /// How long ago this was at `now`; zero when it is still to come.
    #[must_use]
    pub fn age_at(self, now: Self) -> Duration {
        Duration::from_micros(now.ticks.saturating_sub(self.ticks).saturating_mul(10))
    }

    /// `%016.05f`: ten digits of seconds, five decimals. The offset is lost.
    #[must_use]
    pub fn normal(self) -> String {
        format!("{:010}.{:05}", self.ticks / TICKS_PER_SECOND, self.ticks % TICKS_PER_SECOND)
    }

    /// The form of file names, offers and `X-Timestamp`: `normal`, and `_` with 16 hex digits when there is an offset.
    #[must_use]
    pub fn internal(self) -> String {
        match self.offset {
            0 => self.normal(),
            offset => format!("{}_{offset:016x}", self.normal()),
        }
    }

    /// As [`internal`](Self::internal), but the offset is not padded: the form inside some `.meta` names.
    #[must_use]
    pub fn short(self) -> String {
        match self.offset {
            0 => self.normal(),
            offset => format!("{}_{offset:x}", self.normal()),
        }
    }

    /// For people: date and time in UTC, with the fraction down to a tick. The offset is left out.
    #[must_use]
    pub fn utc(self) -> String {
        const SECONDS_PER_DAY: u64 = 86_400;
        let seconds = self.seconds();
        let (year, month, day) = civil(seconds / SECONDS_PER_DAY);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        let fraction = self.ticks % TICKS_PER_SECOND;
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{fraction:05}")
    }

    /// Reads any form that Swift reads, from bytes that came over a wire or out of a file.
    pub fn parse(text: &[u8]) -> Result<Self, Invalid> {
        std::str::from_utf8(text).ok().and_then(parse).ok_or_else(|| {
            Invalid::new("timestamp", format!("{:?} is no Swift timestamp", String::from_utf8_lossy(text)))
        })
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let (time, offset) = match text.split_once('_') {
        None => (text, 0),
        // As Swift: a mark with nothing after it is no offset.
        Some((time, "")) => (time, 0),
        Some((time, hex)) => (time, parse_offset(hex)?),
    };
    let seconds: f64 = time.trim().parse().ok()?;
    // Python: int(round(seconds / 1e-5)); its round() goes to even.
    let ticks = (seconds / 1e-5).round_ties_even();
    if !(0.0..=TICKS_MAX as f64).contains(&ticks) {
        return None;
    }
    Timestamp::new(ticks as u64, offset).ok()
}

fn parse_offset(hex: &str) -> Option<u64> {
    // A second mark is an error, though Python takes it for one between digits.
    let short = hex.chars().count() <= OFFSET_DIGITS_MAX && !hex.contains('_');
    let digits = hex.bytes().all(|b| b.is_ascii_hexdigit());
    match short {
        true if digits => u64::from_str_radix(hex, 16).ok(),
        true => python_integer(hex, 16).and_then(|offset| u64::try_from(offset).ok()),
        false => None,
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.internal())
    }
}

impl FromStr for Timestamp {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn writes_the_three_forms() {
        let time = Timestamp::new(138_014_447_000_000, 0xabc).unwrap();
        assert_eq!(time.normal(), "1380144470.00000");
        assert_eq!(time.internal(), "1380144470.00000_0000000000000abc");
        assert_eq!(time.short(), "1380144470.00000_abc");
        assert_eq!(at("1.5").internal(), "0000000001.50000");
    }

    #[test]
    fn reads_what_it_writes_and_what_python_reads() {
        for text in ["1380144470.00000", "1380144470.00000_0000000000000001", "0000000000.00000"] {
            assert_eq!(at(text).internal(), text);
        }
        assert_eq!(at("1380144470.123456789").normal(), "1380144470.12346");
        assert_eq!(at("1e9").seconds(), 1_000_000_000);
        assert_eq!(at("1380144470.00000_ff").offset(), 255);
        assert_eq!(at("1380144470.00000_").internal(), "1380144470.00000");
        // Nobody writes these, but where Swift counts a file of such a name, so do we.
        assert_eq!((at("1_+f").offset(), at("1_0x1").offset(), at("1_ 1").offset()), (15, 1, 1));
    }

    #[test]
    fn refuses_what_swift_refuses() {
        for text in
            ["", "x", "-1", "10000000000", "inf", "nan", "1_2_3", "1_00000000000000000", "1_-f", "1_g"]
        {
            assert!(Timestamp::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Timestamp::parse(b"\xff").is_err());
        assert!(Timestamp::new(TICKS_MAX + 1, 0).is_err());
    }

    #[test]
    fn orders_by_tick_then_offset_as_the_text_does() {
        let times = ["1.0", "1.0_1", "1.0_2", "1.00001", "2.0"];
        for pair in times.windows(2) {
            assert!(at(pair[0]) < at(pair[1]));
            assert!(at(pair[0]).internal() < at(pair[1]).internal());
        }
    }

    #[test]
    fn shifts_within_the_range_only() {
        assert_eq!(at("10.0").shifted(-50_000, 3).unwrap().internal(), "0000000009.50000_0000000000000003");
        assert!(Timestamp::ZERO.shifted(-1, 0).is_err());
        assert_eq!(at("10.0").ticks_since(at("11.0")), -100_000);
    }

    #[test]
    fn rounds_last_modified_up() {
        assert_eq!(at("10.00001").seconds_ceiling(), 11);
        assert_eq!(at("10").seconds_ceiling(), 10);
    }

    #[test]
    fn is_told_to_people_in_utc() {
        let utc = |text: &str| text.parse::<Timestamp>().unwrap().utc();
        assert_eq!(utc("0"), "1970-01-01 00:00:00.00000");
        assert_eq!(utc("1709164799.00001"), "2024-02-28 23:59:59.00001");
        assert_eq!(utc("1709164800.5_00000000000000ff"), "2024-02-29 00:00:00.50000");
    }
}
