//! With which code a command ends, and what a service manager may make of it (sysexits.h, where that has a fitting one).

use std::{io, process::ExitCode};

use ssync_ring::SwiftConfError;
use ssync_runtime::{ConfigError, InheritError, ListenError, TelemetryError};

use crate::commands::running::NotThere;

/// One code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exit {
    /// The number.
    pub code: u8,
    /// Its name in sysexits.h, or a word of ours.
    pub name: &'static str,
    /// When a command ends with it.
    pub meaning: &'static str,
}

/// All that there are.
pub(crate) const CODES: [Exit; 8] =
    [OK, UNFINISHED, USAGE, UNAVAILABLE, SOFTWARE, OS_ERROR, NO_PERMISSION, CONFIG];

pub(crate) const OK: Exit = Exit {
    code: 0,
    name: "EX_OK",
    meaning: "Everything was done. A daemon: it was told to go, and all that it had begun came to its end.",
};
pub(crate) const UNFINISHED: Exit = Exit {
    code: 1,
    name: "unfinished",
    meaning: "Something was not done: work was broken off at `drain_timeout` or by a second signal; a pass or a push left \
              something; `ssync object`, `partition`, `verify`, `demo` and `conformance` found something wrong; or an error that has no \
              code of its own.",
};
pub(crate) const USAGE: Exit = Exit {
    code: 2,
    name: "usage",
    meaning: "The command line is not understood, or `ssync object`, `partition` or `verify` cannot ask.",
};
pub(crate) const UNAVAILABLE: Exit = Exit {
    code: 69,
    name: "EX_UNAVAILABLE",
    meaning: "What it needs is not there: no daemon answers that could be asked, or an address to listen on is in use or not \
              this host's. Worth another try.",
};
pub(crate) const SOFTWARE: Exit = Exit {
    code: 70,
    name: "EX_SOFTWARE",
    meaning: "A daemon could not go on by itself, though nobody had told it to go; what it had begun came to its end or was \
              broken off. Start it again.",
};
pub(crate) const OS_ERROR: Exit = Exit {
    code: 71,
    name: "EX_OSERR",
    meaning: "The system refuses what every program gets: threads, signals, descriptors.",
};
pub(crate) const NO_PERMISSION: Exit = Exit {
    code: 77,
    name: "EX_NOPERM",
    meaning: "The user that it runs as may not: listen there, open this, become `user`.",
};
pub(crate) const CONFIG: Exit = Exit {
    code: 78,
    name: "EX_CONFIG",
    meaning: "The configuration cannot be used: object-server.conf, swift.conf, certificates, a variable, a socket unit. No use in \
              trying again (`RestartPreventExitStatus=78`).",
};

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code)
    }
}

/// The codes, for `--help`.
pub(crate) fn help() -> String {
    let lines = CODES.iter().map(|Exit { code, meaning, .. }| format!("\n  {code:3}  {meaning}"));
    format!("Exit codes:{}", lines.collect::<String>())
}

/// The system refuses what every program gets.
#[derive(Debug, thiserror::Error)]
#[error("the system refuses {what}: {source}")]
pub(crate) struct Refused {
    /// What.
    pub what: &'static str,
    /// Why.
    pub source: io::Error,
}

/// What the configuration says cannot be used; the context of an error that has no code of its own.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unusable(pub &'static str);

/// The code of an error that ended a command: that of the first cause that has one.
pub(crate) fn of(error: &anyhow::Error) -> Exit {
    let of_context = || error.is::<Unusable>().then_some(CONFIG);
    error.chain().find_map(of_cause).or_else(of_context).unwrap_or(UNFINISHED)
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if cause.is::<ConfigError>()
        || cause.is::<SwiftConfError>()
        || cause.is::<InheritError>()
        || cause.is::<TelemetryError>()
    {
        return Some(CONFIG);
    }
    if cause.is::<NotThere>() {
        return Some(UNAVAILABLE);
    }
    if cause.is::<Refused>() {
        return Some(OS_ERROR);
    }
    match cause.downcast_ref::<ListenError>() {
        Some(ListenError::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
            return Some(NO_PERMISSION);
        }
        Some(ListenError::NotASocket(_)) => return Some(CONFIG),
        Some(ListenError::InUse { .. } | ListenError::Io { .. }) => return Some(UNAVAILABLE),
        None => {}
    }
    let denied = cause
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
        || cause
            .downcast_ref::<rustix::io::Errno>()
            .is_some_and(|errno| matches!(*errno, rustix::io::Errno::PERM | rustix::io::Errno::ACCESS));
    denied.then_some(NO_PERMISSION)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    fn listen_error(kind: io::ErrorKind) -> ListenError {
        ListenError::Io { address: "127.0.0.1:1".parse().unwrap(), source: kind.into() }
    }

    #[test]
    fn an_error_has_the_code_of_its_cause_however_deep() {
        let in_use =
            ListenError::InUse { address: "127.0.0.1:1".parse().unwrap(), waited: std::time::Duration::ZERO };
        let cases: Vec<(anyhow::Error, Exit)> = vec![
            (ConfigError::Mistakes(Vec::new()).into(), CONFIG),
            (in_use.into(), UNAVAILABLE),
            (listen_error(io::ErrorKind::AddrNotAvailable).into(), UNAVAILABLE),
            (listen_error(io::ErrorKind::PermissionDenied).into(), NO_PERMISSION),
            (rustix::io::Errno::PERM.into(), NO_PERMISSION),
            (NotThere("nobody".to_owned()).into(), UNAVAILABLE),
            (Refused { what: "threads", source: io::ErrorKind::OutOfMemory.into() }.into(), OS_ERROR),
            (anyhow::anyhow!("whatever"), UNFINISHED),
            (anyhow::anyhow!("whatever").context(Unusable("a certificate cannot be used")), CONFIG),
            (Unusable("this and that belong together").into(), CONFIG),
        ];
        for (error, wanted) in cases {
            let text = format!("{error:#}");
            assert_eq!(of(&Err::<(), _>(error).context("more").unwrap_err()), wanted, "{text}");
        }
    }

    #[test]
    fn each_code_is_there_once() {
        let mut codes: Vec<u8> = CODES.iter().map(|exit| exit.code).collect();
        codes.dedup();
        assert_eq!(codes.len(), CODES.len());
        assert!(codes.is_sorted());
    }
}
