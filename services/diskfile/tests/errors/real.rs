//! A few of these errors from the operating system itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use rustix::{
    mount::{MountFlags, UnmountFlags, mount, unmount},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use ssync_types::{Metadata, Reason, Refusal};

use crate::{
    DataFile, Device, DiskError, Found, Location, OpenOptions,
    disk::RealDisk,
    tests::bed::{WHOLE, at, path, settings},
};

/// Set where this program runs itself with few files.
const CHILD: &str = "SSYNC_TEST_FEW_FILES";

fn device(root: &Path) -> Arc<Device> {
    let settings = settings(root.to_path_buf());
    let disk = RealDisk::open(&root.join("sda"), false).unwrap();
    Arc::new(Device::on("sda".parse().unwrap(), Arc::new(settings), Box::new(disk), Arc::default()))
}

fn place(device: &Device) -> Location {
    let hash = device.settings.hash.hash(&path("o"));
    Location { policy: WHOLE, partition: hash.partition(10), hash }
}

fn put(device: &Arc<Device>, size: usize, known: bool, seconds: u64) -> Result<(), DiskError> {
    let mut writer = device.create(&place(device), &path("o"), known.then_some(size as u64))?;
    writer.write(&vec![7; size])?;
    let file =
        DataFile { timestamp: at(seconds), metadata: Metadata::new(), fragment: None, next_part_power: None };
    writer.commit(file).map(|_| ())
}

fn opens(device: &Arc<Device>) -> Result<u64, DiskError> {
    match device.open_object(&place(device), &OpenOptions::default())? {
        Found::Object(object) => Ok(object.info.content_length),
        other => panic!("{other:?}"),
    }
}

fn reason<T: std::fmt::Debug>(result: Result<T, DiskError>) -> Reason {
    Refusal::from(result.unwrap_err()).reason
}

/// A small file system; `None` where this program may not mount one.
struct Small(PathBuf);

impl Small {
    fn mount(below: &Path) -> Option<Self> {
        let options = c"size=1m,mode=0755";
        mount("tmpfs", below, "tmpfs", MountFlags::empty(), options).ok()?;
        Some(Self(below.to_path_buf()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

#[test]
fn a_body_larger_than_the_disk_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let sda = root.path().join("sda");
    fs::create_dir(&sda).unwrap();
    let Some(_mounted) = Small::mount(&sda) else {
        println!("not allowed to mount: not tested");
        return;
    };
    let device = device(root.path());
    put(&device, 1000, true, 1).unwrap();
    let free = device.space().unwrap().free;
    for known in [true, false] {
        assert_eq!(reason(put(&device, 4 << 20, known, 2)), Reason::DeviceFull, "size known: {known}");
        assert_eq!(opens(&device).unwrap(), 1000);
        assert_eq!(device.space().unwrap().free, free, "the space is free again");
    }
    put(&device, 2000, true, 3).unwrap();
    assert_eq!(opens(&device).unwrap(), 2000);
}

/// In a process of its own: a limit holds for all its threads.
#[test]
fn a_process_without_a_free_descriptor_says_so_and_recovers() {
    let this = "tests::errors::real::with_few_files";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", this, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && said.contains("recovered"),
        "{said}{}",
        String::from_utf8_lossy(&child.stderr)
    );
}

#[test]
fn with_few_files() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("sda")).unwrap();
    let device = device(root.path());
    put(&device, 100, true, 1).unwrap();
    let usual = getrlimit(Resource::Nofile);
    let mut refused = 0;
    // From no free descriptor up: another call is the one that fails each time.
    let mut held = Vec::new();
    setrlimit(Resource::Nofile, Rlimit { current: Some(40), maximum: usual.maximum }).unwrap();
    while let Ok(file) = fs::File::open("/dev/null") {
        held.push(file);
    }
    while !held.is_empty() {
        for outcome in [put(&device, 10, true, 2), put(&device, 10, false, 2), opens(&device).map(|_| ())] {
            if let Err(error) = outcome {
                assert_eq!(Refusal::from(error).reason, Reason::ObjectIo);
                refused += 1;
            }
        }
        held.pop();
    }
    assert!(refused > 3, "{refused}");
    assert!(!root.path().join("sda/quarantined").exists());
    put(&device, 200, true, 3).unwrap();
    assert_eq!(opens(&device).unwrap(), 200);
    println!("recovered after {refused}");
}
