//! Who executes which command of the documents: one table. A command that is not in it fails the test, and so does a line of it
//! that no command is left for.

use std::{collections::BTreeSet, fs};

use anyhow::{Result, ensure};
use ssync_tests::{repository, run_to_end, ssync_binary};

use crate::commands::{all, in_sentences};

/// Who executes a command.
#[derive(Debug, Clone, Copy)]
pub(crate) enum By {
    /// `given.rs`: against a cluster of two nodes.
    Cluster,
    /// `readme.rs`: against `ssync dev`.
    Dev,
    /// A test: its file, and its function.
    Test(&'static str, &'static str),
    /// A script, which has this line of its own.
    Script(&'static str, &'static str),
    /// Nobody, for this reason.
    Nobody(&'static str),
}

use By::{Cluster, Dev, Nobody, Script, Test};

/// Commands of a document that begin so.
pub(crate) const ACCOUNTS: &[(&str, &str, By)] = &[
    ("README.md", "cargo run --release -- demo", Test("tests/demo/demo.rs", "in_one_process")),
    ("README.md", "cargo run --release -- dev", Test("tests/demo/dev.rs", "every_line_that_it_prints_works")),
    ("README.md", "tests/run", Nobody("it is what runs this")),
    ("README.md", "grpcurl ", Test("tests/demo/dev.rs", "what_the_readme_says_to_ask_is_answered")),
    ("README.md", "curl ", Dev),
    ("README.md", "target/release/ssync ", Dev),
    ("README.md", "mv ", Dev),
    ("README.md", "ssync config ", Cluster),
    ("README.md", "ssync node ", Test("tests/demo/config.rs", "tells_each_value_and_its_source")),
    ("CONTRIBUTING.md", "cargo check -p ssync-diskfile", Script("tests/run", "clippy --locked --workspace")),
    ("CONTRIBUTING.md", "cargo nextest run -p ssync-diskfile", Script("tests/run", "cargo nextest run")),
    (
        "CONTRIBUTING.md",
        "tests/functional/run",
        Test("tests/tidy/commands.rs", "name_scripts_and_options_that_exist"),
    ),
    (
        "CONTRIBUTING.md",
        "tests/page/picture",
        Nobody("it wants fonts and Pillow; tests/page drives its browser"),
    ),
    ("docs/operators.md", "ssync ", Cluster),
    ("docs/operators.md", "grpcurl ", Cluster),
    ("docs/operators.md", "ssh -L", Nobody("there is no other host; the page is read in tests/page")),
    ("docs/protocol.md", "grpcurl -plaintext -d '{\"path\":", Cluster),
    (
        "docs/protocol.md",
        "grpcurl ",
        Test("tests/demo/protocol.rs", "the_worked_session_goes_as_it_is_written"),
    ),
    (
        "docs/performance.md",
        "tests/bench/run all",
        Nobody("it takes hours; its parts are tested in tests/bench"),
    ),
    ("docs/security.md", "", Test("services/tls/tests.rs", "security.md")),
    ("docs/installing.md", "ssync ", Cluster),
    ("docs/installing.md", "deploy/debian/build", Script("tests/run", "deploy/check")),
    (
        "docs/installing.md",
        "dpkg ",
        Nobody("the package is looked into by deploy/check; it is not installed over this machine"),
    ),
    ("docs/installing.md", "systemctl ", Nobody("no systemd is in charge here; tests/life plays its part")),
    ("docs/installing.md", "journalctl ", Nobody("the same")),
    (
        "docs/installing.md",
        "swift-init object-server reload-seamless",
        Test("tests/life/swift_init.rs", "a_seamless_reload_refuses_no_connection_and_breaks_no_request"),
    ),
    ("docs/installing.md", "swift-init ", Test("tests/life/swift_init.rs", "it_starts_reloads_and_stops")),
    ("docs/installing.md", "swift-recon ", Test("tests/operators/recon.rs", "swift-recon")),
    ("docs/installing.md", "ln -s ", Test("tests/life/swift_init.rs", "it_starts_reloads_and_stops")),
    ("docs/refusals/", "ssync ", Cluster),
    (
        "deploy/README.md",
        "kubectl ",
        Nobody("no Kubernetes here; tests/pods has podman run what the chart gives"),
    ),
    ("deploy/README.md", "helm ", Nobody("the same")),
    ("deploy/README.md", "deploy/tools/install ", Script("tests/run", "deploy/tools/install")),
    ("deploy/README.md", "TOOLS=target/deploy-tools deploy/check", Script("tests/run", "deploy/check")),
    ("examples/README.md", "examples/", Script("tests/run", "\"examples/$1/build\" \"$into\"")),
    ("examples/README.md", "", Test("tests/demo/examples.rs", "every_client_pushes_as_the_page_says")),
    ("proto/conformance/README.md", "ssync conformance ", Cluster),
    ("tests/fuzz/README.md", "", Script("tests/run", "tests/fuzz/run \"$fuzz_seconds\"")),
];

/// Who executes this command of that document.
pub(crate) fn account(document: &str, text: &str) -> Option<(usize, By)> {
    let entry = |(of, begins, _): &&(&str, &str, By)| document.starts_with(of) && text.starts_with(begins);
    let place = ACCOUNTS.iter().position(|account| entry(&account))?;
    ACCOUNTS.get(place).map(|(_, _, by)| (place, *by))
}

#[test]
fn every_command_is_executed_by_somebody() {
    let mut used = BTreeSet::new();
    let mut unknown = Vec::new();
    for command in all() {
        match account(&command.document, &command.text) {
            Some((place, _)) => {
                used.insert(place);
            }
            None => unknown.push(command.place()),
        }
    }
    assert!(unknown.is_empty(), "nobody executes these; see tests/docs/accounts.rs:\n{}", unknown.join("\n"));
    let stale: Vec<_> = ACCOUNTS
        .iter()
        .enumerate()
        .filter(|(place, _)| !used.contains(place))
        .map(|(_, account)| account)
        .collect();
    assert!(stale.is_empty(), "no command is left for {stale:#?}");
}

#[test]
fn those_who_are_named_are_there() {
    for (document, begins, by) in ACCOUNTS {
        let (file, what) = match by {
            Test(file, function) => (file, function),
            Script(file, line) => (file, line),
            Nobody(why) => {
                assert!(why.len() > 5, "{document}: {begins}: why?");
                continue;
            }
            Cluster | Dev => continue,
        };
        let text =
            fs::read_to_string(repository().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.contains(what), "{document}: {begins:?}: {file} has no {what}");
    }
}

/// The command line takes what documents say, in blocks and in sentences.
#[test]
fn the_command_line_takes_every_one() -> Result<()> {
    let binary = ssync_binary()?;
    let mut wrong = Vec::new();
    let mut count = 0;
    for command in all().into_iter().chain(in_sentences()) {
        let text = command.text.replace("target/release/ssync ", "ssync ");
        let Some(arguments) = text.strip_prefix("ssync ") else { continue };
        let words: Vec<&str> = arguments.split_whitespace().collect();
        if words.iter().any(|word| word.contains("...") || word.contains('*')) {
            continue;
        }
        count += 1;
        let words: Vec<&str> = words.into_iter().map(value).chain(["--help"]).collect();
        let said = run_to_end(&binary, &words)?;
        if !said.status.success() {
            wrong.push(format!("{}\n    {}", command.place(), String::from_utf8_lossy(&said.stderr).trim()));
        }
    }
    ensure!(wrong.is_empty(), "the command line does not take:\n{}", wrong.join("\n"));
    ensure!(count > 60, "{count} commands");
    Ok(())
}

/// What stands for a value, as one.
fn value(word: &str) -> &str {
    match word {
        "ADDR" | "ADDRESS" => "127.0.0.1:6200",
        "N" => "7",
        other => other,
    }
}
