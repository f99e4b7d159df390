//! How the text of an option becomes a value: Swift's own rules where Swift has one.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use ssync_conf::Reserve;

use crate::listen::{BindAddress, Network};

/// Longest time that an option may hold: some 30 years, so that sums of a few cannot overflow.
const SECONDS_MAX: f64 = 1e9;

/// A type that an option can have.
pub trait OptionValue: Sized {
    /// What a good value looks like, for messages and for the sample.
    const FORM: &'static str;
    /// Whether `name =` with nothing behind it means the default. Swift says so for most of its numbers
    /// (`conf.get(x) or default`).
    const EMPTY_IS_DEFAULT: bool = true;

    /// The value of `text`, which has no space around it; `None` if it is not of the form.
    fn parse(text: &str) -> Option<Self>;

    /// What looks wrong about a text that is accepted all the same.
    fn doubt(_text: &str) -> Option<String> {
        None
    }
}

/// Swift takes a few words for true and everything else for false (Swift: common/utils config_true_value).
impl OptionValue for bool {
    const FORM: &'static str = "true or false";
    const EMPTY_IS_DEFAULT: bool = false;

    fn parse(text: &str) -> Option<Self> {
        Some(["true", "1", "yes", "on", "t", "y"].iter().any(|word| text.eq_ignore_ascii_case(word)))
    }

    fn doubt(text: &str) -> Option<String> {
        let plain = ["false", "0", "no", "off", "f", "n", "none", ""]
            .iter()
            .any(|word| text.eq_ignore_ascii_case(word));
        let is_true = Self::parse(text) == Some(true);
        (!plain && !is_true).then(|| format!("{text:?} is none of Swift's words for true, so it means false"))
    }
}

macro_rules! whole_number {
    ($($ty:ty => $form:literal),+ $(,)?) => {$(
        impl OptionValue for $ty {
            const FORM: &'static str = $form;

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )+};
}

whole_number! {
    u16 => "a whole number from 0 to 65535",
    u32 => "a whole number from 0 to 4294967295",
    u64 => "a whole number from 0",
    i32 => "a whole number",
}

/// A share or a ratio.
impl OptionValue for f64 {
    const FORM: &'static str = "a number from 0";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
    }
}

/// Seconds, fractions allowed.
impl OptionValue for Duration {
    const FORM: &'static str = "seconds, for example 30 or 0.5";

    fn parse(text: &str) -> Option<Self> {
        f64::parse(text).filter(|seconds| *seconds <= SECONDS_MAX).map(Self::from_secs_f64)
    }
}

impl OptionValue for IpAddr {
    const FORM: &'static str = "an IP address";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl OptionValue for SocketAddr {
    const FORM: &'static str = "ADDRESS:PORT";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// Comma-separated networks.
impl OptionValue for Vec<Network> {
    const FORM: &'static str =
        "addresses and networks with commas between them, for example 10.0.0.0/24, 10.1.0.5";
    const EMPTY_IS_DEFAULT: bool = false;

    fn parse(text: &str) -> Option<Self> {
        Vec::<String>::parse(text)?.iter().map(|word| word.parse().ok()).collect()
    }
}

/// The path of a file that systemd may hand over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialPath(pub PathBuf);

impl OptionValue for CredentialPath {
    const FORM: &'static str =
        "a path; one that does not begin with / is looked up in $CREDENTIALS_DIRECTORY";

    fn parse(text: &str) -> Option<Self> {
        let is_plain = !text.is_empty() && !text.split('/').any(|part| part == "..");
        is_plain.then(|| Self(PathBuf::from(text)))
    }
}

impl OptionValue for PathBuf {
    const FORM: &'static str = "a path that begins with /";

    fn parse(text: &str) -> Option<Self> {
        text.starts_with('/').then(|| Self::from(text))
    }
}

impl OptionValue for String {
    const FORM: &'static str = "text";
    const EMPTY_IS_DEFAULT: bool = false;

    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

/// Comma-separated words.
impl OptionValue for Vec<String> {
    const FORM: &'static str = "words with commas between them";
    const EMPTY_IS_DEFAULT: bool = false;

    fn parse(text: &str) -> Option<Self> {
        Some(text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect())
    }
}

impl OptionValue for BindAddress {
    const FORM: &'static str = "ADDRESS:PORT or unix:/PATH";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// `auto`, `none` or nothing leave the choice to the program.
impl<T: OptionValue> OptionValue for Option<T> {
    const FORM: &'static str = T::FORM;
    const EMPTY_IS_DEFAULT: bool = false;

    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.eq_ignore_ascii_case("auto") || text.eq_ignore_ascii_case("none") {
            return Some(None);
        }
        T::parse(text).map(Some)
    }
}

/// An amount of space to leave free: `1%` or bytes (Swift: common/utils config_fallocate_value).
impl OptionValue for Reserve {
    const FORM: &'static str = "bytes, or a share such as 1%";

    fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix('%') {
            Some(share) => f64::parse(share.trim()).filter(|share| *share <= 100.0).map(Self::Percent),
            None => text.parse().ok().map(Self::Bytes),
        }
    }
}

/// A file mode in octal, for example `0660`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMode(pub u32);

impl OptionValue for FileMode {
    const FORM: &'static str = "an octal file mode, for example 0660";

    fn parse(text: &str) -> Option<Self> {
        u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777).map(Self)
    }
}

/// Seconds of which entries of the expirer's queue share their containers (Swift: obj/expirer.py ExpirerConfig).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpirerDivisor(pub u32);

impl OptionValue for ExpirerDivisor {
    const FORM: &'static str = "a whole number above 100";

    fn parse(text: &str) -> Option<Self> {
        // Each of them has a hundred containers.
        text.parse().ok().filter(|seconds| *seconds > 100).map(Self)
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident ($form:literal) { $($(#[$variant_doc:meta])* $variant:ident = $($word:literal)|+),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl OptionValue for $name {
            const FORM: &'static str = $form;

            fn parse(text: &str) -> Option<Self> {
                match text.to_ascii_lowercase().as_str() {
                    $($($word)|+ => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

words! {
    /// How a stock replicator pushes.
    SyncMethod ("rsync or ssync") {
        /// By rsync, Swift's default.
        Rsync = "rsync",
        /// By SSYNC.
        Ssync = "ssync",
    }
}

words! {
    /// How metrics with labels are written.
    StatsdLabelMode ("disabled, graphite, librato, influxdb or dogstatsd") {
        /// Not at all.
        Disabled = "disabled",
        /// Behind the name, with `;`.
        Graphite = "graphite",
        /// Behind the name, with `#`.
        Librato = "librato",
        /// Behind the name, with `,`.
        Influxdb = "influxdb",
        /// At the end, with `|#`.
        Dogstatsd = "dogstatsd",
    }
}

words! {
    /// How logs are written.
    LogFormat ("text or json") {
        /// Lines for people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

words! {
    /// The least level that is logged, by Swift's names.
    LogLevel ("DEBUG, INFO, NOTICE, WARNING, ERROR or CRITICAL") {
        /// Everything but the innards of libraries.
        Debug = "debug",
        /// What an operator follows.
        Info = "info" | "notice",
        /// What needs attention.
        Warning = "warning" | "warn",
        /// What went wrong.
        Error = "error" | "critical",
    }
}

words! {
    /// How a write is flushed before its result is sent.
    DurabilityOption ("batch, object or none") {
        /// With what else is being written on the device at the time.
        Batch = "batch",
        /// By itself.
        Object = "object",
        /// Not at all; nothing is ever removed on such a result.
        None = "none",
    }
}

impl From<DurabilityOption> for ssync_types::Durability {
    fn from(option: DurabilityOption) -> Self {
        match option {
            DurabilityOption::Batch => Self::Batch,
            DurabilityOption::Object => Self::Object,
            DurabilityOption::None => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_read_as_swift_reads_them() {
        for word in ["true", "1", "YES", "on", "T", "y"] {
            assert_eq!(bool::parse(word), Some(true), "{word}");
            assert_eq!(bool::doubt(word), None, "{word}");
        }
        for word in ["false", "0", "no", ""] {
            assert_eq!(bool::parse(word), Some(false), "{word}");
            assert_eq!(bool::doubt(word), None, "{word}");
        }
        assert_eq!(bool::parse("ture"), Some(false));
        assert!(bool::doubt("ture").is_some());
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        assert_eq!(u16::parse("65536"), None);
        assert_eq!(u32::parse("-1"), None);
        assert_eq!(f64::parse("nan"), None);
        assert_eq!(f64::parse("-0.5"), None);
        for bad in ["-1", "inf", "nan", "1e30", "5s"] {
            assert_eq!(Duration::parse(bad), None, "{bad}");
        }
        assert_eq!(Duration::parse("0.5"), Some(Duration::from_millis(500)));
    }

    #[test]
    fn a_reserve_is_bytes_or_a_share() {
        assert_eq!(Reserve::parse("1%"), Some(Reserve::Percent(1.0)));
        assert_eq!(Reserve::parse("10737418240"), Some(Reserve::Bytes(10_737_418_240)));
        for bad in ["101%", "-1%", "1.5", "%", "1 GB"] {
            assert_eq!(Reserve::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn auto_and_none_leave_the_choice_open() {
        assert_eq!(Option::<u32>::parse("auto"), Some(None));
        assert_eq!(Option::<BindAddress>::parse("none"), Some(None));
        assert_eq!(Option::<u32>::parse("7"), Some(Some(7)));
        assert_eq!(Option::<u32>::parse("seven"), None);
    }

    #[test]
    fn networks_and_credentials_are_read() {
        let networks = Vec::<Network>::parse("10.0.0.0/24, ::1").unwrap();
        assert_eq!(networks.len(), 2);
        assert_eq!(Vec::<Network>::parse(""), Some(Vec::new()));
        assert_eq!(Vec::<Network>::parse("10.0.0.0/24, elsewhere"), None);
        assert!(
            CredentialPath::parse("tls.crt").is_some() && CredentialPath::parse("/etc/x/tls.crt").is_some()
        );
        assert_eq!(CredentialPath::parse("../tls.crt"), None);
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(FileMode::parse("0660"), Some(FileMode(0o660)));
        assert_eq!(FileMode::parse("0880"), None);
        assert_eq!(FileMode::parse("7777"), None);
        assert_eq!(ExpirerDivisor::parse("101"), Some(ExpirerDivisor(101)));
        assert_eq!(ExpirerDivisor::parse("100"), None);
    }
}
