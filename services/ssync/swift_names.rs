//! Swift's names for its daemons: a link with such a name is that daemon, so that swift-init, units and scripts go on
//! working.

use std::{ffi::OsString, os::unix::process::CommandExt as _, path::Path, process::Command};

/// Asks whether the configuration can be used (Swift: common/utils parse_options).
const TEST_CONFIG: &str = "--test-config";

/// Swift's server, which has a manager.
const SERVER: &str = "swift-object-server";

/// Starts this program again by its path, if it was called by the server's name alone: swift-reload knows a server by the
/// path in its command line, which Python's have, and a worker is started by that path.
pub(crate) fn call_by_path(args: &[OsString]) {
    let [name, rest @ ..] = args else { return };
    if name != SERVER {
        return;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(SERVER)).find(|file| file.is_file());
    if let Some(file) = found.filter(|file| file.is_absolute()) {
        // Returns only where that fails, and then it goes on as it is.
        let _ = Command::new(file).args(rest).exec();
    }
}

/// Turns Swift's way of calling (`swift-object-server CONF [verbose]`, `swift-object-replicator CONF [once] [-v]
/// [--devices=...]`) into ours; what was called otherwise comes back as it is.
pub(crate) fn translate(args: Vec<OsString>) -> Vec<OsString> {
    let name =
        args.first().map(Path::new).and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    match name.as_deref() {
        Some(SERVER) => daemon(&args, &["node", "--no-replicator", "--as-swift"]),
        Some("swift-object-replicator") => daemon(&args, &["replicator", "--as-swift"]),
        _ => args,
    }
}

fn daemon(args: &[OsString], command: &[&str]) -> Vec<OsString> {
    let mut ours: Vec<OsString> = args.first().cloned().into_iter().collect();
    let (checks, args): (Vec<&OsString>, Vec<&OsString>) =
        args.iter().partition(|arg| arg.to_str() == Some(TEST_CONFIG));
    // What swift-reload asks before it sends the signal (Swift: cli/reload.py).
    let command = if checks.is_empty() { command } else { &["config", "check"] };
    ours.extend(command.iter().map(OsString::from));
    let (mut conf_seen, mut verbose_seen) = (false, false);
    for arg in args.into_iter().skip(1) {
        match arg.to_str() {
            Some("once" | "-o" | "--once") => ours.push("--once".into()),
            // The word is what `swift-init --no-daemon` adds.
            Some("verbose" | "-v" | "--verbose") => {
                if !std::mem::replace(&mut verbose_seen, true) {
                    ours.push("--verbose".into());
                }
            }
            Some(text) if !text.starts_with('-') && !conf_seen => {
                conf_seen = true;
                ours.push("--conf".into());
                ours.push(arg.clone());
            }
            _ => ours.push(arg.clone()),
        }
    }
    ours
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str) -> String {
        let args = line.split(' ').map(OsString::from).collect();
        translate(args).iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn swifts_names_become_our_commands() {
        assert_eq!(
            translated("/usr/bin/swift-object-server /etc/swift/object-server/1.conf -v"),
            "/usr/bin/swift-object-server node --no-replicator --as-swift --conf /etc/swift/object-server/1.conf --verbose"
        );
        assert_eq!(
            translated("swift-object-server 1.conf verbose -v"),
            "swift-object-server node --no-replicator --as-swift --conf 1.conf --verbose"
        );
        assert_eq!(
            translated("swift-object-replicator 1.conf once --devices=sdb1,sdb2 -p 7"),
            "swift-object-replicator replicator --as-swift --conf 1.conf --once --devices=sdb1,sdb2 -p 7"
        );
    }

    #[test]
    fn a_question_about_the_configuration_starts_nothing() {
        assert_eq!(
            translated("/usr/bin/swift-object-server 1.conf --test-config"),
            "/usr/bin/swift-object-server config check --conf 1.conf"
        );
    }

    #[test]
    fn our_own_name_is_left_alone() {
        assert_eq!(translated("ssync demo --keep"), "ssync demo --keep");
    }
}
