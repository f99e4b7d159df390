//! The smallest history that still differs.

use std::fmt::Write as _;

use serde_json::json;

use super::{
    generate::History,
    pair::{Outcome, Pair},
};

/// Leaves out operations as long as it still differs, and tells what is left.
pub(super) fn smallest(pair: &mut Pair, mut history: History) -> String {
    let mut difference = match differs(pair, &history) {
        Some(difference) => difference,
        None => return "it does not differ a second time".to_owned(),
    };
    let mut settled = false;
    while !settled {
        settled = true;
        for second in [true, false] {
            let mut at = if second { history.second.len() } else { history.first.len() };
            // What was tried last goes first: later operations most often only look.
            while at > 0 {
                at -= 1;
                let mut fewer = history.clone();
                if second {
                    fewer.second.remove(at)
                } else {
                    fewer.first.remove(at)
                };
                if let Some(found) = differs(pair, &fewer) {
                    (history, difference, settled) = (fewer, found, false);
                }
            }
        }
    }
    for at in 0..history.first.len() {
        for (key, value) in [("body", json!("b")), ("metadata", json!({}))] {
            let mut simpler = history.clone();
            if simpler.first[at][key].is_null() {
                continue;
            }
            simpler.first[at][key] = value;
            if let Some(found) = differs(pair, &simpler) {
                (history, difference) = (simpler, found);
            }
        }
    }
    format!("{}{difference}", told(&history))
}

fn differs(pair: &mut Pair, history: &History) -> Option<String> {
    match pair.run_one(history.clone()).0 {
        Outcome::Differs(difference) => Some(difference),
        _ => None,
    }
}

/// A history, one operation a line.
pub(super) fn told(history: &History) -> String {
    let mut text = format!("settings {}\n", history.settings);
    for (part, ops) in [("first", &history.first), ("second", &history.second)] {
        for op in ops {
            writeln!(text, "{part} {op}").unwrap();
        }
    }
    text
}
