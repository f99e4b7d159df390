//! What the documents point to is there.

use std::path::Path;

use ssync_tests::repository;

use crate::tree::texts;

/// Targets of `[text](target)`.
fn links(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

#[test]
fn lead_to_files_that_exist() {
    let mut count = 0;
    for document in texts().into_iter().filter(|file| file.path.ends_with(".md")) {
        let folder = repository().join(Path::new(&document.path).parent().unwrap_or(Path::new("")));
        for link in links(&document.text) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.contains(' ') {
                continue;
            }
            count += 1;
            assert!(folder.join(target).exists(), "{} points to {target}, which is not there", document.path);
        }
    }
    assert!(count > 0, "no link was found");
}
