//! The commands of the documents.

use std::{fs, path::Path};

use ssync_tests::repository;

/// What begins a line that is to be typed.
const PROGRAMS: [&str; 30] = [
    "apt",
    "cargo",
    "cp",
    "curl",
    "dpkg",
    "echo",
    "grep",
    "grpcurl",
    "helm",
    "install",
    "journalctl",
    "kubectl",
    "ln",
    "ls",
    "mkdir",
    "mv",
    "openssl",
    "printf",
    "rm",
    "rsync",
    "ssh",
    "ssync",
    "sudo",
    "swift-init",
    "swift-recon",
    "swift-reload",
    "systemctl",
    "systemd-analyze",
    "touch",
    "umount",
];
/// And what begins the path of one.
const PLACES: [&str; 4] = ["tests/", "deploy/", "examples/", "target/"];

/// Its blocks are bytes and names, and a test of its own reads them (services/diskfile/tests/format).
const OF_BYTES: &str = "docs/disk-format.md";

/// A command, with all lines that belong to it.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    /// The document's path from the top.
    pub(crate) document: String,
    pub(crate) text: String,
    /// What the document says that it prints: the block right behind, if that is marked `text`.
    pub(crate) prints: Option<String>,
}

impl Command {
    /// Document and text, in one line.
    pub(crate) fn place(&self) -> String {
        format!("{}: {}", self.document, self.text.replace('\n', " "))
    }
}

/// Every document of ours.
pub(crate) fn documents() -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(&repository(), &mut found);
    assert!(found.len() > 20, "{} documents", found.len());
    found.sort();
    found
}

fn collect(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder that can be read").flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() && !path.is_symlink() {
            if !name.starts_with('.') && name != "target" && name != "node_modules" && name != "ssync-dev" {
                collect(&path, found);
            }
        } else if let (true, Ok(text)) = (name.ends_with(".md"), fs::read_to_string(&path)) {
            let path = path.strip_prefix(repository()).expect("below the top").display().to_string();
            found.push((path, text));
        }
    }
}

/// Every command of every document, in their order.
pub(crate) fn all() -> Vec<Command> {
    documents().iter().flat_map(|(document, text)| of(document, text)).collect()
}

/// Those of one document.
pub(crate) fn of(document: &str, text: &str) -> Vec<Command> {
    let mut found: Vec<Command> = Vec::new();
    let mut last_was_command = false;
    for (info, block) in blocks(text) {
        if info == "text" && last_was_command {
            if let Some(command) = found.last_mut() {
                command.prints = Some(block);
            }
            last_was_command = false;
            continue;
        }
        let first = block.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        last_was_command = info != "text" && first.is_some_and(is_command);
        if let (false, "" | "sh", Some(line)) = (last_was_command, info.as_str(), first) {
            assert!(
                document == OF_BYTES || !could_be_command(line),
                "{document}: is {line:?} a command? If so PROGRAMS has to know it; else mark the block: ```text"
            );
        }
        if last_was_command {
            let texts = logical_lines(&block);
            found.extend(texts.into_iter().map(|text| Command {
                document: document.to_owned(),
                text,
                prints: None,
            }));
        }
    }
    found
}

fn is_command(line: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| {
        word.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    });
    let first = words.next().unwrap_or_default();
    PROGRAMS.contains(&first) || PLACES.iter().any(|place| first.starts_with(place))
}

/// A word in small letters, and what is no assignment behind it.
fn could_be_command(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default();
    let is_name = first.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_./".contains(c))
        && first.starts_with(|c: char| c.is_ascii_lowercase() || c == '.');
    is_name && words.next() != Some("=")
}

/// Blocks between fences, and those that are indented after an empty line: what stands behind the fence, and the text.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let (mut fence, mut indented, mut after_gap) = (None::<(String, String)>, None::<String>, true);
    for line in text.lines() {
        if let Some((info, mut block)) = fence.take() {
            if line.trim_start().starts_with("```") {
                found.push((info, block));
            } else {
                block.push_str(line);
                block.push('\n');
                fence = Some((info, block));
            }
            continue;
        }
        if let Some(info) = line.trim_start().strip_prefix("```") {
            found.extend(indented.take().map(|block| (String::new(), block)));
            fence = Some((info.trim().to_owned(), String::new()));
        } else if line.starts_with("    ") && (after_gap || indented.is_some()) {
            let block = indented.get_or_insert_default();
            block.push_str(line);
            block.push('\n');
        } else {
            found.extend(indented.take().map(|block| (String::new(), block)));
        }
        after_gap = line.trim().is_empty();
    }
    found.extend(indented.map(|block| (String::new(), block)));
    assert!(fence.is_none(), "a fence is not closed");
    found
}

/// Lines that belong together by a backslash, a quote that is open, or a document that is given there; remarks are left out.
fn logical_lines(block: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<String> = None;
    for line in block.lines() {
        let text = match open.take() {
            None if line.trim().is_empty() || line.trim_start().starts_with('#') => continue,
            None => line.trim_start().to_owned(),
            Some(begun) => format!("{begun}\n{line}"),
        };
        if is_whole(&text) { found.push(text) } else { open = Some(text) }
    }
    assert!(open.is_none(), "a command does not end: {open:?}");
    found
}

fn is_whole(text: &str) -> bool {
    if let Some((_, rest)) = text.split_once("<<'") {
        let (mark, given) = rest.split_once('\'').unwrap_or((rest, ""));
        return given.lines().any(|line| line == mark);
    }
    text.matches('\'').count().is_multiple_of(2) && !text.ends_with('\\')
}

/// What stands in the running text as a command of ours: `ssync ...` between backquotes.
pub(crate) fn in_sentences() -> Vec<Command> {
    let mut found = Vec::new();
    for (document, text) in documents() {
        let mut fenced = false;
        let lines = text.lines().filter(|line| {
            fenced ^= line.trim_start().starts_with("```");
            !fenced
        });
        let text = lines.collect::<Vec<_>>().join(" ");
        for span in text.split('`').skip(1).step_by(2).filter(|span| span.starts_with("ssync ")) {
            found.push(Command { document: document.clone(), text: span.to_owned(), prints: None });
        }
    }
    found
}
