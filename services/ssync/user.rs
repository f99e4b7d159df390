//! Who a daemon runs as: root gives way to the option `user`, as in Swift's daemons.

use std::fs;

use anyhow::Context as _;
use rustix::{
    process::{Gid, Uid},
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};
use ssync_runtime::{Config, ConfigError, Mistake, Origin};

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
const OPTION: &str = "user";
/// Sections by way of which a daemon may see the option.
const SECTIONS: [&str; 2] = ["DEFAULT", "app:object-server"];
const REPLICATOR_SECTIONS: [&str; 2] = ["DEFAULT", "object-replicator"];

/// An account of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Account {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

/// Turns root into the configured user (Swift: common/utils drop_privileges). To be called before there is a second
/// thread: the kernel changes one thread alone.
pub(crate) fn give_up_root(config: &Config, is_replicator: bool) -> anyhow::Result<()> {
    let (node, sections) =
        if is_replicator { (&config.replicator_node, REPLICATOR_SECTIONS) } else { (&config.node, SECTIONS) };
    let row = sections.iter().find_map(|section| config.row(section, OPTION));
    let origin = row.map_or(Origin::Default, |row| row.origin.clone());
    // A host, or an image, without these files has no accounts.
    let (passwd, group) =
        (fs::read_to_string(PASSWD).unwrap_or_default(), fs::read_to_string(GROUP).unwrap_or_default());
    match account(&passwd, &group, &node.user) {
        Some(account) if account.uid == 0 => Ok(()),
        Some(account) => {
            become_account(&account).with_context(|| format!("root cannot become {} (user)", node.user))
        }
        None => no_account(&node.user, origin),
    }
}

/// Sets the niceness that is asked for (Swift: common/utils modify_priority); where none is, a replicator gives way to what
/// serves clients. To be called before there is a second thread: those that come have it from this one. One that cannot be had
/// is no reason not to start.
pub(crate) fn set_niceness(config: &Config, is_replicator: bool) {
    let node = if is_replicator { &config.replicator_node } else { &config.node };
    let Some(niceness) = node.nice_priority else {
        if is_replicator {
            ssync_background::give_way();
        }
        return;
    };
    if let Err(error) = rustix::process::setpriority_process(None, niceness) {
        eprintln!("ssync: nice_priority = {niceness} was not set: {error}");
    } else if is_replicator {
        // It has nobody to give way to but other processes, and how far is said.
        ssync_background::set_niceness(niceness);
    }
}

/// Nobody chose the default, so it is no reason not to start.
fn no_account(user: &str, origin: Origin) -> anyhow::Result<()> {
    if origin == Origin::Default {
        eprintln!(
            "ssync: runs as root, and its files will be root's: there is no user {user:?} (option user)"
        );
        return Ok(());
    }
    let problem = format!("{user:?} is not in {PASSWD}; make the account, or name one that exists");
    let mistake = Mistake { origin, section: SECTIONS[0].to_owned(), name: OPTION.to_owned(), problem };
    Err(ConfigError::Mistakes(vec![mistake]).into())
}

fn become_account(account: &Account) -> rustix::io::Result<()> {
    let groups: Vec<Gid> = account.groups.iter().copied().map(Gid::from_raw).collect();
    let (gid, uid) = (Gid::from_raw(account.gid), Uid::from_raw(account.uid));
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}

/// The account `name` by the texts of passwd(5) and group(5).
fn account(passwd: &str, group: &str, name: &str) -> Option<Account> {
    let fields = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = fields.into_iter().find(|fields| fields.first() == Some(&name))?;
    let number = |at: usize| found.get(at).and_then(|text| text.parse().ok());
    let groups = group.lines().filter_map(|line| match line.split(':').collect::<Vec<_>>().as_slice() {
        [_, _, gid, members] if members.split(',').any(|member| member == name) => gid.parse().ok(),
        _ => None,
    });
    Some(Account { uid: number(2)?, gid: number(3)?, groups: groups.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD_TEXT: &str = "root:x:0:0:root:/root:/bin/sh\nswifty:x:7:8::/:/bin/false\n\
                               swift:x:160:161:Swift:/srv:/bin/false\nbroken:x:many:1::/:/bin/sh\n";
    const GROUP_TEXT: &str = "root:x:0:\nswift:x:161:\ndisk:x:6:other,swift\nadm:x:4:swifty\n";

    #[test]
    fn an_account_is_found_by_its_whole_name_with_its_groups() {
        let found = account(PASSWD_TEXT, GROUP_TEXT, "swift");
        assert_eq!(found, Some(Account { uid: 160, gid: 161, groups: vec![6] }));
        for nobody in ["swif", "", "broken", "x"] {
            assert_eq!(account(PASSWD_TEXT, GROUP_TEXT, nobody), None, "{nobody:?}");
        }
        assert_eq!(account("", "", "swift"), None);
    }

    #[test]
    fn a_user_that_was_chosen_has_to_exist() {
        assert!(no_account("swift", Origin::Default).is_ok());
        let refused = no_account("swfit", Origin::Flag("--set".to_owned())).unwrap_err();
        assert!(refused.downcast_ref::<ConfigError>().is_some(), "exit code 78");
        assert!(refused.to_string().contains("swfit"), "{refused}");
    }
}
