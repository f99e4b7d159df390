//! What came beside what was expected.

use serde_json::Value;

use super::vectors::{Call, Expect};

/// What came out of a call.
#[derive(Debug, Default)]
pub(crate) struct Came {
    /// Kinds of the messages of `Updates`, in their order.
    pub kinds: Vec<String>,
    pub results: Vec<Value>,
    pub summary: Option<Value>,
    pub wants: Vec<Value>,
    pub answered_offers: u64,
    /// How it ended; nothing where it ended in order.
    pub refusal: Option<Value>,
}

/// Every difference, in words; none where the receiver keeps the contract.
pub(crate) fn differences(call: Call, expect: &Expect, came: &Came) -> Vec<String> {
    let mut found = Vec::new();
    match (&expect.refusal, &came.refusal) {
        (None, Some(refusal)) => found.push(format!("was refused: {refusal}")),
        (Some(expected), None) => found.push(format!("ended in order, not with {expected}")),
        (Some(expected), Some(refusal)) => found.extend(different("refusal", expected, refusal)),
        (None, None) => {}
    }
    match call {
        // It answers as it goes.
        Call::MissingCheck if expect.refusal.is_some() => {}
        Call::MissingCheck => {
            found.extend(of_lists("wants", &expect.wants, &came.wants, &["objectHash"]));
            if let Some(expected) =
                expect.answered_offers.filter(|expected| *expected != came.answered_offers)
            {
                found.push(format!("answered {} offers, not {expected}", came.answered_offers));
            }
        }
        Call::Updates => {
            found.extend(of_order(expect, came));
            let keys = ["updateId", "objectHash"];
            let is_perhaps = |one: &&Value| expect.perhaps.iter().any(|other| same(one, other, &keys));
            let (perhaps, due): (Vec<&Value>, Vec<&Value>) = came.results.iter().partition(is_perhaps);
            let due: Vec<Value> = due.into_iter().cloned().collect();
            found.extend(of_lists("results", &expect.results, &due, &keys));
            for result in perhaps {
                let expected = expect.perhaps.iter().find(|other| same(result, other, &keys));
                found
                    .extend(expected.into_iter().flat_map(|expected| different("results", expected, result)));
            }
            if let Some(expected) = &expect.summary {
                let summary = came.summary.as_ref().unwrap_or(&Value::Null);
                found.extend(different("summary", expected, summary));
            }
        }
    }
    found
}

/// `opened accepted ( results | heartbeat | draining )* summary`.
fn of_order(expect: &Expect, came: &Came) -> Vec<String> {
    let spoken: Vec<&str> =
        came.kinds.iter().map(String::as_str).filter(|kind| *kind != "heartbeat").collect();
    let mut found = Vec::new();
    if expect.not_accepted {
        if spoken.iter().any(|kind| *kind != "opened") {
            found.push(format!("spoke of more than `opened`: {spoken:?}"));
        }
        return found;
    }
    if !spoken.starts_with(&["opened", "accepted"]) {
        found.push(format!("a session begins with opened and accepted, not: {spoken:?}"));
    }
    let ends = spoken.iter().filter(|kind| **kind == "summary").count();
    if came.refusal.is_none() && (ends != 1 || spoken.last() != Some(&"summary")) {
        found.push(format!("a session ends with one summary, not: {spoken:?}"));
    }
    let middle =
        spoken.iter().skip(2).filter(|kind| !["results", "draining", "summary"].contains(*kind)).count();
    if middle > 0 {
        found.push(format!("messages out of order: {spoken:?}"));
    }
    found
}

fn same(one: &Value, other: &Value, keys: &[&str]) -> bool {
    keys.iter().all(|key| one.get(*key) == other.get(*key))
}

/// Both lists have the same entries by their keys, and those of one object are in one order.
fn of_lists(what: &str, expected: &[Value], came: &[Value], keys: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in expected {
        match came.iter().find(|other| same(entry, other, keys)) {
            Some(other) => found.extend(different(what, entry, other)),
            None => found.push(format!("{what}: there is no {entry}")),
        }
    }
    if came.len() != expected.len() {
        found.push(format!(
            "{what}: {} came, not {}: {}",
            came.len(),
            expected.len(),
            Value::from(came.to_vec())
        ));
    }
    for entry in expected {
        let of_object = |list: &[Value]| -> Vec<Value> {
            let own = list.iter().filter(|other| other.get("objectHash") == entry.get("objectHash"));
            own.map(|other| other.get("updateId").cloned().unwrap_or_default()).collect()
        };
        if of_object(expected) != of_object(came) && came.len() == expected.len() {
            found.push(format!(
                "{what}: those of one object are out of order: {}",
                Value::from(came.to_vec())
            ));
            break;
        }
    }
    found
}

/// Where `came` does not have what `expected` has.
fn different(place: &str, expected: &Value, came: &Value) -> Vec<String> {
    match (expected, came) {
        (Value::Object(expected), Value::Object(came)) => expected
            .iter()
            .flat_map(|(name, value)| {
                different(&format!("{place}.{name}"), value, came.get(name).unwrap_or(&Value::Null))
            })
            .collect(),
        (expected, came) if expected == came => Vec::new(),
        (expected, came) => vec![format!("{place} is {came}, not {expected}")],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn came(kinds: &[&str]) -> Came {
        Came { kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(), ..Came::default() }
    }

    #[test]
    fn a_session_has_its_order() {
        let expect = Expect::default();
        let judge = |kinds: &[&str]| differences(Call::Updates, &expect, &came(kinds));
        assert_eq!(judge(&["opened", "accepted", "heartbeat", "summary"]), Vec::<String>::new());
        for wrong in [
            &["accepted", "opened", "summary"][..],
            &["opened", "accepted"],
            &["opened", "accepted", "summary", "results"],
            &["opened", "accepted", "accepted", "summary"],
            &["opened", "accepted", "summary", "summary"],
        ] {
            assert!(!judge(wrong).is_empty(), "{wrong:?}");
        }
    }

    #[test]
    fn results_of_one_object_come_in_order() {
        let result = |id: u64, hash: &str| json!({"updateId": id.to_string(), "objectHash": hash});
        let expected = [result(1, "a"), result(2, "a"), result(3, "b")];
        let judge = |came: &[Value]| of_lists("results", &expected, came, &["updateId", "objectHash"]);
        assert!(judge(&[result(3, "b"), result(1, "a"), result(2, "a")]).is_empty());
        assert!(!judge(&[result(2, "a"), result(1, "a"), result(3, "b")]).is_empty());
        assert!(!judge(&expected[..2]).is_empty());
        let twice = [&expected[..], &expected[..1]].concat();
        assert!(!judge(&twice).is_empty());
    }
}
