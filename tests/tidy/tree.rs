//! The repository's own files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ssync_tests::repository;

/// A file, by its path from the top, and its text.
pub(crate) struct Text {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every text file but what a build or a run has made.
pub(crate) fn texts() -> Vec<Text> {
    let top = repository();
    let mut found = Vec::new();
    collect(&top, &top, &mut found);
    assert!(found.len() > 50, "the repository was not found at {}", top.display());
    found
}

fn collect(top: &Path, folder: &Path, found: &mut Vec<Text>) {
    for entry in fs::read_dir(folder).expect("a folder that can be read").flatten() {
        let path: PathBuf = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        // In a second work tree `.git` is a file.
        if ["target", ".git", "ssync-dev", "__pycache__"].contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            if !path.is_symlink() {
                collect(top, &path, found);
            }
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path.strip_prefix(top).expect("below the top").display().to_string();
            found.push(Text { path, text });
        }
    }
}
