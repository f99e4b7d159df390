//! Runs the inputs of a corpus through their property, as an ordinary test.

use std::{fs, path::Path};

/// Checks every input that the fuzz target of this name starts from. A panic names the input.
pub(crate) fn replay(target: &str, property: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&corpus).expect("a corpus") {
        let path = entry.expect("an input").path();
        let input = fs::read(&path).expect("an input that can be read");
        println!("{}", path.display());
        property(&input);
        count += 1;
    }
    assert!(count > 0, "{} is empty", corpus.display());
}
