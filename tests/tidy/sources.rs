//! What every source file keeps to.

use crate::tree::{Text, texts};

fn sources() -> Vec<Text> {
    texts().into_iter().filter(|file| file.path.ends_with(".rs")).collect()
}

/// Put together here so that this file does not hold them itself.
fn unfinished_words() -> [String; 4] {
    [["TO", "DO"], ["FIX", "ME"], ["XX", "X:"], ["HA", "CK:"]].map(|halves| halves.concat())
}

#[test]
fn open_with_a_sentence() {
    for file in sources() {
        let first = file.text.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("//! ") && first.len() > 8,
            "{} does not open with a `//!` sentence",
            file.path
        );
    }
}

#[test]
fn leave_nothing_for_later() {
    for file in texts() {
        for word in unfinished_words() {
            assert!(!file.text.contains(&word), "{} says {word}", file.path);
        }
    }
}

#[test]
fn hold_no_unsafe_code() {
    let keyword = ["un", "safe"].concat();
    for file in sources() {
        for (number, line) in file.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let words = code.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            assert!(words.clone().all(|word| word != keyword), "{}:{}: {line}", file.path, number + 1);
        }
        let root = file.path.ends_with("/lib.rs") || file.path == "services/ssync/main.rs";
        let forbids = file.text.contains(&format!("#![forbid({keyword}_code)]"));
        assert!(!root || forbids, "{} does not forbid it", file.path);
    }
}

#[test]
fn are_found_by_their_name() {
    for file in sources() {
        assert!(!file.path.ends_with("mod.rs"), "{}: a module is named after what it is", file.path);
        for shelf in ["utils", "util", "common", "helpers", "misc"] {
            let named = file.path.split('/').any(|part| part.trim_end_matches(".rs") == shelf);
            assert!(!named, "{}: {shelf} says nothing of what is in it", file.path);
        }
    }
}

#[test]
fn speak_of_no_machine() {
    let places = [["/wo", "rk/"], ["swift", "-lab"], ["/wor", "k/shared"]].map(|halves| halves.concat());
    for file in texts() {
        for place in &places {
            assert!(!file.text.contains(place.as_str()), "{} speaks of {place}", file.path);
        }
    }
}
