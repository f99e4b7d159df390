//! Metrics with labels, in the four dialects that Swift knows (Swift: common/statsd_client.py LABEL_MODES).

use std::collections::BTreeMap;

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
        all.extend(labels.iter().map(|(name, value)| (*name, value.as_str())));
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
    fn refuses_what_would_break_a_line() {
        for (name, value) in [("a b", "c"), ("a", "b,c"), ("a.b", "c"), ("a", "b=c"), ("a", "é")] {
            let bad = [(name.to_owned(), value.to_owned())];
            assert!(Labels::new(LabelMode::Graphite, bad).is_err(), "{name}={value}");
        }
    }
}
