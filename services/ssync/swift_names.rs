//! Swift's names for its daemons: a link with such a name is that daemon, so that swift-init, units and scripts go on
//! working.

use std::{ffi::OsString, path::Path};

/// Turns Swift's way of calling (`swift-object-server CONF [verbose]`, `swift-object-replicator CONF [once] [-v]
/// [--devices=...]`) into ours; what was called otherwise comes back as it is.
pub(crate) fn translate(args: Vec<OsString>) -> Vec<OsString> {
    let name =
        args.first().map(Path::new).and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    match name.as_deref() {
        Some("swift-object-server") => daemon(&args, &["node", "--no-replicator", "--as-swift"]),
        Some("swift-object-replicator") => daemon(&args, &["replicator", "--as-swift"]),
        _ => args,
    }
}

fn daemon(args: &[OsString], command: &[&str]) -> Vec<OsString> {
    let mut ours: Vec<OsString> = args.first().cloned().into_iter().collect();
    ours.extend(command.iter().map(OsString::from));
    let (mut conf_seen, mut verbose_seen) = (false, false);
    for arg in args.iter().skip(1) {
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
    fn our_own_name_is_left_alone() {
        assert_eq!(translated("ssync demo --keep"), "ssync demo --keep");
    }
}
