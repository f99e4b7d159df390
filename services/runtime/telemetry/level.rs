//! What is logged: at first what the configuration says, then what an operator says.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing_subscriber::EnvFilter;

use crate::config::{LogLevel, OptionValue as _};

/// Longest text that is read as a filter.
const DIRECTIVES_MAX: usize = 1024;

/// What a filter knows beside Swift's levels.
const LEVELS_OF_THE_FILTER: [&str; 2] = ["trace", "off"];

/// A filter that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LevelError {
    /// It is longer than anybody would write.
    #[error("a filter has at most {DIRECTIVES_MAX} bytes")]
    TooLong,
    /// It is neither a level nor of RUST_LOG's form.
    #[error(
        "{0:?} is neither DEBUG, INFO, NOTICE, WARNING, ERROR or CRITICAL nor a filter as RUST_LOG has it: {1}"
    )]
    Form(String, String),
    /// Logging is not this program's any more.
    #[error("what is logged cannot be changed")]
    Gone,
}

type Apply = dyn Fn(EnvFilter) -> bool + Send + Sync;

/// What is logged, and how that is changed. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct LogFilter {
    directives: Arc<Mutex<String>>,
    apply: Arc<Apply>,
}

impl fmt::Debug for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogFilter").field("directives", &self.current()).finish_non_exhaustive()
    }
}

impl LogFilter {
    /// `apply` puts a filter into force.
    pub(super) fn new(directives: String, apply: impl Fn(EnvFilter) -> bool + Send + Sync + 'static) -> Self {
        Self { directives: Arc::new(Mutex::new(directives)), apply: Arc::new(apply) }
    }

    /// What is logged now, as RUST_LOG would have it.
    #[must_use]
    pub fn current(&self) -> String {
        self.locked().clone()
    }

    /// Logs from now on what `text` says: one of Swift's levels, or a filter as RUST_LOG has it.
    pub fn set(&self, text: &str) -> Result<(), LevelError> {
        if text.len() > DIRECTIVES_MAX {
            return Err(LevelError::TooLong);
        }
        let wanted = match LogLevel::parse(text.trim()) {
            Some(level) => directives(level).to_owned(),
            // A word alone would name a module, of which there is none by that name.
            None if !text.contains('=') && !LEVELS_OF_THE_FILTER.contains(&text.trim()) => {
                return Err(LevelError::Form(text.to_owned(), "no such level".to_owned()));
            }
            None => text.trim().to_owned(),
        };
        let filter = EnvFilter::try_new(&wanted)
            .map_err(|error| LevelError::Form(text.to_owned(), error.to_string()))?;
        let mut current = self.locked();
        if !(self.apply)(filter) {
            return Err(LevelError::Gone);
        }
        *current = wanted;
        Ok(())
    }

    /// Logs what the configuration says, unless RUST_LOG does.
    pub fn follow(&self, level: LogLevel) -> Result<(), LevelError> {
        self.set(&directives_at_start(level))
    }

    fn locked(&self) -> MutexGuard<'_, String> {
        self.directives.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// RUST_LOG if it is set, else `level`.
pub(super) fn directives_at_start(level: LogLevel) -> String {
    let said = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|directives| !directives.trim().is_empty());
    said.unwrap_or_else(|| directives(level).to_owned())
}

/// Libraries stay a level above us: their details are ours only in RUST_LOG, and an exporter must not trace itself.
fn directives(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => {
            // Single objects are for traces; their lines are there for who asks for them by name.
            "debug,ssync::object=off,h2=warn,hyper=warn,hyper_util=warn,tonic=info,tower=info,opentelemetry=info"
        }
        LogLevel::Info => "info,h2=warn,hyper=warn,hyper_util=warn,tonic=warn,tower=warn,opentelemetry=warn",
        LogLevel::Warning => "warn",
        LogLevel::Error => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_is_a_good_filter() {
        for level in [LogLevel::Debug, LogLevel::Info, LogLevel::Warning, LogLevel::Error] {
            assert!(EnvFilter::try_new(directives(level)).is_ok(), "{level:?}");
        }
    }

    #[test]
    fn a_level_or_a_filter_is_put_into_force_and_nothing_else() {
        let applied = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&applied);
        let filter = LogFilter::new("info".to_owned(), move |filter| {
            seen.lock().unwrap().push(filter.to_string());
            true
        });
        filter.set("WARNING").unwrap();
        assert_eq!(filter.current(), "warn");
        filter.set("ssync_receiver=trace").unwrap();
        for bad in ["ssync=loud", "loud", "", &"x".repeat(DIRECTIVES_MAX + 1)] {
            assert!(filter.set(bad).is_err(), "{bad}");
        }
        assert_eq!(filter.current(), "ssync_receiver=trace");
        assert_eq!(*applied.lock().unwrap(), ["warn", "ssync_receiver=trace"]);
    }
}
