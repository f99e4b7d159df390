//! `%(name)s` in values, as Python's BasicInterpolation fills it in and Swift softens it.

use crate::parse::Dialect;

/// Deepest nesting of names (Python: MAX_INTERPOLATION_DEPTH).
const DEPTH_MAX: usize = 10;
/// Longest value that interpolation may make.
const VALUE_BYTES_MAX: usize = 64 << 10;

/// The value with its names filled in. In a service's file a value without `%(` is taken as it is, so `1%` needs no escape
/// (Swift: common/utils/config.py NicerInterpolation). An error says what the value must be instead.
pub(crate) fn interpolate<'a>(
    value: &'a str,
    dialect: Dialect,
    lookup: &dyn Fn(&str) -> Option<&'a str>,
) -> Result<String, String> {
    if dialect == Dialect::Service && !value.contains("%(") {
        return Ok(value.to_owned());
    }
    let mut filled = String::new();
    fill(&mut filled, value, lookup, 1)?;
    Ok(filled)
}

fn fill<'a>(
    filled: &mut String,
    mut rest: &'a str,
    lookup: &dyn Fn(&str) -> Option<&'a str>,
    depth: usize,
) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err(format!("without names that lead more than {DEPTH_MAX} deep, or back to themselves"));
    }
    while let Some((before, after)) = rest.split_once('%') {
        filled.push_str(before);
        rest = if let Some(after) = after.strip_prefix('%') {
            filled.push('%');
            after
        } else {
            let name = after.strip_prefix('(').and_then(|after| after.split_once(')'));
            let name = name.and_then(|(name, after)| Some((name, after.strip_prefix('s')?)));
            let (name, after) = name
                .filter(|(name, _)| !name.is_empty())
                .ok_or("without a `%` that is neither `%%` nor `%(name)s`")?;
            let value =
                lookup(name).ok_or_else(|| format!("without %({name})s, or {name} set in this section"))?;
            // What holds no name is no level of its own.
            if value.contains('%') {
                fill(filled, value, lookup, depth + 1)?;
            } else {
                filled.push_str(value);
            }
            after
        };
        if filled.len() > VALUE_BYTES_MAX {
            return Err(format!("at most {VALUE_BYTES_MAX} bytes once its names are filled in"));
        }
    }
    filled.push_str(rest);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<&'static str> {
        match name {
            "a" => Some("1"),
            "b" => Some("<%(a)s>"),
            "loop" => Some("%(loop)s"),
            "9" => Some("%(8)s"),
            "8" => Some("%(7)s"),
            "7" => Some("%(6)s"),
            "6" => Some("%(5)s"),
            "5" => Some("%(4)s"),
            "4" => Some("%(3)s"),
            "3" => Some("%(2)s"),
            "2" => Some("%(b)s"),
            "10" => Some("%(9)s"),
            "ten" => Some("%(a)s%(a)s%(a)s%(a)s%(a)s%(a)s%(a)s%(a)s%(a)s%(a)s"),
            "hundred" => Some("%(ten)s%(ten)s%(ten)s%(ten)s%(ten)s%(ten)s%(ten)s%(ten)s%(ten)s%(ten)s"),
            "many" => Some(
                "%(hundred)s%(hundred)s%(hundred)s%(hundred)s%(hundred)s%(hundred)s%(hundred)s%(hundred)s",
            ),
            _ => None,
        }
    }

    #[test]
    fn fills_names_in() {
        for (value, filled) in
            [("x", "x"), ("1%", "1%"), ("%%", "%%"), ("%(b)s%%-%(a)s", "<1>%-1"), ("a)s", "a)s")]
        {
            assert_eq!(interpolate(value, Dialect::Service, &lookup).unwrap(), filled, "{value}");
        }
    }

    /// As deep as Python goes, and one deeper.
    #[test]
    fn names_lead_ten_deep() {
        assert_eq!(interpolate("%(9)s", Dialect::Service, &lookup).unwrap(), "<1>");
        assert!(interpolate("%(10)s", Dialect::Service, &lookup).is_err());
    }

    #[test]
    fn swift_conf_escapes_percent() {
        assert_eq!(interpolate("a%%b", Dialect::SwiftConf, &lookup).unwrap(), "a%b");
        assert!(interpolate("a%b", Dialect::SwiftConf, &lookup).is_err());
    }

    #[test]
    fn refuses_what_has_no_end_or_meaning() {
        for value in ["%(none)s", "%(a)", "%(a", "%()s", "%(a)s 1%", "%(loop)s"] {
            assert!(interpolate(value, Dialect::Service, &lookup).is_err(), "{value}");
        }
        assert_eq!(interpolate("%(hundred)s", Dialect::Service, &lookup).unwrap().len(), 100);
        let too_long = ["%(many)s"; 99].concat();
        assert!(interpolate(&too_long, Dialect::Service, &|name| lookup(name)).is_err());
    }
}
