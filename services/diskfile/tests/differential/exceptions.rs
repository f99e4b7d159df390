//! Where ours is meant to differ from Swift, each with the reason. All else that differs is a failure.
//!
//! Below are the ones that the comparison finds. These few are evened out in `stock_swift.py`, at the places that point here:
//!
//! * A partition that does not exist is not made to note in it that a suffix is stale: there is nothing to hash.
//! * A write that comes to nothing leaves no directories of the object; where files have names before they are published,
//!   ours makes the directories first and Swift last.
//! * A commit marks the suffix as stale. Swift leaves that to the PUT before it, though hashing in between may have taken the
//!   note away, and then no hash tells of the durable mark.
//! * A commit that comes too late, because the fragment is durable or replaced, finishes what the other may have been cut
//!   off in: it cleans, and marks the fragment in the next partition too.
//! * The header inside each fragment of an erasure code is not looked at when it is read; body and checksum are.
//! * What is listed for a sender has the name of an object; Swift offers whatever directory holds a body. What is listed as a
//!   suffix is spelled as Swift spells it; Swift takes all that Python reads as hex.
//! * Each fragment is offered as a revert would, and what that hides as a sync would: our senders offer all that is there.
//! * A note that a cut-off writer left without its line's end does not swallow the next one. (Not generated.)

use serde_json::Value;

/// Swift stops with an error of Python's there, in the middle of its work. Such an operation is left out of the history,
/// and the rest compared.
pub(super) const CRASHES: &[(&str, &str)] = &[
    (
        "the check of an offer takes the object's name from the file with the oldest name, be it stray or damaged, and \
         then does not find what is there; ours asks the body",
        "Unnamed",
    ),
    (
        "a name that no object can have is damage here; Swift answers 403 for ever where it is asked for by name, and stops with \
         an error where not",
        "Nameless",
    ),
    ("metadata without a name, opened by hash: quarantined here", "KeyError: 'name'"),
    (
        "an X-Timestamp that is no time: ours takes the time of the file's name",
        "could not convert string to float",
    ),
    (
        "a legacy durable mark beside fragments that are old enough to go: Swift removes a name twice",
        "list.remove(x): x not in list",
    ),
    ("a name that is not UTF-8, opened by hash: damage here", "surrogates not allowed"),
    ("metadata without an ETag, read: the body cannot be checked, and is damage here", "KeyError: 'ETag'"),
    (
        "two names of one file, as of a fragment with and without its mark, which only a broken program leaves: which of them \
         Swift opens is a matter of the order in which the file system lists them",
        "Twofold",
    ),
    (
        "Swift cannot move a file to quarantine where a directory of its name is, nor the reverse, and fails until somebody \
         clears it; ours gives it another name",
        "Blocked",
    ),
    (
        "an X-Timestamp that is no time: ours takes the time of the file's name",
        "invalid literal for int() with base 16",
    ),
    (
        "a fragment written once more at its own time while the power is being changed: Swift leaves the older body in the \
         other partition and marks that; ours puts the newer one there",
        "Rewritten",
    ),
    (
        "a fragment that has a tombstone of its own time and is not in the other partition: Swift marks it, and says that it \
         could not",
        "Halfway",
    ),
    (
        "a Content-Type-Timestamp that is no time is none here",
        "'>' not supported between instances of 'Timestamp' and 'str'",
    ),
    ("hashes.pkl that is no dict is as none here", "object is not iterable"),
    ("hashes.pkl that is no dict is as none here", "object has no attribute 'setdefault'"),
];

/// Why an operation is left out, if what Swift says of it shows that the two differ there as they should.
pub(super) fn left_out(swift: &Value) -> Option<&'static str> {
    if let Some(message) = swift["crash"].as_str() {
        return CRASHES.iter().find(|(_, text)| message.contains(text)).map(|(reason, _)| *reason);
    }
    (swift == "in the way").then_some(
        "Swift stops with an error where a file is in the place of a directory, until something reads there that moves it \
         aside; ours moves it at once, be it the place of an object or of a suffix, and a listing goes on with the rest",
    )
}

/// Whether results of an operation are the same, or differ as they should.
pub(super) fn same_result(op: &Value, swift: &Value, ours: &Value) -> bool {
    // What is in quarantine is compared with the files; a check says only that it is not there.
    let unsaid = match op["op"].as_str() {
        Some("check") => swift == "not found" && ours == "quarantined",
        // Swift has one error for all that goes wrong when a fragment is marked.
        Some("commit") => swift == "not found" && ours == "error",
        _ => false,
    };
    unsaid || agree(swift, ours)
}

/// Equal, but for what Swift itself cannot say, and for the spelling of names: ours spells them as servers do, whatever a
/// damaged file says.
fn agree(swift: &Value, ours: &Value) -> bool {
    match (swift, ours) {
        (Value::String(mark), _) if mark == "!" => true,
        (Value::Object(swift), Value::Object(ours)) => {
            swift.len() == ours.len()
                && swift.iter().all(|(key, value)| {
                    let spelled = || {
                        ours.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, other)| other)
                    };
                    ours.get(key).or_else(spelled).is_some_and(|other| agree(value, other))
                })
        }
        (Value::Array(swift), Value::Array(ours)) => {
            swift.len() == ours.len() && swift.iter().zip(ours).all(|(swift, ours)| agree(swift, ours))
        }
        _ => swift == ours,
    }
}

/// What is on the disk, without what may differ.
pub(super) fn comparable(mut snapshot: Vec<(String, Value)>) -> Vec<(String, Value)> {
    let holds = |snapshot: &[(String, Value)], path: &str| {
        snapshot.iter().any(|(other, _)| other.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    };
    for _ in 0..2 {
        let all = snapshot.clone();
        snapshot.retain(|(path, _)| {
            let parts: Vec<_> = path.split('/').collect();
            let empty = || !holds(&all, path);
            match parts.as_slice() {
                // Ours names a file in tmp first when it replaces another; when is one's own affair, but nothing may stay.
                ["tmp" | "tmp-1"] => !empty(),
                // A write that came to nothing: Swift makes the object's directories before or after, as its file has a name.
                [_] | [_, _] if path.starts_with("objects") => !empty(),
                // Not a suffix. Swift hashes and removes it, but never reads a hashes.pkl that names it.
                [_, _, name] if path.starts_with("objects") && name.len() == 3 => {
                    ssync_types::Suffix::from_name(name.as_bytes()).is_some()
                }
                _ => true,
            }
        });
    }
    for (path, value) in &mut snapshot {
        if path.ends_with("hashes.invalid")
            && let Some(lines) = value["body"].as_str()
        {
            // A note made twice says no more than once.
            let lines: std::collections::BTreeSet<_> = lines.split('\n').map(str::to_owned).collect();
            value["body"] = serde_json::json!(lines);
        }
    }
    snapshot
}
