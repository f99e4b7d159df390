//! What clients wrote, what they were told, and what may therefore stand.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use ssync_tests::Chance;

/// Longest body of most objects, and of one in [`LARGE_EVERY`].
const BODY_BYTES: usize = 4097;
const LARGE: usize = 300_000;
const LARGE_EVERY: usize = 16;

/// What a request leaves of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Absent,
    /// The body that one PUT brought, and the metadata that one POST has put on it.
    Present {
        put: String,
        post: Option<String>,
    },
}

/// One object: everything that was ever tried, and what may stand now.
///
/// An acknowledged write leaves one state. One whose answer was lost, or was an error, may have happened or not: what might
/// stand before it may still stand.
#[derive(Debug)]
pub(crate) struct History {
    possible: BTreeSet<State>,
    puts: BTreeSet<String>,
    posts: BTreeSet<String>,
}

impl Default for History {
    fn default() -> Self {
        Self { possible: [State::Absent].into(), puts: BTreeSet::new(), posts: BTreeSet::new() }
    }
}

impl History {
    pub(crate) fn put(&mut self, id: &str, acknowledged: bool) {
        self.puts.insert(id.to_owned());
        self.now([State::Present { put: id.to_owned(), post: None }].into(), acknowledged);
    }

    pub(crate) fn delete(&mut self, acknowledged: bool) {
        self.now([State::Absent].into(), acknowledged);
    }

    pub(crate) fn post(&mut self, id: &str, acknowledged: bool) {
        self.posts.insert(id.to_owned());
        let posted = |state: &State| match state {
            State::Absent => State::Absent,
            State::Present { put, .. } => State::Present { put: put.clone(), post: Some(id.to_owned()) },
        };
        self.now(self.possible.iter().map(posted).collect(), acknowledged);
    }

    fn now(&mut self, mut states: BTreeSet<State>, acknowledged: bool) {
        if !acknowledged {
            states.append(&mut self.possible);
        }
        self.possible = states;
    }

    pub(crate) fn may_be(&self, state: &State) -> bool {
        self.possible.contains(state)
    }

    /// The only state that it can be in.
    pub(crate) fn certain(&self) -> Option<&State> {
        self.possible.first().filter(|_| self.possible.len() == 1)
    }

    /// Whether it ever was like this. While nodes come and go, an older state may be read again.
    pub(crate) fn ever_was(&self, state: &State) -> bool {
        match state {
            State::Absent => true,
            State::Present { put, post } => {
                self.puts.contains(put) && post.as_ref().is_none_or(|post| self.posts.contains(post))
            }
        }
    }
}

/// All objects, by name.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) objects: BTreeMap<String, History>,
}

impl Ledger {
    pub(crate) fn history(&mut self, name: &str) -> &mut History {
        self.objects.entry(name.to_owned()).or_default()
    }

    /// The name of an object that is certainly so, and none of those.
    pub(crate) fn one_that_is(&self, so: impl Fn(&State) -> bool, taken: &[String]) -> Result<String> {
        let certain = self.objects.iter().filter(|(_, history)| history.certain().is_some_and(&so));
        let mut names = certain.map(|(name, _)| name).filter(|name| !taken.contains(name));
        names.next().cloned().context("no object is certainly so")
    }

    /// Another writer's objects; no name is written by two.
    pub(crate) fn merge(&mut self, other: Self) {
        self.objects.extend(other.objects);
    }
}

/// The name of a PUT, from which its body follows.
pub(crate) fn new_put(writer: usize, number: usize, chance: &mut Chance) -> String {
    let most = if chance.below(LARGE_EVERY) == 0 { LARGE } else { BODY_BYTES };
    format!("{writer}-{number}-{}", chance.below(most))
}

/// The body of a PUT.
pub(crate) fn body(put: &str) -> Vec<u8> {
    let size = put.rsplit('-').next().and_then(|size| size.parse().ok()).unwrap_or_default();
    put.bytes().chain([b'\n']).cycle().take(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(put: &str, post: Option<&str>) -> State {
        State::Present { put: put.to_owned(), post: post.map(str::to_owned) }
    }

    #[test]
    fn only_what_was_acknowledged_last_may_stand() {
        let mut history = History::default();
        history.put("a", true);
        history.post("p", true);
        assert_eq!(history.certain(), Some(&present("a", Some("p"))));
        history.put("b", true);
        assert_eq!(history.certain(), Some(&present("b", None)));
        assert!(!history.may_be(&present("a", Some("p"))));
        assert!(history.ever_was(&present("a", Some("p"))));
        assert!(!history.ever_was(&present("c", None)));
        history.delete(true);
        assert_eq!(history.certain(), Some(&State::Absent));
    }

    #[test]
    fn a_lost_answer_leaves_both() {
        let mut history = History::default();
        history.put("a", true);
        history.delete(false);
        history.post("p", true);
        assert!(history.may_be(&State::Absent));
        assert!(history.may_be(&present("a", Some("p"))));
        assert!(!history.may_be(&present("a", None)));
        history.put("b", false);
        assert!(history.may_be(&present("b", None)));
        assert!(history.may_be(&State::Absent));
        history.put("c", true);
        assert_eq!(history.certain(), Some(&present("c", None)));
    }

    #[test]
    fn a_body_tells_whose_it_is() {
        assert_eq!(body("1-2-5"), b"1-2-5");
        assert_eq!(body("1-2-0"), b"");
        assert_eq!(body("3-4-12").len(), 12);
    }
}
