//! The list of what went wrong once names tests that exist.

use std::fs;

use ssync_tests::repository;

const LIST: &str = "docs/history.md";
/// The list's own number of rows; a row is not lost by chance.
const ROWS_MIN: usize = 95;

/// The rows of its tables, each by its cells.
fn rows(text: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Swift |")).map(cells).collect()
}

/// Whether a file has a test, or a story that a macro makes tests of, with this name.
fn has_function(file: &str, name: &str) -> bool {
    let text = fs::read_to_string(repository().join(file)).unwrap_or_default();
    text.contains(&format!("fn {name}("))
}

#[test]
fn names_tests_that_exist() {
    let text = fs::read_to_string(repository().join(LIST)).expect("the list");
    let rows = rows(&text);
    assert!(rows.len() >= ROWS_MIN, "{} rows", rows.len());
    for row in &rows {
        let [what, _, guard, tests] = row.as_slice() else { panic!("a row of {} cells: {row:?}", row.len()) };
        let named: Vec<_> = tests.split("<br>").filter(|name| !name.is_empty()).collect();
        assert!(!named.is_empty() || guard.starts_with("Does not apply: "), "{what}: no test, and no reason");
        for test in named {
            let (file, function) = test.trim_matches('`').split_once("::").unwrap_or_default();
            assert!(has_function(file, function), "{LIST}: {what}: there is no {test}");
        }
    }
}
