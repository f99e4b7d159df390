//! What a daemon that was called by Swift's name does with its standard output and error.

use std::{fs::File, io, os::fd::AsFd};

use rustix::{
    fs::{FileType, fstat},
    stdio::{dup2_stderr, dup2_stdout},
};

/// swift-init reads what a daemon says until the daemon closes it, which Swift's do as soon as they serve (Swift:
/// common/manager Server.wait, common/utils capture_stdio). Only pipes are let go: a file or the journal goes on.
pub(crate) fn let_go_of_pipes() -> io::Result<()> {
    let nowhere = File::options().read(true).write(true).open("/dev/null")?;
    if is_pipe(io::stderr())? {
        tracing::warn!("serving; no more is logged: standard error is a pipe, and is closed for swift-init");
        dup2_stderr(&nowhere)?;
    }
    if is_pipe(io::stdout())? {
        dup2_stdout(&nowhere)?;
    }
    Ok(())
}

/// The same for standard output alone, whatever it is.
pub(crate) fn let_go_of_output() -> io::Result<()> {
    Ok(dup2_stdout(File::options().read(true).write(true).open("/dev/null")?)?)
}

fn is_pipe(stream: impl AsFd) -> io::Result<bool> {
    Ok(FileType::from_raw_mode(fstat(stream)?.st_mode) == FileType::Fifo)
}
