//! The format of the access log's lines: a Python format string over named fields (Swift: common/utils/logs.py
//! LogStringFormatter).

use super::{Facts, anonymous::Anonymizer, spec::Spec, time::TimePart};

/// What stands in for a value that is empty, zero or missing.
const MISSING: &str = "-";

/// Swift's format.
pub(crate) const DEFAULT: &str = "{remote_addr} - - [{time.d}/{time.b}/{time.Y}:{time.H}:{time.M}:{time.S} +0000] \
     \"{method} {path}\" {status} {content_length} \"{referer}\" \"{txn_id}\" \"{user_agent}\" {trans_time:.4f} \
     \"{additional_info}\" {pid} {policy_index}";

/// How lines are written.
#[derive(Debug, Clone)]
pub struct LineFormat {
    pieces: Vec<Piece>,
    anonymizer: Anonymizer,
}

/// Why a format cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFormat {
    /// A brace without its other half.
    #[error("a lone brace; write {{{{ or }}}} for the character itself")]
    Brace,
    /// A field that there is not.
    #[error("there is no field {{{0}}}")]
    Field(String),
    /// Its own format.
    #[error("{{{0}}}: the part behind the colon is not of its kind")]
    Spec(String),
    /// A digest that is not here.
    #[error("{0:?} is none of md5, sha1, sha224, sha256, sha384 and sha512")]
    Digest(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field { field: Field, spec: Spec },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    /// What may be made anonymous, and whether it is.
    Private(Private, bool),
    Time(TimePart),
    Method,
    Disk,
    Partition,
    Status,
    ContentLength,
    Transaction,
    TransTime,
    AdditionalInfo,
    Pid,
    PolicyIndex,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Private {
    RemoteAddress,
    Path,
    Account,
    Container,
    Object,
    Referer,
    UserAgent,
}

/// A field's value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Whole(u64),
    Fraction(f64),
}

impl Value {
    /// What Python takes for false.
    fn is_missing(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Whole(number) => *number == 0,
            Self::Fraction(number) => *number == 0.0,
        }
    }
}

impl LineFormat {
    /// Reads a format; `method` and `salt` say how fields are made anonymous.
    pub fn new(format: &str, method: &str, salt: &str) -> Result<Self, BadFormat> {
        let anonymizer = Anonymizer::new(method, salt)?;
        Ok(Self { pieces: pieces(format)?, anonymizer })
    }

    /// The line of a request.
    pub(super) fn line(&self, facts: &Facts<'_>) -> String {
        let mut line = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => line.push_str(text),
                Piece::Field { field, spec } => {
                    let value = self.value(*field, facts);
                    match value.is_missing() {
                        true => line.push_str(MISSING),
                        false => spec.write(&mut line, &value),
                    }
                }
            }
        }
        line
    }

    fn value(&self, field: Field, facts: &Facts<'_>) -> Value {
        let text = |text: &str| Value::Text(text.to_owned());
        match field {
            Field::Private(private, anonymous) => {
                let plain = facts.private(private);
                Value::Text(if anonymous { self.anonymizer.digest(plain) } else { plain.to_owned() })
            }
            Field::Time(part) => Value::Text(part.of(facts.now)),
            Field::Method => text(facts.log.method()),
            Field::Disk => text(facts.log.part(0)),
            Field::Partition => text(facts.log.part(1)),
            Field::Status => Value::Text(facts.status.to_string()),
            Field::ContentLength => Value::Whole(facts.content_length.unwrap_or_default()),
            Field::Transaction => text(&facts.log.transaction),
            Field::TransTime => Value::Fraction(facts.took.as_secs_f64()),
            // No request of an object server has any.
            Field::AdditionalInfo => text(""),
            Field::Pid => Value::Whole(u64::from(std::process::id())),
            Field::PolicyIndex => text(&facts.log.policy),
        }
    }
}

impl Default for LineFormat {
    /// Swift's format, which has no anonymous fields.
    fn default() -> Self {
        Self { pieces: pieces(DEFAULT).unwrap_or_default(), anonymizer: Anonymizer::default() }
    }
}

impl Facts<'_> {
    fn private(&self, private: Private) -> &str {
        let log = self.log;
        match private {
            Private::RemoteAddress => &log.remote,
            Private::Path => &log.path,
            Private::Account => log.part(2),
            Private::Container => log.part(3),
            Private::Object => log.part(4),
            Private::Referer => &log.referer,
            Private::UserAgent => &log.user_agent,
        }
    }
}

/// Cuts a format at its braces (Python: string.Formatter.parse).
fn pieces(format: &str) -> Result<Vec<Piece>, BadFormat> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = format;
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            text.push_str(brace);
            rest = after;
            continue;
        }
        let end = rest.find('}').filter(|_| brace == "{").ok_or(BadFormat::Brace)?;
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        pieces.push(piece(&rest[..end])?);
        rest = &rest[end + 1..];
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

fn piece(inside: &str) -> Result<Piece, BadFormat> {
    let (name, spec) = inside.split_once(':').unwrap_or((inside, ""));
    let (field, sort) = field(name).ok_or_else(|| BadFormat::Field(name.to_owned()))?;
    let spec = Spec::parse(spec, sort).ok_or_else(|| BadFormat::Spec(inside.to_owned()))?;
    Ok(Piece::Field { field, spec })
}

/// What kind of value a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Text,
    Whole,
    Fraction,
}

fn field(name: &str) -> Option<(Field, Sort)> {
    let (name, attribute) = match name.split_once('.') {
        Some((name, attribute)) => (name, Some(attribute)),
        None => (name, None),
    };
    let private = match name {
        "remote_addr" => Some(Private::RemoteAddress),
        "path" => Some(Private::Path),
        "account" => Some(Private::Account),
        "container" => Some(Private::Container),
        "object" => Some(Private::Object),
        "referer" => Some(Private::Referer),
        "user_agent" => Some(Private::UserAgent),
        _ => None,
    };
    match (private, attribute) {
        (Some(private), None) => return Some((Field::Private(private, false), Sort::Text)),
        (Some(private), Some("anonymized")) => return Some((Field::Private(private, true), Sort::Text)),
        _ => {}
    }
    let plain = match name {
        "time" => return Some((Field::Time(TimePart::named(attribute)?), Sort::Text)),
        "method" => (Field::Method, Sort::Text),
        "disk" => (Field::Disk, Sort::Text),
        "partition" => (Field::Partition, Sort::Text),
        "status" => (Field::Status, Sort::Text),
        "content_length" => (Field::ContentLength, Sort::Whole),
        "txn_id" => (Field::Transaction, Sort::Text),
        "trans_time" => (Field::TransTime, Sort::Fraction),
        "additional_info" => (Field::AdditionalInfo, Sort::Text),
        "pid" => (Field::Pid, Sort::Whole),
        "policy_index" => (Field::PolicyIndex, Sort::Text),
        _ => return None,
    };
    attribute.is_none().then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swifts_own_format_is_a_good_one() {
        assert_eq!(LineFormat::default().pieces, pieces(DEFAULT).unwrap());
        assert!(!LineFormat::default().pieces.is_empty());
    }

    #[test]
    fn refuses_what_could_not_be_written() {
        for bad in ["{", "a}b", "{method", "{{}", "{}"] {
            assert!(pieces(bad).is_err(), "{bad}");
        }
        for bad in ["{nothing}", "{method.anonymized}", "{path.upper}", "{time.q}", "{time.}", "{0}"] {
            assert!(matches!(pieces(bad), Err(BadFormat::Field(_))), "{bad}");
        }
        for bad in ["{method:.4f}", "{pid:s}", "{trans_time:d}", "{pid:x}", "{path:1000}"] {
            assert!(matches!(pieces(bad), Err(BadFormat::Spec(_))), "{bad}");
        }
        assert_eq!(LineFormat::new("x", "shake_128", "").unwrap_err(), BadFormat::Digest("shake_128".into()));
        assert_eq!(pieces("{{}}").unwrap(), [Piece::Text("{}".to_owned())]);
    }
}
