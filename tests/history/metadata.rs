//! Bodies, metadata and deletions that reached different nodes: each part of the object that wins is the newest of its kind.
//!
//! Swift's own `test/probe/test_object_metadata_replication.py` tells these stories of stock nodes.

use anyhow::Result;

use crate::halves::{
    End, Halves,
    SeenBy::{All, OneAndHandoff, Two},
    Story, delete, post, put,
};

/// A test for each story, with four nodes of ours; and all of them together, with stock nodes.
macro_rules! stories {
    ($($story:ident),+ $(,)?) => {
        mod ours {
            $(#[test]
            fn $story() -> anyhow::Result<()> {
                super::Halves::of(&[1, 2, 3, 4])?.play(&[super::$story()])
            })+
        }
        fn all() -> Vec<Story> {
            vec![$($story()),+]
        }
    };
}

stories!(
    a_deletion_reaches_who_has_a_newer_body_and_later_a_newer_body_reaches_who_has_the_deletion,
    the_newest_body_is_joined_by_metadata_posted_to_older_ones,
    metadata_of_the_system_go_with_the_newest_body_and_what_was_posted_to_it_stays,
    metadata_posted_to_an_older_body_leave_the_system_metadata_of_the_newer_one,
    what_was_posted_before_the_newest_body_is_gone,
    a_posted_content_type_outlives_a_body_that_came_before_it,
    a_post_without_a_content_type_leaves_that_of_the_newest_body,
    the_newest_posted_content_type_outlives_a_later_post_without_one,
    the_last_of_two_posts_counts_and_the_content_type_of_the_newest_body,
    newer_metadata_persist_and_an_older_content_type_does_not,
    an_earlier_deletion_is_not_undone_by_a_later_post,
);

#[test]
fn with_two_stock_nodes_of_four() -> Result<()> {
    Halves::of(&[1, 2])?.play(&all())
}

#[test]
#[ignore = "long: run tests/run --full"]
fn with_one_stock_node_and_with_three() -> Result<()> {
    Halves::of(&[1, 3, 4])?.play(&all())?;
    Halves::of(&[3])?.play(&all())
}

/// What the stories take for granted of Swift itself.
#[test]
#[ignore = "long: run tests/run --full"]
fn all_is_stock() -> Result<()> {
    Halves::of(&[])?.play(&all())
}

const TYPE: &str = "Content-Type";
const SYSTEM: &str = "X-Object-Sysmeta-Test";
const COLOUR: &str = "X-Object-Meta-Colour";
const TRANSIENT: &str = "X-Object-Transient-Sysmeta-Test";
const PLAIN: (&str, &str) = (TYPE, "text/plain");

/// A story in one chapter.
fn story(name: &'static str, steps: Vec<crate::halves::Step>, end: End) -> Story {
    Story { name, chapters: vec![(steps, end)] }
}

fn a_deletion_reaches_who_has_a_newer_body_and_later_a_newer_body_reaches_who_has_the_deletion() -> Story {
    let first = vec![put(All, &[PLAIN], b"old"), put(OneAndHandoff, &[PLAIN], b"newer"), delete(Two)];
    let second = vec![put(Two, &[PLAIN], b"newest")];
    Story { name: "deleted", chapters: vec![(first, End::Deleted), (second, End::Here(6, &[PLAIN]))] }
}

fn the_newest_body_is_joined_by_metadata_posted_to_older_ones() -> Story {
    story(
        "joined",
        vec![
            put(All, &[(TYPE, "a/foo")], b"old"),
            put(OneAndHandoff, &[(TYPE, "a/bar")], b"newer"),
            post(All, &[(COLOUR, "blue")]),
        ],
        End::Here(5, &[(TYPE, "a/bar"), (COLOUR, "blue")]),
    )
}

fn metadata_of_the_system_go_with_the_newest_body_and_what_was_posted_to_it_stays() -> Story {
    story(
        "sysmeta-put",
        vec![
            put(OneAndHandoff, &[PLAIN, (SYSTEM, "older")], b"1"),
            put(Two, &[PLAIN, (SYSTEM, "newer")], b"22"),
            post(Two, &[(COLOUR, "blue")]),
        ],
        End::Here(2, &[(SYSTEM, "newer"), (COLOUR, "blue")]),
    )
}

fn metadata_posted_to_an_older_body_leave_the_system_metadata_of_the_newer_one() -> Story {
    story(
        "sysmeta-post",
        vec![
            put(All, &[PLAIN], b"1"),
            put(OneAndHandoff, &[PLAIN, (SYSTEM, "foo")], b"22"),
            post(Two, &[(COLOUR, "blue"), (TRANSIENT, "bar")]),
        ],
        End::Here(2, &[(SYSTEM, "foo"), (COLOUR, "blue"), (TRANSIENT, "bar")]),
    )
}

fn what_was_posted_before_the_newest_body_is_gone() -> Story {
    story(
        "prior-post",
        vec![
            put(All, &[PLAIN], b"1"),
            post(Two, &[(COLOUR, "blue"), (TRANSIENT, "bar")]),
            put(OneAndHandoff, &[PLAIN, (SYSTEM, "foo")], b"22"),
        ],
        End::Here(2, &[(SYSTEM, "foo"), (COLOUR, ""), (TRANSIENT, "")]),
    )
}

fn a_posted_content_type_outlives_a_body_that_came_before_it() -> Story {
    story(
        "type-posted",
        vec![
            put(Two, &[(TYPE, "a/foo")], b"1"),
            put(OneAndHandoff, &[(TYPE, "a/bar")], b"22"),
            post(Two, &[(TYPE, "a/baz")]),
        ],
        End::Here(2, &[(TYPE, "a/baz")]),
    )
}

fn a_post_without_a_content_type_leaves_that_of_the_newest_body() -> Story {
    story(
        "type-put",
        vec![
            put(Two, &[(TYPE, "a/foo")], b"1"),
            put(OneAndHandoff, &[(TYPE, "a/bar")], b"22"),
            post(Two, &[(COLOUR, "blue")]),
        ],
        End::Here(2, &[(TYPE, "a/bar"), (COLOUR, "blue")]),
    )
}

fn the_newest_posted_content_type_outlives_a_later_post_without_one() -> Story {
    story(
        "type-posted-then-not",
        vec![
            put(Two, &[(TYPE, "a/foo"), (SYSTEM, "older")], b"1"),
            put(OneAndHandoff, &[(TYPE, "a/bar"), (SYSTEM, "newer")], b"22"),
            post(Two, &[(TYPE, "a/bif")]),
            post(OneAndHandoff, &[(TYPE, "a/baz"), (COLOUR, "red")]),
            post(All, &[(COLOUR, "blue"), (SYSTEM, "ignored")]),
        ],
        End::Here(2, &[(TYPE, "a/baz"), (COLOUR, "blue"), (SYSTEM, "newer")]),
    )
}

fn the_last_of_two_posts_counts_and_the_content_type_of_the_newest_body() -> Story {
    story(
        "two-posts",
        vec![
            put(All, &[(TYPE, "a/foo"), (SYSTEM, "older")], b"1"),
            put(OneAndHandoff, &[(TYPE, "a/bar"), (SYSTEM, "newer")], b"22"),
            post(Two, &[(COLOUR, "red"), (SYSTEM, "ignored")]),
            post(OneAndHandoff, &[(COLOUR, "blue")]),
        ],
        End::Here(2, &[(TYPE, "a/bar"), (COLOUR, "blue"), (SYSTEM, "newer")]),
    )
}

fn newer_metadata_persist_and_an_older_content_type_does_not() -> Story {
    story(
        "posted-persists",
        vec![
            put(OneAndHandoff, &[(TYPE, "a/oldest"), (SYSTEM, "oldest"), (COLOUR, "oldest")], b"1"),
            put(Two, &[(TYPE, "a/oldest"), (SYSTEM, "oldest"), (COLOUR, "oldest")], b"22"),
            post(OneAndHandoff, &[(TYPE, "a/newer"), (COLOUR, "newer")]),
            put(Two, &[(TYPE, "a/newest"), (SYSTEM, "newest"), (COLOUR, "newer")], b"333"),
            post(OneAndHandoff, &[(COLOUR, "newest")]),
        ],
        End::Here(3, &[(TYPE, "a/newest"), (SYSTEM, "newest"), (COLOUR, "newest")]),
    )
}

fn an_earlier_deletion_is_not_undone_by_a_later_post() -> Story {
    story(
        "trumped",
        vec![
            put(OneAndHandoff, &[(TYPE, "a/oldest"), (SYSTEM, "oldest"), (COLOUR, "oldest")], b"1"),
            put(Two, &[(TYPE, "a/oldest"), (SYSTEM, "oldest"), (COLOUR, "oldest")], b"1"),
            delete(Two),
            post(OneAndHandoff, &[(TYPE, "a/newest"), (SYSTEM, "ignored"), (COLOUR, "newest")]),
        ],
        End::Deleted,
    )
}
