//! What a PUT costs in each durability, beside Swift's own DiskFile on the same disk, in alternation.
//!
//! ```sh
//! cargo run --release -p ssync-diskfile --example put -- DIRECTORY [OBJECTS [ROUNDS [BYTES]]]
//! ```
//!
//! `SWIFT_VENV` is a virtual environment with Swift, by default the one that `tests/run` makes. Each run writes its objects
//! to an empty device in the directory, by one writer and by many: threads here, processes there. Printed are the medians
//! of the rounds, and how many times Swift's rate that is. Not flushed: `none` only.

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Instant,
};

use rustix::time::{ClockId, clock_gettime};
use ssync_diskfile::{DataFile, Devices, DiskConfig, Location, PolicyKind};
use ssync_types::{Durability, HashPathConfig, Metadata, ObjectPath, PolicyIndex, Timestamp};

const PART_POWER: u32 = 8;
const WRITERS: [usize; 2] = [1, 16];
const WAYS: [&str; 4] = ["swift", "object", "batch", "none"];

type Failure = Box<dyn Error + Send + Sync>;

/// What one run took, in seconds.
#[derive(Debug, Clone, Copy)]
struct Cost {
    wall: f64,
    cpu: f64,
}

/// What every run writes, and where.
struct Work {
    directory: PathBuf,
    objects: usize,
    bytes: usize,
}

fn main() -> Result<(), Failure> {
    let mut arguments = env::args().skip(1);
    let directory = arguments.next().ok_or("usage: put DIRECTORY [OBJECTS [ROUNDS [BYTES]]]")?;
    let mut number = |or: usize| arguments.next().map_or(Ok(or), |text| text.parse());
    let (objects, rounds, bytes) = (number(2_000)?, number(3)?.max(1), number(4096)?);
    let work = Work { directory: Path::new(&directory).join("ssync-put-bench"), objects, bytes };
    fs::create_dir_all(&work.directory)?;
    let measured = measure(&work, rounds);
    fs::remove_dir_all(&work.directory)?;
    print(&work, rounds, &measured?);
    Ok(())
}

fn measure(work: &Work, rounds: usize) -> Result<BTreeMap<(usize, &'static str), Vec<Cost>>, Failure> {
    let mut measured = BTreeMap::<_, Vec<_>>::new();
    for _ in 0..rounds {
        for writers in WRITERS {
            for way in WAYS {
                let device = work.directory.join("sda");
                fs::create_dir(&device)?;
                let cost = match way {
                    "swift" => swift(work, writers)?,
                    "object" => ours(work, writers, Durability::Object)?,
                    "batch" => ours(work, writers, Durability::Batch)?,
                    _ => ours(work, writers, Durability::None)?,
                };
                measured.entry((writers, way)).or_default().push(cost);
                fs::remove_dir_all(&device)?;
            }
        }
    }
    Ok(measured)
}

fn ours(work: &Work, writers: usize, durability: Durability) -> Result<Cost, Failure> {
    let config = DiskConfig {
        devices: work.directory.clone(),
        mount_check: false,
        durability,
        ..DiskConfig::default()
    };
    let policies = BTreeMap::from([(PolicyIndex::new(0), PolicyKind::Replication)]);
    let devices = Devices::new(config, HashPathConfig::new("changeme", "changeme")?, policies);
    // What the run before left to be written is not this one's.
    devices.open(&"sda".parse()?)?.sync()?;
    let (began, cpu) = (Instant::now(), cpu_seconds());
    thread::scope(|scope| {
        let devices = &devices;
        let threads: Vec<_> = (0..writers)
            .map(|first| {
                scope.spawn(move || {
                    (first..work.objects).step_by(writers).try_for_each(|n| put(devices, n, work.bytes))
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err("a writer panicked".into())))
    })?;
    Ok(Cost { wall: began.elapsed().as_secs_f64(), cpu: cpu_seconds() - cpu })
}

fn put(devices: &Devices, number: usize, bytes: usize) -> Result<(), Failure> {
    let path = ObjectPath::of("AUTH_test", "c", &format!("object-{number}"))?;
    let hash = devices.hash_path().hash(&path);
    let at = Location { policy: PolicyIndex::new(0), partition: hash.partition(PART_POWER), hash };
    let mut writer = devices.open(&"sda".parse()?)?.create(&at, &path, Some(bytes as u64))?;
    writer.write(&vec![b'x'; bytes])?;
    let mut metadata = Metadata::new();
    metadata.set("Content-Type", "application/octet-stream");
    let timestamp = Timestamp::from_system_time(std::time::SystemTime::now());
    writer.commit(DataFile { timestamp, metadata, fragment: None, next_part_power: None })?;
    Ok(())
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn swift(work: &Work, writers: usize) -> Result<Cost, Failure> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let venv =
        env::var_os("SWIFT_VENV").map_or_else(|| sources.join("../../target/swift-venv"), PathBuf::from);
    let numbers = [writers, work.objects, work.bytes, PART_POWER as usize].map(|number| number.to_string());
    let output = Command::new(venv.join("bin/python"))
        .arg(sources.join("bench/swift_put.py"))
        .arg(&work.directory)
        .args(numbers)
        .output()
        .map_err(|error| format!("{}: {error}; run tests/run, or set SWIFT_VENV", venv.display()))?;
    if !output.status.success() {
        return Err(format!("swift_put.py: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let (wall, cpu) = text.trim().split_once(' ').ok_or("swift_put.py did not print two numbers")?;
    Ok(Cost { wall: wall.parse()?, cpu: cpu.parse()? })
}

fn print(work: &Work, rounds: usize, measured: &BTreeMap<(usize, &'static str), Vec<Cost>>) {
    let Work { directory, objects, bytes } = work;
    println!("{objects} x {bytes} bytes, medians of {rounds} rounds, in {}", directory.display());
    println!(
        "{:>7}  {:<7}{:>10}{:>11}{:>9}{:>9}",
        "writers", "way", "PUT/s", "ms a PUT", "CPU ms", "x Swift"
    );
    for writers in WRITERS {
        let rate = |way| {
            measured
                .get(&(writers, way))
                .map_or(0.0, |costs| *objects as f64 / median(costs, |cost| cost.wall))
        };
        for way in WAYS {
            let Some(costs) = measured.get(&(writers, way)) else { continue };
            println!(
                "{writers:>7}  {way:<7}{:>10.0}{:>11.3}{:>9.3}{:>9.1}",
                rate(way),
                writers as f64 * 1000.0 / rate(way),
                median(costs, |cost| cost.cpu) * 1000.0 / *objects as f64,
                rate(way) / rate("swift"),
            );
        }
    }
}

fn median(costs: &[Cost], of: impl Fn(&Cost) -> f64) -> f64 {
    let mut values: Vec<_> = costs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
