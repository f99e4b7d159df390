//! Every rule of which files count.

use super::*;

const CODED: PolicyKind = PolicyKind::ErasureCoding { fragments: 6 };

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn whole(files: &[&str]) -> Choice {
    Choice::of(&names(files), PolicyKind::Replication, Preference::default())
}

fn coded(files: &[&str]) -> Choice {
    Choice::of(&names(files), CODED, Preference::default())
}

fn any_fragment(files: &[&str], wishes: &[FragmentPreference]) -> Choice {
    Choice::of(&names(files), CODED, Preference { fragment: None, fragments: Some(wishes) })
}

fn name(file: &Option<FileName>) -> Option<&str> {
    file.as_ref().map(|file| file.name.as_str())
}

fn sorted(files: &[FileName]) -> Vec<&str> {
    let mut names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
    names.sort_unstable();
    names
}

#[test]
fn nothing_makes_nothing() {
    assert_eq!(whole(&[]), Choice::default());
}

#[test]
fn a_tombstone_beats_data_of_its_own_time() {
    let choice = whole(&["0000000001.00000.data", "0000000001.00000.ts", "0000000000.50000.ts"]);
    assert_eq!(name(&choice.tombstone), Some("0000000001.00000.ts"));
    assert_eq!(choice.data, None);
    assert_eq!(sorted(&choice.obsolete), ["0000000000.50000.ts", "0000000001.00000.data"]);
}

#[test]
fn newer_data_beats_a_tombstone_and_older_data_and_metadata() {
    let choice = whole(&[
        "0000000001.00000.data",
        "0000000002.00000.ts",
        "0000000003.00000.data",
        "0000000003.00000.meta",
        "0000000004.00000.meta",
        "0000000001.00000.durable",
    ]);
    assert_eq!(name(&choice.data), Some("0000000003.00000.data"));
    assert_eq!(name(&choice.meta), Some("0000000004.00000.meta"));
    assert_eq!((choice.tombstone, choice.content_type), (None, None));
    assert_eq!(
        sorted(&choice.obsolete),
        ["0000000001.00000.data", "0000000001.00000.durable", "0000000002.00000.ts", "0000000003.00000.meta"]
    );
}

#[test]
fn metadata_alone_is_no_object() {
    let choice = whole(&["0000000004.00000.meta"]);
    assert_eq!((&choice.data, &choice.meta), (&None, &None));
    assert_eq!(sorted(&choice.stray), ["0000000004.00000.meta"]);
}

#[test]
fn a_second_metadata_file_may_hold_the_newest_content_type() {
    let files = [
        "0000000001.00000.data",
        "0000000005.00000-30d40.meta",
        "0000000004.00000+0.meta",
        "0000000003.00000.meta",
    ];
    let choice = whole(&files);
    assert_eq!(name(&choice.meta), Some("0000000005.00000-30d40.meta"));
    assert_eq!(name(&choice.content_type), Some("0000000004.00000+0.meta"));
    assert_eq!(sorted(&choice.obsolete), ["0000000003.00000.meta"]);
}

#[test]
fn of_two_metadata_files_of_one_time_the_newer_content_type_counts() {
    let choice = whole(&["0000000001.00000.data", "0000000005.00000-186a0.meta", "0000000005.00000+0.meta"]);
    assert_eq!(name(&choice.meta), Some("0000000005.00000+0.meta"));
    assert_eq!(sorted(&choice.obsolete), ["0000000005.00000-186a0.meta"]);
}

#[test]
fn a_content_type_older_than_the_body_does_not_count() {
    let choice = whole(&["0000000004.00000.data", "0000000005.00000-30d40.meta"]);
    assert_eq!(name(&choice.meta), Some("0000000005.00000-30d40.meta"));
    assert_eq!(choice.content_type, None);
}

#[test]
fn unexpected_names_are_kept_apart() {
    let choice = whole(&["0000000001.00000.data", "junk", ".0000000001.00000.data.AbCdEf"]);
    assert_eq!(choice.unexpected.len(), 2);
    assert!(choice.obsolete.is_empty());
}

#[test]
fn only_durable_fragments_count_unless_asked() {
    let files = ["0000000001.00000#1#d.data", "0000000001.00000#3.data", "0000000002.00000#2.data"];
    let choice = coded(&files);
    assert_eq!(name(&choice.data), Some("0000000001.00000#3.data"));
    assert!(choice.data.as_ref().unwrap().durable, "the mark of one marks all of its time");
    assert_eq!(sorted(&choice.stray), ["0000000002.00000#2.data"]);

    let choice = any_fragment(&files, &[]);
    assert_eq!(name(&choice.data), Some("0000000002.00000#2.data"));
    assert_eq!(choice.durable.unwrap().normal(), "0000000001.00000");
    assert!(choice.stray.is_empty());
}

#[test]
fn preferences_exclude_fragments_of_a_time() {
    let files = ["0000000001.00000#1.data", "0000000001.00000#3.data", "0000000002.00000#2.data"];
    let wish = |time: &str, excluded: &[u16]| FragmentPreference {
        timestamp: time.parse().unwrap(),
        excluded: excluded.iter().copied().map(FragmentIndex::new).collect(),
    };
    assert_eq!(name(&any_fragment(&files, &[wish("1", &[3])]).data), Some("0000000001.00000#1.data"));
    assert_eq!(
        name(&any_fragment(&files, &[wish("2", &[2]), wish("1", &[])]).data),
        Some("0000000001.00000#3.data")
    );
    assert_eq!(name(&any_fragment(&files, &[wish("2", &[2])]).data), Some("0000000001.00000#3.data"));
    assert_eq!(name(&any_fragment(&files, &[wish("2", &[2]), wish("1", &[1, 3])]).data), None);
}

#[test]
fn what_is_older_than_durable_fragments_is_obsolete() {
    let choice = coded(&[
        "0000000001.00000#0#d.data",
        "0000000002.00000#1#d.data",
        "0000000001.50000.meta",
        "0000000001.20000.ts",
        "0000000002.50000.meta",
    ]);
    assert_eq!(name(&choice.data), Some("0000000002.00000#1#d.data"));
    assert_eq!(name(&choice.meta), Some("0000000002.50000.meta"));
    let obsolete = ["0000000001.00000#0#d.data", "0000000001.20000.ts", "0000000001.50000.meta"];
    assert_eq!(sorted(&choice.obsolete), obsolete);
    assert_eq!(choice.fragments.len(), 1, "older fragments are not looked at");
}

#[test]
fn a_durable_file_of_old_marks_fragments_and_alone_is_obsolete() {
    let choice = coded(&["0000000001.00000#0.data", "0000000001.00000.durable"]);
    assert_eq!(name(&choice.data), Some("0000000001.00000#0.data"));
    let alone = coded(&["0000000003.00000.durable", "0000000001.00000#0.data"]);
    assert_eq!(alone.data, None);
    assert_eq!(sorted(&alone.obsolete), ["0000000001.00000#0.data", "0000000003.00000.durable"]);
}

#[test]
fn a_tombstone_counts_beside_fragments_that_are_not_durable() {
    let choice = coded(&["0000000001.00000.ts", "0000000002.00000#0.data"]);
    assert_eq!(name(&choice.tombstone), Some("0000000001.00000.ts"));
    assert_eq!(choice.data, None);
    assert_eq!(sorted(&choice.stray), ["0000000002.00000#0.data"]);
}
