//! Examples of each command, for its help and its man page; a test gives each to the parser.

use clap::{Command, CommandFactory as _};

use crate::cli::Cli;

/// A command's name, and calls of it.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("receiver", &["ssync receiver --conf /etc/swift/object-server.conf"]),
    ("sidecar", &["ssync sidecar --conf /etc/swift/object-server.conf"]),
    (
        "replicator",
        &[
            "ssync replicator --conf /etc/swift/object-server.conf",
            "ssync replicator --once --devices sdb1,sdc1",
        ],
    ),
    (
        "node",
        &["ssync node --conf /etc/swift/object-server.conf", "ssync node --set replication_concurrency=8"],
    ),
    (
        "push",
        &[
            "ssync push --device sdb1 --partition 7",
            "ssync push --device sdb1 --partition 7 --to 10.0.0.2:6200/sdb1",
        ],
    ),
    (
        "plan",
        &[
            "ssync plan --devices sdb1 --partitions 7,12",
            "ssync plan --ring /tmp/new-rings/object.ring.gz --rate 50MiB",
        ],
    ),
    ("status", &["ssync status", "ssync status --json"]),
    ("top", &["ssync top", "ssync top --interval 5 --count 12 --json"]),
    ("why-slow", &["ssync why-slow", "ssync why-slow --json"]),
    ("pause", &["ssync pause", "ssync pause sdb1"]),
    ("resume", &["ssync resume", "ssync resume sdb1"]),
    ("drain", &["ssync drain sdb1 --timeout 60"]),
    ("limits", &["ssync limits", "ssync limits set replication_concurrency=8 concurrency=6"]),
    ("errors", &["ssync errors", "ssync errors --retry 10.0.0.2:6200/sdb1"]),
    ("conformance", &["ssync conformance 127.0.0.1:6210 --device d1 --part-power 4"]),
    (
        "object",
        &["ssync object /AUTH_test/c/o", "ssync object /AUTH_test/c/o --policy gold --handoffs all --json"],
    ),
    ("partition", &["ssync partition 7", "ssync partition 7 --policy gold --handoffs all --json"]),
    ("verify", &["ssync verify", "ssync verify sdb1 --all", "ssync verify --sample 10000 --no-peers --json"]),
    ("dev", &["ssync dev --dir /tmp/dev"]),
    ("demo", &["ssync demo --objects 500"]),
    ("config", &["ssync config show --conf /etc/swift/object-server.conf", "ssync config check"]),
    ("log-level", &["ssync log-level", "ssync log-level ssync_receiver=trace,warn"]),
    ("completions", &["ssync completions bash > /etc/bash_completion.d/ssync"]),
    ("man", &["ssync man /usr/local/share/man/man1"]),
];

/// The command line, with examples in the help of each command.
pub(crate) fn command() -> Command {
    EXAMPLES.iter().fold(Cli::command(), |command, (name, examples)| {
        command.mut_subcommand(*name, |command| {
            let lines: String = examples.iter().map(|example| format!("\n  {example}")).collect();
            command.after_help(format!("Examples:{lines}"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_an_example_and_every_example_can_be_given() {
        for found in Cli::command().get_subcommands().filter(|found| !found.is_hide_set()) {
            let has = |(name, examples): &&(&str, &[&str])| *name == found.get_name() && !examples.is_empty();
            assert!(EXAMPLES.iter().any(|row| has(&row)), "ssync {} has no example", found.get_name());
            assert!(found.get_about().is_some(), "ssync {} has no help", found.get_name());
        }
        for (name, examples) in EXAMPLES {
            for example in *examples {
                let words = example.split(" > ").next().unwrap().split_whitespace();
                let parsed = Cli::command()
                    .try_get_matches_from(words)
                    .unwrap_or_else(|error| panic!("{example}: {error}"));
                assert_eq!(parsed.subcommand_name(), Some(*name), "{example}");
            }
            let help = command().find_subcommand_mut(name).unwrap().render_help().to_string();
            assert!(help.contains(&format!("Examples:\n  {}", examples[0])), "{help}");
        }
    }
}
