//! What differs between the configuration that is in force and the one that was read anew.

use std::fmt;

use super::{Config, Origin, Row, Scope, TABLES};

/// An option that has another value than before.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What is in force.
    pub before: Row,
    /// What was read.
    pub now: Row,
    /// When a reload puts it into force; `None` where that needs a restart.
    pub live: Option<&'static str>,
}

impl Config {
    /// What `read` has that this has not, in the order of the table. Where a value comes from is no difference.
    #[must_use]
    pub fn changes(&self, read: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        for now in &read.rows {
            let before = self.row(now.section, now.name).or_else(|| self.shared_row(now));
            changes.extend(before.filter(|before| before.value != now.value).map(|before| Change {
                before: before.clone(),
                now: now.clone(),
                live: live(now.name),
            }));
        }
        // An option that the daemons saw differently, and do no more.
        for before in self.rows.iter().filter(|row| read.row(row.section, row.name).is_none()) {
            let now = read.shared_row(before);
            changes.extend(now.filter(|now| before.value != now.value).map(|now| Change {
                before: before.clone(),
                now: now.clone(),
                live: live(before.name),
            }));
        }
        changes
    }

    /// The row of an option of every daemon, by that of one of them.
    fn shared_row(&self, row: &Row) -> Option<&Row> {
        self.row(Scope::Node.section(), row.name)
    }
}

fn live(name: &str) -> Option<&'static str> {
    TABLES.iter().flat_map(|table| table.iter()).find(|spec| spec.name == name)?.live
}

impl Change {
    /// Has `rows` say what is in force now. A daemon that sees a shared option in its own way has a row of its own for it,
    /// for as long as it does.
    pub fn apply(&self, rows: &mut Vec<Row>) {
        let Self { before, now, .. } = self;
        if now.section != before.section && now.section == Scope::Node.section() {
            rows.retain(|row| (row.section, row.name) != (before.section, before.name));
        }
        match rows.iter_mut().find(|row| (row.section, row.name) == (now.section, now.name)) {
            Some(row) => *row = now.clone(),
            None => rows.push(now.clone()),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, now, .. } = self;
        write!(f, "[{}] {} = {} (was {}", now.section, now.name, now.value, before.value)?;
        if now.origin != Origin::Default {
            write!(f, "; {}", now.origin)?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(section: &'static str, value: &str) -> Row {
        Row { section, name: "conn_timeout", value: value.to_owned(), origin: Origin::Default, doc: "" }
    }

    #[test]
    fn what_one_daemon_sees_in_its_own_way_leaves_what_all_see() {
        let (shared, own) = (row("DEFAULT", "1"), row("object-replicator", "2"));
        let mut rows = vec![shared.clone()];
        Change { before: shared.clone(), now: own.clone(), live: None }.apply(&mut rows);
        assert_eq!(rows, [shared.clone(), own.clone()]);
        Change { before: own, now: shared.clone(), live: None }.apply(&mut rows);
        assert_eq!(rows, [shared]);
    }
}
