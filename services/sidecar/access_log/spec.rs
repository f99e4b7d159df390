//! How a field is laid out: the part of a Python format behind the colon, as far as text and numbers need it (Python:
//! "Format Specification Mini-Language").

use super::format::{Sort, Value};

/// Widest field, and most places behind the point.
const WIDTH_MAX: usize = 255;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
    Center,
}

/// `[[fill]align][0][width][.precision][type]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spec {
    fill: char,
    align: Align,
    width: usize,
    precision: Option<usize>,
}

impl Spec {
    /// Reads one for a value of this sort; `None` where Python would refuse it, or for what nobody needs of a log.
    pub(super) fn parse(text: &str, sort: Sort) -> Option<Self> {
        let default = if sort == Sort::Text { Align::Left } else { Align::Right };
        let (fill, align, rest) = alignment(text).unwrap_or((' ', default, text));
        let (fill, rest) = match rest.strip_prefix('0') {
            Some(rest) if sort != Sort::Text && fill == ' ' => ('0', rest),
            _ => (fill, rest),
        };
        let (width, rest) = number(rest)?;
        let (precision, rest) = match rest.strip_prefix('.') {
            Some(rest) => {
                let (precision, rest) = number(rest)?;
                (Some(precision?), rest)
            }
            None => (None, rest),
        };
        let fits = match sort {
            Sort::Text => matches!(rest, "" | "s"),
            Sort::Whole => matches!(rest, "" | "d") && precision.is_none(),
            Sort::Fraction => rest == "f" || (rest.is_empty() && precision.is_none()),
        };
        // Python's `f` has six places where nothing is said.
        let precision = precision.or((rest == "f").then_some(6));
        fits.then(|| Self { fill, align, width: width.unwrap_or(0), precision })
    }

    /// Adds a value to a line.
    pub(super) fn write(&self, line: &mut String, value: &Value) {
        let text = match (value, self.precision) {
            (Value::Text(text), Some(most)) => text.chars().take(most).collect(),
            (Value::Text(text), None) => text.clone(),
            (Value::Whole(number), _) => number.to_string(),
            (Value::Fraction(number), Some(places)) => format!("{number:.places$}"),
            (Value::Fraction(number), None) => format!("{number:?}"),
        };
        let missing = self.width.saturating_sub(text.chars().count());
        let left = match self.align {
            Align::Left => 0,
            Align::Right => missing,
            Align::Center => missing / 2,
        };
        line.extend(std::iter::repeat_n(self.fill, left));
        line.push_str(&text);
        line.extend(std::iter::repeat_n(self.fill, missing - left));
    }
}

fn alignment(text: &str) -> Option<(char, Align, &str)> {
    let align = |c| match c {
        '<' => Some(Align::Left),
        '>' => Some(Align::Right),
        '^' => Some(Align::Center),
        _ => None,
    };
    let mut chars = text.chars();
    let first = chars.next()?;
    let behind_first = chars.as_str();
    if let Some(align) = chars.next().and_then(align) {
        return Some((first, align, chars.as_str()));
    }
    align(first).map(|align| (' ', align, behind_first))
}

/// The number that a text begins with, if any, and what follows; `None` where it is too large.
fn number(text: &str) -> Option<(Option<usize>, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    match digits {
        "" => Some((None, rest)),
        digits => {
            let number = digits.parse().ok().filter(|number| *number <= WIDTH_MAX)?;
            Some((Some(number), rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(spec: &str, sort: Sort, value: &Value) -> String {
        let mut line = String::new();
        Spec::parse(spec, sort).unwrap().write(&mut line, value);
        line
    }

    /// As Python 3.11 writes them.
    #[test]
    fn lays_out_as_python_does() {
        let text = Value::Text("GET".to_owned());
        for (spec, expected) in [
            ("", "GET"),
            ("6", "GET   "),
            (">6s", "   GET"),
            ("*^6", "*GET**"),
            (".2", "GE"),
            ("<4.1", "G   "),
        ] {
            assert_eq!(written(spec, Sort::Text, &text), expected, "{spec}");
        }
        for (spec, expected) in
            [("", "42"), ("5d", "   42"), ("05", "00042"), ("<5", "42   "), ("x>4", "xx42")]
        {
            assert_eq!(written(spec, Sort::Whole, &Value::Whole(42)), expected, "{spec}");
        }
        for (spec, expected) in
            [("", "0.25"), (".4f", "0.2500"), ("f", "0.250000"), ("8.2f", "    0.25"), ("07.1f", "00000.2")]
        {
            assert_eq!(written(spec, Sort::Fraction, &Value::Fraction(0.25)), expected, "{spec}");
        }
    }
}
