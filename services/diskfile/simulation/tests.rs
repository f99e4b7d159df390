//! The model keeps its own promises.

use std::path::Path;

use rustix::io::Errno;

use super::{Again, Faults, Model, Options, Random, SimDisk};
use crate::disk::{Disk as _, DiskFile, OpenMode, read_all, write_all};

const SEEDS: u64 = 200;

fn disk() -> SimDisk {
    SimDisk::new(Options::default())
}

fn create(disk: &SimDisk, path: &str, bytes: &[u8]) -> Box<dyn DiskFile> {
    let file = disk.open(Path::new(path), OpenMode::CreateNew).unwrap();
    write_all(&*file, bytes, 0).unwrap();
    file
}

fn read(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
    read_all(&*disk.open(Path::new(path), OpenMode::Read).ok()?, 1 << 20).ok()
}

/// What a file holds after power cuts of many seeds, without repetitions.
fn outcomes(disk: &SimDisk, path: &str, model: Model) -> Vec<Option<Vec<u8>>> {
    let mut found: Vec<_> = (0..SEEDS).map(|seed| read(&disk.crash(model, seed), path)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn both(check: impl Fn(Model)) {
    [Model::Ordered, Model::Weak].into_iter().for_each(check);
}

fn errno<T>(result: std::io::Result<T>) -> Option<Errno> {
    result.err().and_then(|error| error.raw_os_error()).map(Errno::from_raw_os_error)
}

#[test]
fn a_file_that_is_flushed_with_its_directory_survives() {
    both(|model| {
        let disk = disk();
        create(&disk, "a", b"abcd").sync().unwrap();
        disk.sync_dir(Path::new("")).unwrap();
        assert_eq!(outcomes(&disk, "a", model), [Some(b"abcd".to_vec())]);
        assert!(disk.is_flushed(Path::new("a")));
    });
}

#[test]
fn a_name_that_is_not_flushed_may_vanish_though_its_file_is() {
    both(|model| {
        let disk = disk();
        create(&disk, "a", b"abcd").sync().unwrap();
        assert_eq!(outcomes(&disk, "a", model), [None, Some(b"abcd".to_vec())]);
        assert!(!disk.is_flushed(Path::new("a")));
    });
}

#[test]
fn contents_that_are_not_flushed_may_be_missing_cut_or_zeros() {
    both(|model| {
        let disk = disk();
        create(&disk, "a", b"abcd");
        disk.sync_dir(Path::new("")).unwrap();
        let found = outcomes(&disk, "a", model);
        for expected in [&b""[..], b"a", b"abc", b"\0\0\0\0", b"abcd"] {
            assert!(found.contains(&Some(expected.to_vec())), "{expected:?} in {found:?}");
        }
        assert!(!found.contains(&None));
    });
}

#[test]
fn a_flush_of_data_leaves_attributes_in_doubt() {
    let disk = disk();
    let file = create(&disk, "a", b"abcd");
    file.set_attribute("user.x", b"1").unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("")).unwrap();
    let with = |seed| {
        let crashed = disk.crash(Model::Ordered, seed);
        assert_eq!(read(&crashed, "a"), Some(b"abcd".to_vec()));
        crashed.open(Path::new("a"), OpenMode::Read).unwrap().attribute("user.x").is_ok()
    };
    let survived = (0..SEEDS).filter(|seed| with(*seed)).count();
    assert!(survived > 0 && survived < SEEDS as usize, "{survived}");
    file.sync().unwrap();
    assert!((0..SEEDS).all(with));
}

#[test]
fn in_the_ordered_model_a_later_name_does_not_survive_an_earlier_one() {
    let later_alone = |model| {
        let disk = disk();
        disk.make_dir(Path::new("d")).unwrap();
        disk.make_dir(Path::new("e")).unwrap();
        disk.sync_all().unwrap();
        create(&disk, "d/1", b"");
        create(&disk, "e/2", b"");
        let alone = |disk: &SimDisk| read(disk, "d/1").is_none() && read(disk, "e/2").is_some();
        let before = (0..SEEDS).filter(|seed| alone(&disk.crash(model, *seed))).count();
        disk.sync_dir(Path::new("e")).unwrap();
        let after = (0..SEEDS).filter(|seed| alone(&disk.crash(model, *seed))).count();
        assert!((0..SEEDS).all(|seed| read(&disk.crash(model, seed), "e/2").is_some()));
        (before, after)
    };
    assert_eq!(later_alone(Model::Ordered), (0, 0));
    let (before, after) = later_alone(Model::Weak);
    assert!(before > 0 && after > 0);
}

#[test]
fn a_removal_that_is_not_flushed_may_be_undone_and_never_halves_a_rename() {
    both(|model| {
        let disk = disk();
        create(&disk, "a", b"old").sync().unwrap();
        create(&disk, "b", b"new").sync().unwrap();
        disk.sync_dir(Path::new("")).unwrap();
        disk.rename(Path::new("b"), Path::new("a")).unwrap();
        for seed in 0..SEEDS {
            let crashed = disk.crash(model, seed);
            let found = (read(&crashed, "a"), read(&crashed, "b"));
            let (old, new) = (Some(b"old".to_vec()), Some(b"new".to_vec()));
            assert!(found == (old, new.clone()) || found == (new, None), "{found:?}");
        }
        disk.unlink(Path::new("a")).unwrap();
        assert!(outcomes(&disk, "a", model).len() > 1);
        disk.sync_dir(Path::new("")).unwrap();
        assert_eq!(outcomes(&disk, "a", model), [None]);
    });
}

#[test]
fn what_came_after_to_a_name_is_not_undone_by_what_came_before() {
    // The rename is forced by the one directory, the removal before it only named the other.
    let disk = disk();
    for directory in ["d", "e"] {
        disk.make_dir(Path::new(directory)).unwrap();
    }
    create(&disk, "d/x", b"1").sync().unwrap();
    disk.sync_all().unwrap();
    disk.unlink(Path::new("d/x")).unwrap();
    create(&disk, "e/x", b"2").sync().unwrap();
    disk.rename(Path::new("e/x"), Path::new("d/x")).unwrap();
    disk.sync_dir(Path::new("e")).unwrap();
    both(|model| assert_eq!(outcomes(&disk, "d/x", model), [Some(b"2".to_vec())]));
}

#[test]
fn time_alone_makes_names_durable() {
    let disk = disk();
    create(&disk, "a", b"").sync().unwrap();
    disk.advance(std::time::Duration::from_secs(31));
    both(|model| assert_eq!(outcomes(&disk, "a", model), [Some(Vec::new())]));
}

#[test]
fn a_nameless_file_goes_with_its_program_and_a_killed_program_leaves_the_rest() {
    let disk = disk();
    let file = disk.temporary(Path::new("")).unwrap();
    write_all(&*file, b"x", 0).unwrap();
    let named = create(&disk, "a", b"abcd");
    assert!(named.try_lock().unwrap());
    assert_eq!((disk.open_handles(), disk.locks()), (2, 1));
    let killed = disk.kill();
    assert_eq!((killed.open_handles(), killed.locks()), (0, 0));
    assert_eq!(killed.paths(), ["a"]);
    assert_eq!(read(&killed, "a"), Some(b"abcd".to_vec()), "the page cache has it");
    both(|model| assert!(outcomes(&killed, "a", model).contains(&None), "until the power is cut"));
    killed.sync_all().unwrap();
    both(|model| assert_eq!(outcomes(&killed, "a", model), [Some(b"abcd".to_vec())]));
    file.link(Path::new("b")).unwrap();
    assert_eq!(disk.paths(), ["a", "b"]);
    assert_eq!(killed.paths(), ["a"], "it is another disk now");
    drop((file, named));
    assert_eq!((disk.open_handles(), disk.locks()), (0, 0));
}

#[test]
fn a_lock_is_an_open_files_own() {
    let disk = disk();
    let open = || disk.open(Path::new(".lock"), OpenMode::Lock).unwrap();
    let (first, second) = (open(), open());
    assert!(first.try_lock().unwrap() && first.try_lock().unwrap());
    assert!(!second.try_lock().unwrap());
    drop(first);
    assert!(second.try_lock().unwrap());
}

#[test]
fn what_is_open_outlives_its_name_and_its_number_is_used_again_later() {
    let disk = disk();
    drop(create(&disk, "a", b"abcd"));
    let file = disk.open(Path::new("a"), OpenMode::Read).unwrap();
    let number = file.stat().unwrap().inode;
    disk.unlink(Path::new("a")).unwrap();
    assert_eq!(read_all(&*file, 10).unwrap(), b"abcd");
    assert_eq!(errno(file.link(Path::new("b"))), Some(Errno::NOENT));
    assert_ne!(create(&disk, "c", b"").stat().unwrap().inode, number);
    drop(file);
    assert_eq!(create(&disk, "d", b"").stat().unwrap().inode, number);
}

#[test]
fn errors_are_those_of_linux() {
    let disk = disk();
    let path = Path::new;
    disk.make_dir(path("d")).unwrap();
    disk.make_dir(path("d/e")).unwrap();
    disk.make_dir(path("f")).unwrap();
    create(&disk, "a", b"");
    create(&disk, "d/a", b"");
    let table = [
        ("open what is not there", errno(disk.open(path("x"), OpenMode::Read)), Errno::NOENT),
        ("make in what is not there", errno(disk.open(path("x/y"), OpenMode::Lock)), Errno::NOENT),
        ("below a file", errno(disk.stat(path("a/b"))), Errno::NOTDIR),
        ("list a file", errno(disk.list(path("a"))), Errno::NOTDIR),
        ("make again", errno(disk.open(path("a"), OpenMode::CreateNew)), Errno::EXIST),
        ("write to a directory", errno(disk.open(path("d"), OpenMode::Append)), Errno::ISDIR),
        ("make a directory again", errno(disk.make_dir(path("a"))), Errno::EXIST),
        ("remove a full directory", errno(disk.remove_dir(path("d"))), Errno::NOTEMPTY),
        ("remove a file as a directory", errno(disk.remove_dir(path("a"))), Errno::NOTDIR),
        ("remove a directory as a file", errno(disk.unlink(path("d"))), Errno::ISDIR),
        ("rename over a full directory", errno(disk.rename(path("f"), path("d"))), Errno::NOTEMPTY),
        ("rename a directory over a file", errno(disk.rename(path("f"), path("a"))), Errno::NOTDIR),
        ("rename a file over a directory", errno(disk.rename(path("a"), path("f"))), Errno::ISDIR),
        ("rename into itself", errno(disk.rename(path("d"), path("d/e/f"))), Errno::INVAL),
        ("link over a name", errno(disk.hard_link(path("a"), path("d/a"))), Errno::EXIST),
        ("link a directory", errno(disk.hard_link(path("d"), path("g"))), Errno::PERM),
        ("no such attribute", errno(create(&disk, "b", b"").attribute("user.x")), Errno::NODATA),
    ];
    for (what, found, expected) in table {
        assert_eq!(found, Some(expected), "{what}");
    }
    disk.rename(path("f"), path("d/e")).unwrap();
    assert_eq!(disk.paths(), ["a", "b", "d/", "d/a", "d/e/"]);
}

#[test]
fn calls_fail_by_number_by_name_and_by_chance_and_have_no_effect_then() {
    let disk = disk();
    let make = |name: &str| errno(disk.make_dir(Path::new(name)));
    disk.set_faults(Faults::default().at(1, Errno::IO, Again::Once).at(3, Errno::NOSPC, Again::Always));
    let found: Vec<_> = ["0", "1", "2", "3", "4"].into_iter().map(make).collect();
    assert_eq!(found, [None, Some(Errno::IO), None, Some(Errno::NOSPC), Some(Errno::NOSPC)]);
    assert_eq!(disk.paths(), ["0/", "2/"]);
    disk.set_faults(Faults::default().named("make_dir x", Errno::IO, Again::Once));
    assert_eq!([make("y"), make("xy"), make("xy")], [None, Some(Errno::IO), None]);
    disk.set_faults(Faults::default().by_chance(1, 500, &[Errno::IO]));
    let failed = (0..100).filter(|number| make(&format!("z{number}")).is_some()).count();
    assert!(failed > 20 && failed < 80);
    assert_eq!(disk.counts().calls, 108);
}

#[test]
fn a_flush_that_failed_has_lost_what_it_was_to_write_until_that_is_written_again() {
    let disk = disk();
    let file = create(&disk, "a", b"abcd");
    disk.sync_dir(Path::new("")).unwrap();
    disk.set_faults(Faults::default().named("sync a", Errno::IO, Again::Once));
    assert!(file.sync().is_err());
    file.sync().unwrap();
    both(|model| assert_eq!(outcomes(&disk, "a", model), [Some(Vec::new())]));
    file.write_at(b"e", 4).unwrap();
    file.sync().unwrap();
    both(|model| assert_eq!(outcomes(&disk, "a", model), [Some(b"abcde".to_vec())]));
}

#[test]
fn it_remembers_what_failed_and_an_operator_may_move_it() {
    let disk = disk();
    disk.make_dir(Path::new("d")).unwrap();
    create(&disk, "d/a", b"abcd").set_attribute("user.b", b"c").unwrap();
    create(&disk, "d/b", b"abcd");
    disk.set_faults(Faults::default().named("read_at d/a", Errno::IO, Again::Once));
    assert_eq!(read(&disk, "d/a"), None);
    assert_eq!(read(&disk, "d/b"), Some(b"abcd".to_vec()));
    disk.sync_all().unwrap();
    for disk in [disk.snapshot(), disk.kill(), disk.crash(Model::Ordered, 1)] {
        assert_eq!(disk.failed().into_iter().collect::<Vec<_>>(), [Path::new("d/a")]);
    }
    assert!(disk.move_directory(Path::new("d"), Path::new("e/f/d")));
    assert_eq!(read(&disk, "e/f/d/a"), Some(b"abcd".to_vec()));
    disk.make_dir(Path::new("d")).unwrap();
    assert!(!disk.move_directory(Path::new("d"), Path::new("e/f/d")), "something is there");
}

#[test]
fn writes_may_be_short_and_space_may_be_gone() {
    let disk = SimDisk::new(Options { short_writes: Some(Random::new(1)), ..Options::default() });
    let file = disk.open(Path::new("a"), OpenMode::CreateNew).unwrap();
    assert!(file.write_at(&[1; 100], 0).unwrap() < 100);
    write_all(&*file, &[2; 100], 0).unwrap();
    assert_eq!(read(&disk, "a"), Some(vec![2; 100]));
    disk.set_space(10, 1000);
    assert_eq!(errno(file.write_at(&[0; 11], 0)), Some(Errno::NOSPC));
    assert_eq!(errno(file.allocate(11)), Some(Errno::NOSPC));
    assert_eq!(disk.space().unwrap(), (10, 1000));
}

#[test]
fn an_unmounted_disk_says_so_and_a_hook_sees_each_call_twice() {
    let disk = disk();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = std::sync::Arc::clone(&seen);
    disk.on_call(move |disk, call| {
        noted.lock().unwrap().push((call.name, call.done, disk.snapshot().paths().len()));
    });
    disk.make_dir(Path::new("d")).unwrap();
    disk.unmount();
    assert!(disk.still_mounted().is_err());
    disk.without_hook();
    disk.sync_all().unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen[..2], [("make_dir", false, 0), ("make_dir", true, 1)]);
    assert_eq!(seen.len(), 4);
    assert_eq!(disk.counts().flushes, 1);
}
