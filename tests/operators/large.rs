//! A node of 12 devices and 100,000 partitions: each question is answered in about a second, whatever is not asked for.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use ssync_ring::{Ring, RingDevice};
use ssync_tests::{as_own_group, run_to_end, ssync_binary};

use crate::ssync::Said;

const DEVICES: u16 = 12;
const PART_POWER: u32 = 17;
/// 3 * 2^17 replicas on 47 devices are 8,366 of each: 100,000 on this node.
const ALL_DEVICES: u16 = 47;
/// A bound for a machine that builds other things meanwhile, and a program without optimisations. What it takes is printed.
const TIME_MAX: Duration = Duration::from_secs(20);

/// Longest until something is known of a pass.
const PASS_MAX: Duration = Duration::from_secs(120);

struct Large {
    root: tempfile::TempDir,
}

fn ring(shift: u16) -> Result<Ring> {
    let device = |id: u16| {
        // The first twelve are this node's.
        let (ip, port) = if id < DEVICES { (1, 16_200) } else { (2 + (id - DEVICES) / 12, 16_200) };
        let local = RingDevice::local(id.into(), 1, ([127, 0, 0, ip as u8], port).into(), &format!("d{id}"))?;
        Ok(Some(RingDevice { zone: ip.into(), ..local }))
    };
    let devices: Vec<_> = (0..ALL_DEVICES).map(device).collect::<Result<_>>()?;
    let row = |replica: u32| -> Vec<u16> {
        (0..1_u32 << PART_POWER)
            .map(|part| {
                // In the ring that is shifted the first replica of each 64th partition is elsewhere.
                let moved = if replica == 0 && part % 64 == 0 { u32::from(shift) } else { 0 };
                ((part * 3 + replica + moved) % u32::from(ALL_DEVICES)) as u16
            })
            .collect()
    };
    Ok(Ring::new(devices, PART_POWER, (0..3).map(row).collect())?)
}

impl Large {
    fn new() -> Result<Self> {
        let disk = std::env::var_os("SSYNC_TEST_DISK").map_or_else(std::env::temp_dir, PathBuf::from);
        let root = tempfile::tempdir_in(disk)?;
        let now = ring(0)?;
        let etc = root.path().join("etc");
        for place in [&etc, &root.path().join("new")] {
            fs::create_dir_all(place)?;
        }
        fs::write(etc.join("object.ring.gz"), now.to_v1()?)?;
        fs::write(root.path().join("new/object.ring.gz"), ring(5)?.to_v1()?)?;
        fs::write(
            etc.join("swift.conf"),
            "[swift-hash]\nswift_hash_path_suffix = large\n[storage-policy:0]\nname = gold\ndefault = yes\n",
        )?;
        let devices = root.path().join("srv");
        fs::write(
            etc.join("object-server.conf"),
            format!(
                "[DEFAULT]\ndevices = {}\nmount_check = false\nbind_ip = 127.0.0.1\nbind_port = 16200\nswift_dir = {}\n\
                 [app:object-server]\nuse = egg:swift#object\n[object-replicator]\nrecon_cache_path = {}\n\
                 [ssync]\nadmin_bind = 127.0.0.1:16301\n",
                devices.display(),
                etc.display(),
                root.path().display()
            ),
        )?;
        for id in 0..u32::from(DEVICES) {
            let objects = devices.join(format!("d{id}/objects"));
            fs::create_dir_all(&objects)?;
            for part in
                (0..1_u32 << PART_POWER).filter(|part| now.is_primary(id, ssync_types::Partition::new(*part)))
            {
                fs::create_dir(objects.join(part.to_string()))?;
            }
        }
        Ok(Self { root })
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    fn ask(&self, arguments: &[&str]) -> Result<(Said, Duration)> {
        let conf = self.path("etc/object-server.conf").display().to_string();
        let all: Vec<&str> = arguments.iter().copied().chain(["--conf", &conf]).collect();
        let begun = Instant::now();
        let said = Said::of(&run_to_end(&ssync_binary()?, &all)?);
        let took = begun.elapsed();
        println!("ssync {}: {took:?}", arguments.join(" "));
        assert!(took < TIME_MAX, "ssync {} took {took:?}", arguments.join(" "));
        Ok((said, took))
    }

    /// System calls that look into directories, by strace where it is.
    fn calls(&self, arguments: &[&str]) -> Result<Option<u64>> {
        let trace = self.path("trace");
        let conf = self.path("etc/object-server.conf").display().to_string();
        let watched = "--trace=openat,openat2,getdents64,statx,newfstatat,fstat";
        let program = ssync_binary()?.display().to_string();
        let trace_name = trace.display().to_string();
        let mut all = vec!["-f", "-qq", watched, "-o", &trace_name, &program];
        all.extend(arguments.iter().copied().chain(["--conf", &conf]));
        let Ok(strace) = std::process::Command::new("strace").args(&all).output() else { return Ok(None) };
        if !trace.exists() {
            println!("strace cannot trace here: {}", String::from_utf8_lossy(&strace.stderr));
            return Ok(None);
        }
        Ok(Some(fs::read_to_string(&trace)?.lines().count() as u64))
    }
}

/// A daemon of the node, killed when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Each of 200,000 visits finds nobody: all of them are remembered as not known, and each question is answered from memory.
#[test]
fn a_running_node_answers_from_memory() -> Result<()> {
    let large = Large::new()?;
    let mut node = as_own_group(&ssync_binary()?);
    node.args(["node", "--conf"]).arg(large.path("etc/object-server.conf"));
    let log = fs::File::create(large.path("log"))?;
    let _running = Running(node.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?);
    let begun = Instant::now();
    loop {
        let (said, _) = large.ask(&["status", "--json"])?;
        let unknown = said.last_json().ok().and_then(|told| told["backlog"]["unknown"].as_u64());
        if unknown.is_some_and(|unknown| unknown > 20_000) {
            break;
        }
        ensure!(
            begun.elapsed() < PASS_MAX,
            "nothing is found out: {said:?} {}",
            fs::read_to_string(large.path("log"))?
        );
        std::thread::sleep(Duration::from_millis(500));
    }
    for question in ["status", "why-slow", "errors", "limits"] {
        let (said, took) = large.ask(&[question])?;
        assert_eq!(said.code, Some(0), "{said:?}");
        println!("ssync {question}: {took:?} while the pass goes on");
    }
    let (said, _) = large.ask(&["status", "--json"])?;
    let told = said.last_json()?;
    assert!(number(&told, "partitions_total") > 100_000, "{}", told["partitions_total"]);
    assert_eq!(told["devices"].as_array().map(Vec::len), Some(usize::from(DEVICES)));
    Ok(())
}

fn number(told: &Value, key: &str) -> u64 {
    told[key].as_u64().unwrap_or_else(|| panic!("no {key} in {told}"))
}

#[test]
fn questions_are_answered_without_a_look_into_every_partition() -> Result<()> {
    let large = Large::new()?;
    let (said, _) = large.ask(&["verify", "--sample", "100", "--json"])?;
    let told = said.last_json()?;
    assert_eq!(said.code, Some(0), "{told:#}");
    let devices = told["devices"].as_array().context("devices")?;
    let sum = |key: &str| devices.iter().map(|device| number(device, key)).sum::<u64>();
    assert_eq!(devices.len(), usize::from(DEVICES));
    assert!(sum("partitions") > 100_000, "{} partitions", sum("partitions"));
    assert!(sum("partitions_visited") <= 100 * u64::from(DEVICES), "{told}");
    if let Some(calls) = large.calls(&["verify", "--sample", "100", "--json"])? {
        println!("{calls} calls for a sample of 100 of each device");
        assert!(calls < 40_000, "{calls} calls are too many for {} partitions", sum("partitions_visited"));
    }

    // Nobody serves here: it is told of every replica, from the ring alone.
    let (said, _) = large.ask(&["partition", "77", "--json"])?;
    assert_eq!(said.code, Some(1), "{said:?}");
    if let Some(calls) = large.calls(&["partition", "77", "--json"])? {
        println!("{calls} calls for one partition");
        assert!(calls < 4_000, "{calls} calls for one partition");
    }

    // Each partition that leaves has an object, of 4 to 67 KiB.
    for id in 0..DEVICES {
        let objects = large.path(&format!("srv/d{id}/objects"));
        for part in
            (0..1_u32 << PART_POWER).step_by(64).filter(|part| objects.join(part.to_string()).exists())
        {
            let object = objects.join(format!("{part}/fff/{part:029x}fff"));
            fs::create_dir_all(&object)?;
            fs::File::create(object.join("1700000000.00000.data"))?
                .set_len(4096 + 1024 * u64::from(part / 64 % 64))?;
        }
    }
    let new = large.path("new").display().to_string();
    let (said, _) = large.ask(&["plan", "--ring", &new, "--json", "--rate", "1MiB"])?;
    assert_eq!(said.code, Some(0), "{said:?}");
    let told = said.last_json()?[0].clone();
    assert_eq!(number(&told, "moving"), 1 << (PART_POWER - 6), "{}", told["moving"]);
    assert_eq!((number(&told, "partitions"), number(&told, "partitions_moving_all")), (1 << PART_POWER, 0));
    let leaving: u64 =
        told["here"].as_array().into_iter().flatten().map(|device| number(device, "partitions")).sum();
    assert!(leaving > 400, "{leaving} partitions leave this node");
    let objects: f64 =
        told["here"].as_array().into_iter().flatten().filter_map(|device| device["objects"].as_f64()).sum();
    assert!((objects - leaving as f64).abs() < 0.5, "each has one object: {objects} of {leaving}");
    let (said, _) = large.ask(&["plan", "--ring", &new, "--rate", "1MiB"])?;
    println!("{}", said.output);
    assert!(said.output.contains("2,048 of them would move (0.5 %)"), "{}", said.output);
    assert!(
        said.output.contains("This node would push ") && said.output.contains("at 1.0 MiB/s (--rate)"),
        "{}",
        said.output
    );
    refusals(&large)
}

fn refusals(large: &Large) -> Result<()> {
    let small = large.path("other.ring.gz");
    let devices = vec![Some(RingDevice::local(0, 1, ([127, 0, 0, 1], 16_200).into(), "d0")?)];
    fs::write(&small, Ring::new(devices, 1, vec![vec![0, 0]])?.to_v1()?)?;
    let said = |path: &Path, more: &[&str]| -> Result<String> {
        let path = path.display().to_string();
        let arguments: Vec<&str> =
            ["plan", "--ring", &path].into_iter().chain(more.iter().copied()).collect();
        let (said, _) = large.ask(&arguments)?;
        assert_ne!(said.code, Some(0), "{said:?}");
        Ok(said.error)
    };
    assert!(said(&small, &[])?.contains("does not say by its name of which policy"));
    assert!(said(&small, &["--policies", "0"])?.contains("its partition power is 1"));
    assert!(said(&large.path("new/object.ring.gz"), &["--policies", "3"])?.contains("no policy [3]"));
    Ok(())
}
