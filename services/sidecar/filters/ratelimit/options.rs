//! The options of the rate limit, and the file that overrides them.

use std::{collections::BTreeMap, io, path::PathBuf, time::Duration};

use ssync_conf::{Conf, ConfError, Section};

/// Methods that count. An object server has no UPDATE, but Swift's filter has.
pub(super) const METHODS: [&str; 7] = ["GET", "HEAD", "PUT", "POST", "DELETE", "UPDATE", "REPLICATE"];
/// The section of the file.
const SECTION: &str = "backend_ratelimit";

/// The limit, as the server is told at its start.
#[derive(Debug, Clone)]
pub struct RatelimitConfig {
    /// What counts where the file says nothing.
    pub options: RateOptions,
    /// `backend_ratelimit_conf_path`: the file.
    pub path: PathBuf,
    /// Somebody named the file, so that it is news when it is not there.
    pub path_is_set: bool,
    /// `config_reload_interval`: zero for one look at the start only.
    pub reload_interval: Duration,
}

/// Options that the file can override.
#[derive(Debug, Clone, PartialEq)]
pub struct RateOptions {
    /// `requests_per_device_per_second`.
    pub per_device: f64,
    /// `requests_per_device_rate_buffer`, in seconds.
    pub buffer: f64,
    /// `METHOD_requests_per_device_per_second`, by method in capitals. A method that is not there has no limit.
    pub methods: BTreeMap<&'static str, f64>,
}

impl Default for RateOptions {
    fn default() -> Self {
        Self { per_device: 0.0, buffer: 1.0, methods: BTreeMap::new() }
    }
}

/// The limits in force.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rates(RateOptions);

/// What a look at the file has found.
#[derive(Debug)]
pub(super) enum Found {
    Rates(Rates),
    NoFile(String),
    Bad(String),
}

impl RateOptions {
    pub(super) fn rates(&self) -> Rates {
        Rates(self.clone())
    }

    fn overridden_by(&self, section: &Section) -> Result<Self, ConfError> {
        let rate = |key: &str, known: f64| section.float(key, known, 0.0..=f64::MAX);
        let method = |method: &'static str| {
            let key = format!("{}_requests_per_device_per_second", method.to_ascii_lowercase());
            Ok((method, rate(&key, self.methods.get(method).copied().unwrap_or_default())?))
        };
        Ok(Self {
            per_device: rate("requests_per_device_per_second", self.per_device)?,
            buffer: rate("requests_per_device_rate_buffer", self.buffer)?,
            methods: METHODS.into_iter().map(method).collect::<Result<_, _>>()?,
        })
    }
}

impl Rates {
    pub(super) fn any(&self) -> bool {
        self.0.per_device > 0.0 || self.0.methods.values().any(|rate| *rate > 0.0)
    }

    /// Of a method, or of all together.
    pub(super) fn of(&self, method: Option<&str>) -> f64 {
        match method {
            None => self.0.per_device,
            Some(method) => self.0.methods.get(method).copied().unwrap_or_default(),
        }
    }

    pub(super) fn buffer(&self) -> f64 {
        self.0.buffer
    }
}

/// Reads the file, over the options. Blocks.
pub(super) fn read(config: &RatelimitConfig) -> Found {
    let conf = match Conf::load(&config.path) {
        Ok(conf) => conf,
        Err(ConfError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Found::NoFile(source.to_string());
        }
        Err(error) => return Found::Bad(error.to_string()),
    };
    match conf.section(SECTION).and_then(|section| config.options.overridden_by(&section)) {
        Ok(options) => Found::Rates(options.rates()),
        Err(error) => Found::Bad(error.to_string()),
    }
}
