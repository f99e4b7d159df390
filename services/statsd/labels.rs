//! Metrics with labels, in the four dialects that Swift knows (Swift: common/statsd_client.py LABEL_MODES).

use std::collections::BTreeMap;

/// Longest value of a label of a request; the rest of it is not sent.
const VALUE_BYTES_MAX: usize = 128;

/// How labels are written (`statsd_label_mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LabelMode {
    /// `name;key=value:1|c`.
    Graphite,
    /// `name#key=value:1|c`.
    Librato,
    /// `name,key=value:1|c`.
    Influxdb,
    /// `name:1|c|#key:value`.
    Dogstatsd,
}

/// What every metric with labels has in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    mode: LabelMode,
    /// Those that the operator adds (`statsd_user_label_NAME`), under the names that they are sent by.
    user: BTreeMap<String, String>,
}

/// A label that a collector could not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("label {name:?} with value {value:?}: names have letters, digits and _ alone, values also a period")]
pub struct BadLabel {
    name: String,
    value: String,
}

impl Labels {
    /// Labels of this form, with those that the operator adds to each metric.
    pub fn new(mode: LabelMode, user: impl IntoIterator<Item = (String, String)>) -> Result<Self, BadLabel> {
        let word = |text: &str, more: &str| {
            text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || more.contains(c))
        };
        let mut labels = BTreeMap::new();
        for (name, value) in user {
            if !word(&name, "") || !word(&value, ".") {
                return Err(BadLabel { name, value });
            }
            labels.insert(format!("user_{name}"), value);
        }
        Ok(Self { mode, user: labels })
    }

    /// A line of a metric with these labels and the operator's, in the order of their names.
    pub(crate) fn line(&self, metric: &str, value: &str, labels: &[(&str, String)]) -> String {
        let mut all: BTreeMap<&str, &str> =
            self.user.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let values: Vec<(&str, String)> = labels.iter().map(|(name, value)| (*name, short(value))).collect();
        all.extend(values.iter().map(|(name, value)| (*name, value.as_str())));
        let joined = |between: &str, is: &str| {
            let pairs: Vec<String> = all.iter().map(|(name, value)| format!("{name}{is}{value}")).collect();
            pairs.join(between)
        };
        match self.mode {
            _ if all.is_empty() => format!("{metric}:{value}"),
            LabelMode::Graphite => format!("{metric};{}:{value}", joined(";", "=")),
            LabelMode::Librato => format!("{metric}#{}:{value}", joined(",", "=")),
            LabelMode::Influxdb => format!("{metric},{}:{value}", joined(",", "=")),
            LabelMode::Dogstatsd => format!("{metric}:{value}|#{}", joined(",", ":")),
        }
    }
}

/// Text of others with `_` for all that could end a name, a value or a line, or begin another. Swift sends it as it is.
pub(crate) fn plain(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    text.chars().map(|c| if is_plain(c) { c } else { '_' }).collect()
}

fn short(value: &str) -> String {
    let mut value = plain(value);
    value.truncate(VALUE_BYTES_MAX);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_each_dialect() {
        let given = [("method", "GET".to_owned()), ("account", "a".to_owned())];
        let user = [("dc".to_owned(), "eu.1".to_owned())];
        for (mode, line) in [
            (LabelMode::Graphite, "m;account=a;method=GET;user_dc=eu.1:1|c"),
            (LabelMode::Librato, "m#account=a,method=GET,user_dc=eu.1:1|c"),
            (LabelMode::Influxdb, "m,account=a,method=GET,user_dc=eu.1:1|c"),
            (LabelMode::Dogstatsd, "m:1|c|#account:a,method:GET,user_dc:eu.1"),
        ] {
            let labels = Labels::new(mode, user.clone()).unwrap();
            assert_eq!(labels.line("m", "1|c", &given), line);
        }
        let none = Labels::new(LabelMode::Graphite, []).unwrap();
        assert_eq!(none.line("m", "1|c", &[]), "m:1|c");
    }

    #[test]
    fn names_of_tenants_cannot_add_to_a_line() {
        let long = "x".repeat(300);
        let cut = &long[..VALUE_BYTES_MAX];
        for (value, sent) in [
            ("AUTH_test-1.x", "AUTH_test-1.x"),
            (".expiring_objects", ".expiring_objects"),
            ("x\nproxy.errors:1|c", "x_proxy.errors_1_c"),
            ("a,b=c;d#e|f:g h", "a_b_c_d_e_f_g_h"),
            ("fl\u{f6}\u{fffd}\0\r", "fl____"),
            (&long, cut),
        ] {
            for mode in [LabelMode::Graphite, LabelMode::Librato, LabelMode::Influxdb, LabelMode::Dogstatsd] {
                let line = Labels::new(mode, []).unwrap().line("m", "1|c", &[("account", value.to_owned())]);
                let (_, rest) = line.split_once("account").unwrap();
                assert_eq!(rest.get(1..).map(|rest| rest.trim_end_matches(":1|c")), Some(sent), "{mode:?}");
            }
        }
    }

    #[test]
    fn refuses_what_would_break_a_line() {
        for (name, value) in [("a b", "c"), ("a", "b,c"), ("a.b", "c"), ("a", "b=c"), ("a", "é")] {
            let bad = [(name.to_owned(), value.to_owned())];
            assert!(Labels::new(LabelMode::Graphite, bad).is_err(), "{name}={value}");
        }
    }
}
