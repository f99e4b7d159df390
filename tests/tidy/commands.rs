//! The commands that documents tell of can be given.

use std::fs;

use ssync_tests::repository;

use crate::tree::{Text, texts};

/// Lines between fences that call a script of the tests: the document, and the words, less a comment behind them.
fn commands(document: &Text) -> Vec<Vec<String>> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in document.text.lines().map(str::trim_start) {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced && line.starts_with("tests/") {
            // What is told of the command stands behind `#`, or behind two spaces.
            let command = line.split(" #").next().and_then(|line| line.split("  ").next()).unwrap_or(line);
            found.push(command.split_whitespace().map(str::to_owned).collect());
        }
    }
    found
}

#[test]
fn name_scripts_and_options_that_exist() {
    let mut options = 0;
    for document in texts().into_iter().filter(|file| file.path.ends_with(".md")) {
        for command in commands(&document) {
            let (script, arguments) = command.split_first().expect("a line that is not empty");
            let place = format!("{}: {}", document.path, command.join(" "));
            let text = fs::read_to_string(repository().join(script))
                .unwrap_or_else(|error| panic!("{place}: {script}: {error}"));
            // What stands behind `--` is for another program.
            let own = arguments.iter().take_while(|word| *word != "--");
            for option in own.filter(|word| word.starts_with('-')) {
                options += 1;
                // As `case` has it: `--option)`, perhaps among others.
                let name = option.split('=').next().unwrap_or(option);
                let taken = |line: &str| {
                    line.split_once(')').is_some_and(|(names, _)| {
                        names
                            .split('|')
                            .any(|known| known.trim() == name || known.trim() == format!("{name}=*"))
                    })
                };
                assert!(text.lines().any(taken), "{place}: {script} does not take {name}");
            }
        }
    }
    assert!(options > 0, "no command was found");
}
