//! The lines of a configuration file, by the rules of Python's ConfigParser (Lib/configparser.py `RawConfigParser._read`).

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use crate::{ConfError, Origin};

/// Which of Swift's two ways to read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// A service's: keys keep their case, and a `%` that begins no `%(name)s` is a `%`.
    Service,
    /// swift.conf's, which is Python's own: keys are lower case, and `%%` stands for `%`.
    SwiftConf,
}

impl Dialect {
    /// A key as it is looked up.
    pub(crate) fn key(self, key: &str) -> String {
        match self {
            Self::Service => key.to_owned(),
            Self::SwiftConf => key.to_lowercase(),
        }
    }
}

/// The section whose options all others inherit.
pub(crate) const DEFAULT: &str = "DEFAULT";

/// An option as it is written, before interpolation.
#[derive(Debug, Clone)]
pub(crate) struct Raw {
    pub(crate) value: String,
    pub(crate) origin: Origin,
}

pub(crate) type Options = BTreeMap<String, Raw>;

/// All that a file, or several, say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sections {
    pub(crate) defaults: Options,
    pub(crate) sections: BTreeMap<String, Options>,
}

impl Sections {
    fn options_mut(&mut self, section: &str) -> &mut Options {
        if section == DEFAULT {
            return &mut self.defaults;
        }
        self.sections.entry(section.to_owned()).or_default()
    }

    /// Adds what a file says to what those before it said.
    pub(crate) fn read(&mut self, text: &str, source: &Arc<str>, dialect: Dialect) -> Result<(), ConfError> {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let mut reader = Reader {
            sections: self,
            source: Arc::clone(source),
            dialect,
            seen: HashSet::new(),
            section: None,
            option: None,
            indent: 0,
        };
        for (index, line) in text.lines().enumerate() {
            reader.line(line, index + 1)?;
        }
        let all = self.sections.values_mut().chain([&mut self.defaults]);
        for raw in all.flat_map(BTreeMap::values_mut) {
            raw.value.truncate(raw.value.trim_end().len());
        }
        Ok(())
    }
}

/// A file being read.
struct Reader<'a> {
    sections: &'a mut Sections,
    source: Arc<str>,
    dialect: Dialect,
    /// Sections and options of this file: here each may stand once, while a later file may repeat them.
    seen: HashSet<(String, Option<String>)>,
    section: Option<String>,
    option: Option<String>,
    /// How far the line was indented that began the option at hand.
    indent: usize,
}

impl Reader<'_> {
    fn line(&mut self, line: &str, number: usize) -> Result<(), ConfError> {
        let value = line.trim();
        if value.starts_with(['#', ';']) {
            return Ok(());
        }
        if value.is_empty() {
            // An empty line may lie within a value of several lines.
            self.continue_option("");
            return Ok(());
        }
        let indent = line.chars().position(|c| !c.is_whitespace()).unwrap_or(0);
        if indent > self.indent && self.continue_option(value) {
            return Ok(());
        }
        self.indent = indent;
        match section_header(value) {
            Some(name) => self.begin_section(name, number),
            None => self.begin_option(value, number),
        }
    }

    /// Adds a line to the option at hand, if there is one.
    fn continue_option(&mut self, line: &str) -> bool {
        let (Some(section), Some(option)) = (&self.section, &self.option) else { return false };
        let Some(raw) = self.sections.options_mut(section).get_mut(option) else { return false };
        raw.value.push('\n');
        raw.value.push_str(line);
        true
    }

    fn begin_section(&mut self, name: &str, number: usize) -> Result<(), ConfError> {
        let first = self.seen.insert((name.to_owned(), None));
        if name != DEFAULT && !first {
            return Err(
                self.error(number, format!("section [{name}] stands here a second time; join the two"))
            );
        }
        self.sections.options_mut(name);
        self.section = Some(name.to_owned());
        self.option = None;
        Ok(())
    }

    fn begin_option(&mut self, value: &str, number: usize) -> Result<(), ConfError> {
        let Some(section) = self.section.clone() else {
            return Err(self.error(number, "an option stands before the first [section]".to_owned()));
        };
        let Some((key, value)) =
            value.split_once(['=', ':']).map(|(key, value)| (key.trim_end(), value.trim()))
        else {
            return Err(self.error(number, format!("{value:?} is neither `key = value` nor a [section]")));
        };
        if key.is_empty() {
            return Err(self.error(number, format!("the value {value:?} has no key")));
        }
        let key = self.dialect.key(key);
        if !self.seen.insert((section.clone(), Some(key.clone()))) {
            return Err(self.error(number, format!("{key} is set a second time in [{section}]; remove one")));
        }
        let raw = Raw { value: value.to_owned(), origin: Origin::line(Arc::clone(&self.source), number) };
        self.sections.options_mut(&section).insert(key.clone(), raw);
        self.option = Some(key);
        Ok(())
    }

    fn error(&self, number: usize, problem: String) -> ConfError {
        ConfError::Line { origin: Origin::line(Arc::clone(&self.source), number), problem }
    }
}

/// The name between the first bracket and the last; what follows the last is ignored.
fn section_header(value: &str) -> Option<&str> {
    let inner = value.strip_prefix('[')?;
    inner.rsplit_once(']').map(|(name, _)| name).filter(|name| !name.is_empty())
}
