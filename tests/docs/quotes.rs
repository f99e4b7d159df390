//! What docs/refusals quotes is what the program says.

use std::{collections::BTreeSet, fs, path::Path};

use ssync_tests::repository;

use crate::commands::documents;

/// Letters of a text that have to be fixed, for it to say anything.
const FIXED_MIN: usize = 16;

/// Lines of blocks that are marked so are messages.
const MARK: &str = "```text";

/// Every text of the sources, as pieces between what is filled in.
fn texts() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    collect(&repository().join("services"), &mut found);
    collect(&repository().join("proto"), &mut found);
    assert!(found.len() > 1000, "{} texts", found.len());
    found
}

fn collect(folder: &Path, found: &mut Vec<Vec<String>>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["tests", "testdata", "testing", "fuzzing", "bench"].contains(&name.as_str()) {
                collect(&path, found);
            }
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let text = fs::read_to_string(&path).expect("a source");
            // Tests stand at the end.
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            found.extend(literals(text).iter().map(|literal| pieces(literal)));
        }
    }
}

/// Texts between quotes, less what continues them on another line.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in joined(source).lines() {
        let mut rest = line.trim_start();
        while !rest.starts_with("//") {
            let Some((_, behind)) = rest.split_once('"') else { break };
            let mut text = String::new();
            let mut letters = behind.char_indices();
            let mut end = behind.len();
            while let Some((at, letter)) = letters.next() {
                match letter {
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    '\\' => {
                        text.extend(letters.next().map(|(_, next)| if next == 'n' { '\n' } else { next }));
                    }
                    other => text.push(other),
                }
            }
            found.push(text);
            rest = &behind[end..];
        }
    }
    found
}

/// The source with each text on one line.
fn joined(source: &str) -> String {
    let mut parts = source.split("\\\n");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.trim_start())
}

/// A text is split where something is filled in.
fn pieces(literal: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut depth = 0;
    for letter in literal.chars() {
        match letter {
            '{' => {
                depth += 1;
                if depth == 1 {
                    pieces.push(String::new());
                }
            }
            '}' => depth -= 1,
            _ if depth > 0 => {}
            other => pieces.last_mut().expect("one at least").push(other),
        }
    }
    pieces
}

/// Whether a line can be this text, with anything filled in.
fn is_said(line: &str, pieces: &[String]) -> bool {
    if pieces.iter().map(String::len).sum::<usize>() < FIXED_MIN {
        return false;
    }
    let [first, between @ .., last] = pieces else { return pieces.first().is_some_and(|only| only == line) };
    let Some(mut rest) = line.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str()))
    else {
        return false;
    };
    between.iter().all(|piece| {
        let Some(at) = rest.find(piece.as_str()) else { return false };
        rest = &rest[at + piece.len()..];
        true
    })
}

/// The line without the reason behind it, and the reason.
fn parted(line: &str) -> (&str, Option<&str>) {
    let parted = line.strip_suffix(')').and_then(|line| line.rsplit_once(" ("));
    match parted.filter(|(_, reason)| reason.chars().all(|c| c.is_ascii_uppercase() || c == '_')) {
        Some((text, reason)) => (text, Some(reason)),
        None => (line, None),
    }
}

#[test]
fn are_what_the_program_says() {
    let texts = texts();
    let reasons = fs::read_to_string(repository().join("services/types/refusal.rs")).expect("the reasons");
    let mut count = 0;
    for (document, text) in documents().into_iter().filter(|(name, _)| name.starts_with("docs/refusals/")) {
        let quoted = text.split(MARK).skip(1).filter_map(|rest| rest.split("```").next());
        for line in quoted.flat_map(str::lines).map(str::trim).filter(|line| !line.is_empty()) {
            count += 1;
            let (message, reason) = parted(line);
            assert!(
                texts.iter().any(|pieces| is_said(message, pieces)),
                "{document}: nothing says {message:?}"
            );
            if let Some(reason) = reason {
                assert!(reasons.contains(&format!("\"{reason}\"")), "{document}: {reason} is no reason");
            }
        }
    }
    assert!(count > 15, "{count} messages");
}

/// Each page is in the index, and begins with what is seen.
#[test]
fn have_a_page_that_the_index_names() {
    let pages = documents().into_iter().filter(|(name, _)| name.starts_with("docs/refusals/"));
    let (index, pages): (Vec<_>, Vec<_>) = pages.partition(|(name, _)| name.ends_with("README.md"));
    let index = &index.first().expect("an index").1;
    let mut titles = BTreeSet::new();
    for (name, text) in &pages {
        let file = name.rsplit('/').next().unwrap_or_default();
        assert!(index.contains(&format!("({file})")), "the index does not name {file}");
        for part in ["## What you see", "## Why", "## What to do"] {
            assert!(text.contains(part), "{name} has no {part:?}");
        }
        assert!(titles.insert(text.lines().next()), "{name} has the title of another");
    }
    assert!(titles.len() > 10, "{} pages", titles.len());
}

/// Words with an underscore: options, fields, metrics.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| {
        let is_plain = word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        is_plain
            && word.contains('_')
            && word.starts_with(|c: char| c.is_ascii_lowercase())
            && !word.ends_with('_')
    })
}

/// What advice and pages for operators tell to look at or to set is an option, a field, a metric: something that there is.
#[test]
fn name_nothing_that_there_is_not() {
    let read = |path: &str| fs::read_to_string(repository().join(path)).expect(path);
    let mut known = String::new();
    append(&repository().join("services"), &mut known);
    append(&repository().join("proto"), &mut known);
    // Of Swift's own, of iostat, of a host.
    let others = ["handoff_delete", "object_replication_per_disk", "w_await", "ring_gz"];
    let advice = ["services/ssync/control/advice.rs", "services/ssync/on_demand/spent.rs"];
    let advice = advice.map(|path| (path.to_owned(), literals(&read(path)).join("\n")));
    let pages = documents().into_iter().filter(|(name, _)| {
        name.starts_with("docs/refusals/")
            || ["docs/operators.md", "docs/installing.md"].contains(&name.as_str())
    });
    let mut count = 0;
    for (place, text) in pages.chain(advice) {
        for name in names(&text) {
            count += 1;
            let is_known = others.contains(&name) || known.contains(name);
            assert!(is_known, "{place} names {name}, which there is not");
        }
    }
    assert!(count > 80, "{count} names");
}

/// The sources below a folder, but those that give advice.
fn append(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            append(&path, text);
        } else if !path.ends_with("control/advice.rs") && !path.ends_with("on_demand/spent.rs") {
            text.push_str(&fs::read_to_string(&path).unwrap_or_default());
        }
    }
}

#[test]
fn are_compared_with_what_can_be_filled_in() {
    let pieces = pieces("device {device}: {kind} {} is held elsewhere after {waited:?}; try again later");
    assert!(is_said("device d1: partition lock x is held elsewhere after 1s; try again later", &pieces));
    assert!(!is_said("device d1: partition lock x is held elsewhere; try again later", &pieces));
    assert_eq!(parted("it is so (DEVICE_FULL)"), ("it is so", Some("DEVICE_FULL")));
    assert_eq!(literals("f(\"a \\\"b\\\" {c}\");\n"), ["a \"b\" {c}"]);
}
