//! Which of several settings of one option counts: flag over environment over file over default.

use std::{collections::BTreeMap, fmt};

use ssync_conf::{Conf, ConfError, Entry, Section};

use super::{
    mistake::Mistake,
    options::{OptionSpec, Scope},
    value::OptionValue,
};

/// What a variable's name begins with.
pub(super) const ENVIRONMENT_PREFIX: &str = "SSYNC_";

/// Variables that begin alike but belong to the program's command line.
pub(super) const ENVIRONMENT_RESERVED: [&str; 1] = ["SSYNC_CONF"];

/// Options whose values are shown to nobody. (Of keys and certificates the file says only where they are.)
const SECRETS: [&str; 1] = ["log_anonymization_salt"];

/// What is shown in their place.
const HIDDEN: &str = "(hidden)";

/// One setting from the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagSetting {
    /// The option's address: `devices`, `replicator.interval`.
    pub option: String,
    /// The value.
    pub value: String,
    /// The flag as it was typed, for example `--devices`.
    pub flag: String,
}

impl FlagSetting {
    /// The setting `OPTION=VALUE` of the flag `flag`; `None` without a `=`.
    #[must_use]
    pub fn parse(flag: &str, text: &str) -> Option<Self> {
        let (option, value) = text.split_once('=')?;
        Some(Self { option: option.trim().to_owned(), value: value.trim().to_owned(), flag: flag.to_owned() })
    }
}

/// Everything that can set an option, weakest first.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// The configuration file, or the files of a directory.
    pub conf: Option<Conf>,
    /// Variables; those without the prefix are not looked at.
    pub environment: BTreeMap<String, String>,
    /// From the command line; the last one of an option counts.
    pub flags: Vec<FlagSetting>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of a file.
    File(ssync_conf::Origin),
    /// A variable.
    Environment(String),
    /// A flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(line) => line.fmt(f),
            Self::Environment(name) => write!(f, "${name}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// One option with the value that counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The section whose reader sees this value.
    pub section: &'static str,
    /// The option.
    pub name: &'static str,
    /// The value, as text.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
    /// What the option does.
    pub doc: &'static str,
}

/// How a daemon sees the file: its own section, with what it inherits.
#[derive(Debug)]
pub(super) struct View {
    /// Prefix of its own flags and variables.
    scope: Scope,
    section: Section,
}

impl View {
    /// The view of the section `name`, which is that of `scope` by whatever name. Where paste reads a section, and where
    /// `[DEFAULT]` counts, is Swift's to say; `[ssync]` is ours alone and inherits nothing.
    pub(super) fn of(scope: Scope, name: &str, conf: Option<&Conf>) -> Result<Self, ConfError> {
        let Some(conf) = conf else { return Ok(Self { scope, section: Section::new(name) }) };
        let section = match conf.find(name)? {
            Some(section) => section,
            None => conf.defaults(name)?,
        };
        let section = if scope == Scope::Ssync { own(&section, &conf.defaults(name)?) } else { section };
        Ok(Self { scope, section })
    }

    /// The names that stand in the section.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.section.iter()
    }
}

/// What a section says itself: an inherited value has the line of the one in `[DEFAULT]`.
fn own(section: &Section, defaults: &Section) -> Section {
    let mut own = Section::new(section.name());
    for (name, entry) in section.iter() {
        if defaults.get(name).map(Entry::origin) != Some(entry.origin()) {
            own.insert(name, entry.clone());
        }
    }
    own
}

/// Reads options by way of one view, and keeps what it found: values, mistakes, warnings.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    layers: &'a Layers,
    view: &'a View,
    /// One row for each option read.
    pub(super) rows: Vec<Row>,
    /// Values that could not be read.
    pub(super) mistakes: Vec<Mistake>,
    /// What was accepted but looks wrong.
    pub(super) warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(layers: &'a Layers, view: &'a View) -> Self {
        Self { layers, view, rows: Vec::new(), mistakes: Vec::new(), warnings: Vec::new() }
    }

    /// The value of an option. What is wrong with it is kept in `mistakes`, and there is no value then.
    pub(super) fn value<T: OptionValue>(&mut self, spec: &'static OptionSpec) -> Option<T> {
        let (text, origin) = match self.setting(spec) {
            // Whoever set it to nothing has not set it (Swift: `conf.get(x) or default`).
            (text, _) if text.is_empty() && T::EMPTY_IS_DEFAULT => (spec.default.to_owned(), Origin::Default),
            setting => setting,
        };
        let origin_is_default = origin == Origin::Default;
        let section = self.view.scope.section();
        if let Some(doubt) = T::doubt(&text) {
            self.warnings.push(format!("{origin}: [{section}] {}: {doubt}", spec.name));
        }
        if let (Some(why), false) = (spec.unused, origin_is_default) {
            self.warnings.push(format!("{origin}: [{section}] {} changes nothing: {why}", spec.name));
        }
        let value = T::parse(&text);
        if value.is_none() {
            self.mistakes.push(Mistake {
                origin: origin.clone(),
                section: section.to_owned(),
                name: spec.name.to_owned(),
                problem: format!("{text:?} is not {}", spec.form),
            });
        }
        let is_secret = SECRETS.contains(&spec.name) && !text.is_empty();
        let shown = if is_secret { HIDDEN.to_owned() } else { text };
        self.rows.push(Row { section, name: spec.name, value: shown, origin, doc: spec.doc });
        value
    }

    /// The text that counts, and where it comes from.
    fn setting(&self, spec: &OptionSpec) -> (String, Origin) {
        self.flag(spec)
            .or_else(|| self.variable(spec))
            .or_else(|| self.written(spec.name))
            .unwrap_or_else(|| (spec.default.to_owned(), Origin::Default))
    }

    fn flag(&self, spec: &OptionSpec) -> Option<(String, Origin)> {
        let addresses = addresses(spec, self.view.scope);
        addresses.iter().find_map(|address| {
            let setting = self.layers.flags.iter().rev().find(|setting| setting.option == *address)?;
            Some((setting.value.trim().to_owned(), Origin::Flag(setting.flag.clone())))
        })
    }

    fn variable(&self, spec: &OptionSpec) -> Option<(String, Origin)> {
        let addresses = addresses(spec, self.view.scope);
        addresses.iter().map(|address| variable(address)).find_map(|name| {
            let value = self.layers.environment.get(&name)?;
            Some((value.trim().to_owned(), Origin::Environment(name)))
        })
    }

    fn written(&self, name: &str) -> Option<(String, Origin)> {
        let entry = self.view.section.get(name)?;
        Some((entry.value().trim().to_owned(), Origin::File(entry.origin().clone())))
    }
}

/// The addresses that set an option for one view, the more particular first.
pub(super) fn addresses(spec: &OptionSpec, view: Scope) -> Vec<String> {
    let own = match view.prefix() {
        "" => spec.name.to_owned(),
        prefix => format!("{prefix}.{}", spec.name),
    };
    let shared = (spec.scope == Scope::Node && !view.prefix().is_empty()).then(|| spec.name.to_owned());
    [Some(own), shared].into_iter().flatten().collect()
}

/// The variable of an address: `replicator.interval` is set by `SSYNC_REPLICATOR_INTERVAL`.
pub(super) fn variable(address: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", address.replace('.', "_").to_ascii_uppercase())
}
