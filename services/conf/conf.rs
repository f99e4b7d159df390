//! A configuration file, or a directory of them.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    ConfError, Entry, Origin, Section,
    interpolate::interpolate,
    parse::{Dialect, Options, Raw, Sections},
};

/// Largest configuration file that is read.
pub const CONF_BYTES_MAX: u64 = 4 << 20;

/// Most files that a conf.d directory may have.
pub const CONF_FILES_MAX: usize = 1024;

/// Sections that paste.deploy loads, each with its own idea of what [DEFAULT] means.
const PASTE_SECTIONS: [&str; 5] = ["app:", "application:", "filter:", "composite:", "server:"];

/// A configuration file, or the files of a conf.d directory.
#[derive(Debug, Clone)]
pub struct Conf {
    name: String,
    dialect: Dialect,
    sections: Sections,
    /// What `%(here)s` and `%(__file__)s` stand for.
    built_in: Options,
}

impl Conf {
    /// Reads a file, or the `*.conf` files of a directory in the order of their names, where a later one wins.
    pub fn load(path: &Path) -> Result<Self, ConfError> {
        Self::load_as(path, Dialect::Service, |path, bytes| {
            String::from_utf8(bytes).map_err(|error| ConfError::File {
                path: path.to_owned(),
                problem: format!("is not UTF-8 at byte {}", error.utf8_error().valid_up_to()),
            })
        })
    }

    /// Reads swift.conf, as Swift does: by the rules of a plain ConfigParser, with keys in lower case and `%%` for `%`,
    /// and each byte being one character, since its salts need not be UTF-8 (Swift: common/utils validate_hash_conf).
    pub fn load_swift_conf(path: &Path) -> Result<Self, ConfError> {
        Self::load_as(path, Dialect::SwiftConf, |_, bytes| Ok(bytes.into_iter().map(char::from).collect()))
    }

    /// Reads the text of a file; `name` stands for the file in errors.
    pub fn parse(text: &str, name: impl Into<String>) -> Result<Self, ConfError> {
        let name = name.into();
        let mut sections = Sections::default();
        sections.read(text, &Arc::from(name.as_str()), Dialect::Service)?;
        Ok(Self { name, dialect: Dialect::Service, sections, built_in: Options::new() })
    }

    fn load_as(
        path: &Path,
        dialect: Dialect,
        decode: fn(&Path, Vec<u8>) -> Result<String, ConfError>,
    ) -> Result<Self, ConfError> {
        let failed = |source| ConfError::Io { path: path.to_owned(), source };
        let absolute = std::path::absolute(path).map_err(failed)?;
        let is_directory = fs::metadata(path).map_err(failed)?.is_dir();
        let (files, here) = match is_directory {
            true => (conf_files(path)?, absolute.as_path()),
            false => (vec![path.to_owned()], absolute.parent().unwrap_or(&absolute)),
        };
        let mut sections = Sections::default();
        for file in &files {
            let text = decode(file, read_bounded(file)?)?;
            sections.read(&text, &Arc::from(file.to_string_lossy()), dialect)?;
        }
        let built_in = [("here", here), ("__file__", &absolute)].map(|(key, path)| {
            let value = path.to_string_lossy().into_owned();
            (key.to_owned(), Raw { value, origin: Origin::named("the file's own path") })
        });
        Ok(Self { name: path.to_string_lossy().into_owned(), dialect, sections, built_in: built_in.into() })
    }

    /// The file or directory, as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of all sections but [DEFAULT], in order of the alphabet.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        self.sections.sections.keys().map(String::as_str)
    }

    /// Whether there is a section of this name.
    #[must_use]
    pub fn has_section(&self, name: &str) -> bool {
        self.sections.sections.contains_key(name)
    }

    /// A section with what it inherits; an error if there is none.
    pub fn section(&self, name: &str) -> Result<Section, ConfError> {
        self.find(name)?
            .ok_or_else(|| ConfError::NoSection { file: self.name.clone(), section: name.to_owned() })
    }

    /// A section with what it inherits, if there is one.
    pub fn find(&self, name: &str) -> Result<Option<Section>, ConfError> {
        let Some(options) = self.sections.sections.get(name) else { return Ok(None) };
        let is_paste = PASTE_SECTIONS.iter().any(|prefix| name.starts_with(prefix));
        if is_paste { self.paste_section(name, options) } else { self.plain_section(name, options) }.map(Some)
    }

    /// Which code paste would load for a filter's section: what its `use` says, or its `paste.filter_factory`.
    pub fn factory(&self, name: &str) -> Result<Option<Entry>, ConfError> {
        let Some(options) = self.sections.sections.get(name) else { return Ok(None) };
        let said = ["use", "paste.filter_factory"].iter().find_map(|key| options.get_key_value(*key));
        said.map(|(key, raw)| self.entry(key, raw, options)).transpose()
    }

    /// What [DEFAULT] alone says, as a section of this name that is not there would.
    pub fn defaults(&self, name: &str) -> Result<Section, ConfError> {
        self.plain_section(name, &Options::new())
    }

    /// A daemon's section: its own values, and [DEFAULT] for what it does not set (Swift: common/utils/config.py
    /// readconf).
    fn plain_section(&self, name: &str, options: &Options) -> Result<Section, ConfError> {
        let mut section = Section::new(name);
        for (key, raw) in self.sections.defaults.iter().chain(options) {
            section.insert(key, self.entry(key, raw, options)?);
        }
        Ok(section)
    }

    /// A server's section. Here [DEFAULT] wins over a plain `key = value`, and only `set key = value` overrides it (paste:
    /// deploy/loadwsgi.py ConfigLoader.get_context; Swift's factories then lay local values over the global ones).
    fn paste_section(&self, name: &str, options: &Options) -> Result<Section, ConfError> {
        let defaults = &self.sections.defaults;
        let (mut global, mut local) = (Section::new(name), Section::new(name));
        for (key, raw) in defaults {
            global.insert(key, self.entry(key, raw, &Options::new())?);
        }
        let mut copied = Vec::new();
        for (key, raw) in defaults.iter().filter(|(key, _)| !options.contains_key(*key)).chain(options) {
            let entry = self.entry(key, raw, options)?;
            if let Some(key) = key.strip_prefix("set ") {
                global.insert(key.trim(), entry);
            } else if let Some(key) = key.strip_prefix("get ") {
                copied.push((key.trim(), entry));
            } else if !defaults.contains_key(key) && !self.built_in.contains_key(key) {
                local.insert(key, entry);
            }
        }
        for (key, from) in copied {
            let entry =
                global.get(from.value()).cloned().ok_or_else(|| from.refused(key, "a key of [DEFAULT]"))?;
            local.insert(key, entry);
        }
        // Which code to load is paste's own business.
        local.remove("use");
        global.extend(local);
        Ok(global)
    }

    /// An option with its names filled in from its section, then from [DEFAULT].
    fn entry(&self, key: &str, raw: &Raw, options: &Options) -> Result<Entry, ConfError> {
        let lookup = |name: &str| {
            let name = self.dialect.key(name);
            let layers = [options, &self.sections.defaults, &self.built_in];
            layers.into_iter().find_map(|layer| layer.get(&name)).map(|raw| raw.value.as_str())
        };
        let value = interpolate(&raw.value, self.dialect, &lookup).map_err(|accepted| ConfError::Value {
            origin: raw.origin.clone(),
            key: key.to_owned(),
            value: raw.value.clone(),
            accepted,
        })?;
        Ok(Entry::new(value, raw.origin.clone()))
    }
}

/// The files of a conf.d directory. Unlike Swift, which skips a file that it cannot read, all must be readable.
fn conf_files(directory: &Path) -> Result<Vec<PathBuf>, ConfError> {
    let failed = |source| ConfError::Io { path: directory.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let is_conf =
            name.as_encoded_bytes().ends_with(b".conf") && !name.as_encoded_bytes().starts_with(b".");
        if is_conf && files.len() == CONF_FILES_MAX {
            return Err(file_error(directory, format!("has more than {CONF_FILES_MAX} *.conf files")));
        }
        if is_conf {
            files.push(directory.join::<&OsStr>(&name));
        }
    }
    if files.is_empty() {
        return Err(file_error(directory, "has no *.conf file".to_owned()));
    }
    files.sort();
    Ok(files)
}

fn read_bounded(file: &Path) -> Result<Vec<u8>, ConfError> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        fs::File::open(file)?.take(CONF_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|source| ConfError::Io { path: file.to_owned(), source })?;
    if bytes.len() as u64 > CONF_BYTES_MAX {
        return Err(file_error(file, format!("has more than {CONF_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

fn file_error(path: &Path, problem: String) -> ConfError {
    ConfError::File { path: path.to_owned(), problem }
}

#[cfg(test)]
mod tests;
