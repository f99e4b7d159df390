//! Erasure-coded fragments: written, marked, listed, cleaned.

use std::{fs, time::Duration};

use ssync_types::{FragmentIndex, Metadata, ObjectKind, Offer, Reason, Refusal};

use super::bed::{Bed, CODED, WHOLE, ago, at, path};
use crate::{Confirmation, DataFile, Found, Location, OpenOptions, layout};

fn files(bed: &Bed) -> Vec<String> {
    bed.names(layout::object(&bed.of_policy("o", CODED)))
}

fn open(bed: &Bed, options: &OpenOptions) -> Found {
    bed.device.open_object(&bed.of_policy("o", CODED), options).unwrap()
}

#[test]
fn a_fragment_is_found_once_it_is_durable() {
    let bed = Bed::new();
    bed.put_fragment("o", at(1), 2, false);
    assert_eq!(files(&bed), ["0000000001.00000#2.data"]);
    assert!(matches!(open(&bed, &OpenOptions::default()), Found::Nothing));
    let any = OpenOptions { fragment_preferences: Some(vec![]), ..OpenOptions::default() };
    let Found::Object(object) = open(&bed, &any) else { panic!() };
    assert_eq!((object.fragment, object.info.durable), (Some(FragmentIndex::new(2)), None));
    assert_eq!(object.data_metadata.get_str("X-Object-Sysmeta-Ec-Frag-Index"), Some("2"));

    bed.device.commit_fragment(&bed.of_policy("o", CODED), FragmentIndex::new(2), at(1), None).unwrap();
    assert_eq!(files(&bed), ["0000000001.00000#2#d.data"]);
    let Found::Object(object) = open(&bed, &OpenOptions::default()) else { panic!() };
    assert_eq!(object.info.durable, Some(at(1)));
    let [set] = &object.info.fragments[..] else { panic!() };
    assert!(set.durable);
}

#[test]
fn the_mark_cleans_up_what_the_fragment_left_alone() {
    let bed = Bed::new();
    bed.put_fragment("o", at(1), 0, true);
    bed.put_fragment("o", at(2), 0, false);
    assert_eq!(files(&bed).len(), 2);
    bed.device.commit_fragment(&bed.of_policy("o", CODED), FragmentIndex::new(0), at(2), None).unwrap();
    assert_eq!(files(&bed), ["0000000002.00000#0#d.data"]);
}

#[test]
fn a_durable_fragment_takes_the_place_of_the_same_one_without_the_mark() {
    let bed = Bed::new();
    bed.put_fragment("o", at(1), 2, false);
    bed.put_fragment("o", at(1), 2, true);
    assert_eq!(files(&bed), ["0000000001.00000#2#d.data"]);
}

#[test]
fn marking_what_is_gone_is_a_success_only_if_something_newer_is_there() {
    let bed = Bed::new();
    let here = bed.of_policy("o", CODED);
    let mark = |time| bed.device.commit_fragment(&here, FragmentIndex::new(0), at(time), None);
    assert_eq!(Refusal::from(mark(1).unwrap_err()).reason, Reason::NotFound);
    bed.put_fragment("o", at(2), 1, true);
    assert!(mark(1).is_err() && mark(2).is_err(), "another fragment does not stand for this one");
    bed.put_fragment("o", at(2), 0, true);
    mark(1).unwrap();
    mark(2).unwrap();
    assert!(mark(3).is_err());
    bed.device.write_tombstone(&bed.of_policy("o", CODED), &path("o"), at(4), None).unwrap();
    mark(3).unwrap();
    assert!(mark(4).is_err());
}

#[test]
fn young_fragments_of_old_times_wait_for_their_mark() {
    for (window, left) in [(60, 2), (0, 1)] {
        let bed = Bed::with(|config| {
            config.reclaim_age = Duration::from_secs(1000);
            config.commit_window = Duration::from_secs(window);
        });
        bed.put_fragment("o", ago(2000), 0, true);
        bed.put_fragment("o", ago(1500), 1, false);
        bed.device.open_for_check(&bed.of_policy("o", CODED), &OpenOptions::default()).unwrap();
        assert_eq!(files(&bed).len(), left, "{window}");
    }
}

#[test]
fn an_old_fragment_that_nobody_marks_goes() {
    let bed = Bed::with(|config| config.reclaim_age = Duration::from_secs(1000));
    bed.put_fragment("o", ago(1500), 1, false);
    let directory = bed.real(layout::object(&bed.of_policy("o", CODED)));
    let file = fs::File::open(directory.join(&files(&bed)[0])).unwrap();
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(120)).unwrap();
    bed.device.open_for_check(&bed.of_policy("o", CODED), &OpenOptions::default()).unwrap();
    assert!(files(&bed).is_empty());
}

#[test]
fn every_fragment_is_listed() {
    let bed = Bed::new();
    bed.put_fragment("o", at(1), 0, true);
    bed.put_fragment("o", at(1), 3, true);
    bed.put_fragment("o", at(2), 3, false);
    let here = bed.of_policy("o", CODED);
    let objects = bed.device.list_suffix(CODED, here.partition, here.hash.suffix()).unwrap();
    let seen: Vec<_> =
        objects.iter().map(|o| (o.fragment.unwrap().get(), o.offer.data, o.offer.durable)).collect();
    assert_eq!(seen, [(0, at(1), true), (3, at(2), false)]);
    let sets = bed.device.fragments(&here).unwrap();
    let seen: Vec<_> = sets.iter().map(|set| (set.timestamp, set.indexes.len(), set.durable)).collect();
    assert_eq!(seen, [(at(2), 1, false), (at(1), 2, true)]);
}

#[test]
fn a_fragment_is_confirmed_if_it_is_the_one_that_was_offered() {
    let bed = Bed::new();
    bed.put_fragment("o", at(1), 0, true);
    bed.put_fragment("o", at(2), 3, false);
    let here = bed.of_policy("o", CODED);
    let confirm = |time, durable, index: Option<u16>| {
        let offer = Offer { durable, ..Offer::of_one_time(here.hash, at(time), Some(ObjectKind::Data)) };
        bed.device.confirm(&here, &offer, index.map(FragmentIndex::new)).unwrap()
    };
    use Confirmation::{Confirmed, Lacking};
    assert_eq!(confirm(1, true, Some(0)), Confirmed);
    assert_eq!(confirm(1, false, Some(0)), Confirmed, "durable is more than was asked");
    assert_eq!(confirm(1, true, Some(3)), Lacking, "another fragment");
    assert_eq!(confirm(1, true, None), Confirmed, "of whatever index");
    assert_eq!(confirm(2, true, Some(3)), Lacking, "it has no mark");
    assert_eq!(confirm(2, true, None), Lacking);
    for (time, verdict) in [(1, Lacking), (2, Confirmed), (3, Lacking)] {
        assert_eq!(confirm(time, false, Some(3)), verdict, "{time} without a mark");
    }
    assert_eq!(confirm(2, false, Some(0)), Lacking);
    let posted = Offer {
        durable: false,
        metadata: at(5),
        ..Offer::of_one_time(here.hash, at(2), Some(ObjectKind::Data))
    };
    let confirmed = bed.device.confirm(&here, &posted, Some(FragmentIndex::new(3))).unwrap();
    assert_eq!(confirmed, Confirmed, "metadata wait for the mark, as in Swift");

    bed.watch.take();
    confirm(2, false, Some(3));
    let log = bed.watch.take();
    let flushed =
        |line: &String| line.starts_with("sync objects") && line.ends_with("0000000002.00000#3.data");
    assert!(log.iter().any(flushed), "{log:#?}");

    bed.device.write_tombstone(&here, &path("o"), at(4), None).unwrap();
    assert_eq!(confirm(2, true, Some(3)), Confirmation::Superseded(at(4)));
}

#[test]
fn a_fragment_belongs_to_a_policy_that_has_fragments() {
    let bed = Bed::new();
    for (policy, fragment) in [(WHOLE, Some(0)), (CODED, None), (CODED, Some(6))] {
        let writer = bed.device.create(&bed.of_policy("o", policy), &path("o"), None).unwrap();
        let fragment = fragment.map(|index| (FragmentIndex::new(index), true));
        let file = DataFile { timestamp: at(1), metadata: Metadata::new(), fragment, next_part_power: None };
        assert_eq!(Refusal::from(writer.commit(file).unwrap_err()).reason, Reason::InvalidArgument);
    }
}

/// Swift: ECDiskFileWriter._finalize_durable renames in both partitions.
#[test]
fn while_the_partition_power_grows_a_fragment_is_marked_in_both_places() {
    let bed = Bed::new();
    let here = bed.of_policy("o", CODED);
    let next = Location { partition: here.hash.partition(11), ..here };
    assert_ne!(next.partition, here.partition);
    let put = |time, durable| {
        let mut writer = bed.device.create(&here, &path("o"), None).unwrap();
        writer.write(b"fragment").unwrap();
        let fragment = Some((FragmentIndex::new(2), durable));
        let metadata = Metadata::new();
        writer
            .commit(DataFile { timestamp: at(time), metadata, fragment, next_part_power: Some(11) })
            .unwrap();
    };
    let expect = |names: &[&str]| {
        for place in [here, next] {
            assert_eq!(bed.names(layout::object(&place)), names, "{}", place.partition);
        }
    };
    put(1, false);
    expect(&["0000000001.00000#2.data"]);
    let mark = |time| bed.device.commit_fragment(&here, FragmentIndex::new(2), at(time), Some(11)).unwrap();
    mark(1);
    expect(&["0000000001.00000#2#d.data"]);
    put(2, false);
    expect(&["0000000001.00000#2#d.data", "0000000002.00000#2.data"]);
    mark(2);
    expect(&["0000000002.00000#2#d.data"]);
    // One that comes with its mark takes the place of the other in both.
    put(3, false);
    put(3, true);
    expect(&["0000000003.00000#2#d.data"]);
    // One that was stored before the change began has no link yet.
    bed.put_fragment("o", at(4), 2, false);
    mark(4);
    expect(&["0000000004.00000#2#d.data"]);
}

/// Swift: ECDiskFileWriter.put takes the index of the metadata as canon.
#[test]
fn a_fragment_is_the_one_that_its_metadata_names() {
    let bed = Bed::new();
    let put = |time, named: &str| {
        let mut metadata = Metadata::new();
        metadata.set("X-Object-Sysmeta-Ec-Frag-Index", named.to_owned());
        metadata.set("X-Object-Sysmeta-Ec-Etag", "an etag");
        let writer = bed.device.create(&bed.of_policy("o", CODED), &path("o"), None).unwrap();
        let fragment = Some((FragmentIndex::new(1), true));
        writer.commit(DataFile { timestamp: at(time), metadata, fragment, next_part_power: None })
    };
    put(1, "3").unwrap();
    assert_eq!(files(&bed), ["0000000001.00000#3#d.data"]);
    let three = OpenOptions { fragment: Some(FragmentIndex::new(3)), ..OpenOptions::default() };
    let Found::Object(object) = open(&bed, &three) else { panic!() };
    assert_eq!(object.data_metadata.get_str("X-Object-Sysmeta-Ec-Frag-Index"), Some("3"));
    assert_eq!(object.data_metadata.get_str("X-Object-Sysmeta-Ec-Etag"), Some("an etag"));
    for bad in ["6", "-1", "x", ""] {
        let error = put(2, bad).unwrap_err();
        assert_eq!(Refusal::from(error).reason, Reason::InvalidArgument, "{bad:?}");
    }
    assert_eq!(files(&bed).len(), 1);
}

#[test]
fn a_mark_that_was_cut_off_is_made_good_when_it_is_given_again() {
    let bed = Bed::new();
    let here = bed.of_policy("o", CODED);
    bed.put_fragment("o", at(1), 0, true);
    bed.put_fragment("o", at(2), 0, false);
    let mark = || bed.device.commit_fragment(&here, FragmentIndex::new(0), at(2), None);
    let opening = format!("open_dir {}", layout::object(&here).display());
    let directory = format!("sync_dir {}", layout::object(&here).display());
    // Not begun: a flush that fails is never made good.
    bed.watch.fail(&opening, rustix::io::Errno::MFILE);
    assert_eq!(Refusal::from(mark().unwrap_err()).reason, Reason::ObjectIo);
    assert_eq!(files(&bed), ["0000000001.00000#0#d.data", "0000000002.00000#0#d.data"], "the name has it");
    bed.watch.heal();
    bed.watch.take();
    mark().unwrap();
    assert!(bed.watch.take().contains(&directory), "it was not known to be on the disk");
    assert_eq!(files(&bed), ["0000000002.00000#0#d.data"]);
}
