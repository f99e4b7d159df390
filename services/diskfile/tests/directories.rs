//! Open directories, on a real disk and on a simulated one.

use std::{ffi::OsStr, io, path::Path};

use rustix::io::Errno;

use crate::{
    disk::{Disk, DiskDir, OpenMode, Patient, RealDisk, read_all, write_all},
    simulation::{Options, SimDisk},
};

fn on_both(test: impl Fn(&dyn Disk)) {
    let root = tempfile::tempdir().unwrap();
    test(&Patient::new(Box::new(RealDisk::open(root.path(), false).unwrap())));
    test(&Patient::new(Box::new(SimDisk::new(Options::default()))));
}

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

fn file(disk: &dyn Disk, path: &str, bytes: &[u8]) {
    let file = disk.open(Path::new(path), OpenMode::CreateNew).unwrap();
    write_all(&*file, bytes, 0).unwrap();
}

fn names(directory: &dyn DiskDir) -> Vec<String> {
    let entries = directory.list().unwrap();
    let mut names: Vec<_> = entries.into_iter().map(|entry| entry.name.into_string().unwrap()).collect();
    names.sort();
    names
}

fn is<T>(result: io::Result<T>, expected: Errno) -> bool {
    result.is_err_and(|error| error.raw_os_error() == Some(expected.raw_os_error()))
}

#[test]
fn what_is_in_an_open_directory_is_reached_without_a_path() {
    on_both(|disk| {
        disk.make_dir(Path::new("a")).unwrap();
        let above = disk.open_dir(Path::new("a")).unwrap();
        above.make_dir(name("b")).unwrap();
        file(disk, "a/b/f", b"body");
        let directory = above.open_dir(name("b")).unwrap();
        assert_eq!(read_all(&*directory.open(name("f")).unwrap(), 9).unwrap(), b"body");
        assert_eq!(directory.stat().unwrap().inode, disk.stat(Path::new("a/b")).unwrap().inode);
        assert!(directory.stat().unwrap().directory);
        directory.sync().unwrap();
        assert_eq!(names(&*directory), ["f"]);
        file(disk, "a/b/g", b"");
        assert_eq!(names(&*directory), ["f", "g"], "it is listed anew each time");
        assert_eq!(directory.list().unwrap()[0].inode, {
            let first = directory.list().unwrap()[0].name.clone();
            disk.stat(&Path::new("a/b").join(first)).unwrap().inode
        });
    });
}

#[test]
fn an_open_directory_stays_the_same_when_its_name_does_not() {
    on_both(|disk| {
        disk.make_dir(Path::new("a")).unwrap();
        file(disk, "a/f", b"1");
        let directory = disk.open_dir(Path::new("a")).unwrap();
        disk.rename(Path::new("a"), Path::new("b")).unwrap();
        assert_eq!(names(&*directory), ["f"]);
        assert!(directory.open(name("f")).is_ok());
        disk.unlink(Path::new("b/f")).unwrap();
        disk.remove_dir(Path::new("b")).unwrap();
        assert!(names(&*directory).is_empty());
        assert!(is(directory.open(name("f")), Errno::NOENT));
        assert!(is(directory.make_dir(name("d")), Errno::NOENT));
        let nameless = disk.temporary(Path::new("")).unwrap();
        assert!(is(nameless.link_in(&*directory, name("g")), Errno::NOENT));
        assert!(is(disk.open_dir(Path::new("b")), Errno::NOENT));
    });
}

#[test]
fn a_file_is_named_in_an_open_directory() {
    on_both(|disk| {
        disk.make_dir(Path::new("a")).unwrap();
        let directory = disk.open_dir(Path::new("a")).unwrap();
        let nameless = disk.temporary(Path::new("a")).unwrap();
        write_all(&*nameless, b"x", 0).unwrap();
        nameless.link_in(&*directory, name("f")).unwrap();
        assert_eq!(read_all(&*disk.open(Path::new("a/f"), OpenMode::Read).unwrap(), 9).unwrap(), b"x");
        let other = disk.temporary(Path::new("a")).unwrap();
        assert!(is(other.link_in(&*directory, name("f")), Errno::EXIST));
    });
}

#[test]
fn no_name_leads_out_of_an_open_directory() {
    on_both(|disk| {
        for path in ["a", "a/b", "c"] {
            disk.make_dir(Path::new(path)).unwrap();
        }
        file(disk, "f", b"");
        file(disk, "a/b/f", b"");
        let directory = disk.open_dir(Path::new("a")).unwrap();
        for bad in ["", ".", "..", "../f", "b/f", "/f", "b/", "x\0"] {
            assert!(is(directory.open(name(bad)), Errno::INVAL), "{bad}");
            assert!(is(directory.open_dir(name(bad)), Errno::INVAL), "{bad}");
            assert!(is(directory.make_dir(name(bad)), Errno::INVAL), "{bad}");
            let nameless = disk.temporary(Path::new("a")).unwrap();
            assert!(is(nameless.link_in(&*directory, name(bad)), Errno::INVAL), "{bad}");
        }
        assert!(is(disk.open_dir(Path::new("f")), Errno::NOTDIR));
        assert!(is(disk.open_dir(Path::new("a/b")).unwrap().open_dir(name("f")), Errno::NOTDIR));
    });
}

#[test]
fn a_link_to_a_directory_is_followed_within_the_device_and_no_link_to_a_file_is() {
    let root = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(root.path(), false).unwrap();
    for path in ["a", "b"] {
        disk.make_dir(Path::new(path)).unwrap();
    }
    file(&disk, "b/f", b"");
    let link = |to: &str, from: &str| std::os::unix::fs::symlink(to, root.path().join(from)).unwrap();
    link("../b", "a/within");
    link("/", "a/out");
    link("../b/f", "a/file");
    let directory = disk.open_dir(Path::new("a")).unwrap();
    assert_eq!(names(&*directory.open_dir(name("within")).unwrap()), ["f"]);
    assert!(is(directory.open_dir(name("out")), Errno::XDEV));
    assert!(is(directory.open(name("file")), Errno::LOOP));
}

#[test]
fn a_directory_of_many_names_is_listed_whole() {
    on_both(|disk| {
        disk.make_dir(Path::new("a")).unwrap();
        let all: Vec<_> = (0..2000).map(|number| format!("{number:060}")).collect();
        for name in &all {
            file(disk, &format!("a/{name}"), b"");
        }
        assert_eq!(names(&*disk.open_dir(Path::new("a")).unwrap()), all);
    });
}
