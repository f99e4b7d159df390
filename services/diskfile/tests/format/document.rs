//! The examples of the document: fenced blocks that begin with `text format`, a kind, and arguments.

use std::{fs, path::PathBuf};

use bytes::Bytes;
use ssync_types::{HeaderName, Metadata};

use crate::attributes::Attributes;

const TAG: &str = "```text format ";

#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) kind: String,
    pub(super) args: Vec<String>,
    pub(super) lines: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Document(pub(super) Vec<Block>);

/// A part of a block that begins with `# title`.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub(super) title: &'a str,
    pub(super) rows: Vec<Vec<&'a str>>,
}

/// The document's place.
pub(super) fn place() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/disk-format.md")
}

impl Document {
    pub(super) fn read() -> Self {
        let text = fs::read_to_string(place()).unwrap();
        let mut blocks = Vec::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some(tag) = line.strip_prefix(TAG) else { continue };
            let mut words = tag.split_whitespace().map(str::to_owned);
            let kind = words.next().unwrap();
            let lines = lines.by_ref().take_while(|line| *line != "```").map(str::to_owned).collect();
            blocks.push(Block { kind, args: words.collect(), lines });
        }
        Self(blocks)
    }

    pub(super) fn find(&self, kind: &str, arg: &str) -> &Block {
        self.0.iter().find(|block| block.kind == kind && block.args == [arg]).unwrap()
    }

    /// What a `metadata` block says.
    pub(super) fn metadata(&self, of: &str) -> Attributes {
        let mut attributes = Attributes::default();
        for line in &self.find("metadata", of).lines {
            let (name, value) = line.split_once(": ").unwrap();
            let (name, value) = (unescape(name), unescape(value));
            if name == b"name" {
                attributes.name = Some(Bytes::from(value));
            } else {
                attributes.metadata.insert(HeaderName::new(&name).unwrap(), value);
            }
        }
        attributes
    }

    /// The same without the name.
    pub(super) fn headers(&self, of: &str) -> Metadata {
        self.metadata(of).metadata
    }
}

impl Block {
    pub(super) fn arg(&self) -> &str {
        self.args.first().map_or("", String::as_str)
    }

    /// Rows of columns; the first line is their names.
    pub(super) fn table(&self) -> Vec<Vec<&str>> {
        self.lines.iter().skip(1).map(|line| columns(line)).collect()
    }

    pub(super) fn cases(&self) -> Vec<Case<'_>> {
        let mut cases = Vec::<Case<'_>>::new();
        for line in self.lines.iter().filter(|line| !line.is_empty()) {
            match line.strip_prefix("# ") {
                Some(title) => cases.push(Case { title, rows: Vec::new() }),
                None => cases.last_mut().unwrap().rows.push(columns(line)),
            }
        }
        cases
    }

    /// The bytes of a hexdump. Its offsets must be right, and so must a note that quotes what stands there.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for line in &self.lines {
            let row = columns(line);
            assert_eq!(usize::from_str_radix(row[0], 16).unwrap(), all.len(), "{line}");
            let bytes = hex(row[1]);
            if let Some(quoted) = row.get(2).and_then(|note| note.strip_prefix('"')) {
                let text = quoted.rsplit_once('"').unwrap().0;
                assert_eq!(unescape(text), bytes, "{line}");
            }
            all.extend(bytes);
        }
        all
    }
}

/// What two spaces or more divide.
pub(super) fn columns(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect()
}

/// `63 61 66`.
pub(super) fn hex(text: &str) -> Vec<u8> {
    text.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// `\xNN` is a byte.
pub(super) fn unescape(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        let (byte, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(byte, 16).unwrap());
        bytes.extend_from_slice(rest.as_bytes());
    }
    bytes
}
