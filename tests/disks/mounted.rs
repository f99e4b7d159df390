//! A disk of its own below a node's devices: an XFS image on a loop device, which can hang and can be taken away.

use std::{
    fs, io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

/// The least that mkfs.xfs takes is 300 MiB.
const IMAGE_SIZE: &str = "320M";
/// Longest wait until a disk that was taken away can be mounted again.
const REMOUNT_WAIT_MAX: Duration = Duration::from_secs(60);

/// Ends a mount, whatever becomes of the test: this runs when the test closes its standard input, or dies.
const CLEAN_UP: &str =
    r#"cat >/dev/null; fsfreeze -u "$1" 2>/dev/null; while umount -l "$1" 2>/dev/null; do :; done"#;

/// A mounted image.
#[derive(Debug)]
pub(crate) struct Mounted {
    mount: PathBuf,
    image: PathBuf,
    cleaner: Child,
    _folder: TempDir,
}

/// A disk that hangs until this is dropped. Drop it before the daemons: no signal reaches a process that waits for a disk.
#[derive(Debug)]
pub(crate) struct Frozen<'a>(&'a Path);

fn run(program: &str, arguments: &[&Path]) -> Result<()> {
    let output = Command::new(program).args(arguments).output().with_context(|| program.to_owned())?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

impl Mounted {
    /// A new disk at `mount`. `None`, and a word about it, where nothing can be mounted (not root, no loop devices).
    pub(crate) fn at(mount: PathBuf) -> Result<Option<Self>> {
        let folder =
            if Path::new("/dev/shm").is_dir() { TempDir::new_in("/dev/shm") } else { TempDir::new() }?;
        let image = folder.path().join("disk.img");
        fs::create_dir_all(&mount)?;
        let made = run("truncate", &[Path::new("-s"), Path::new(IMAGE_SIZE), &image])
            .and_then(|()| run("mkfs.xfs", &[Path::new("-q"), &image]))
            .and_then(|()| loop_mount(&image, &mount, "loop,noatime"));
        if let Err(error) = made {
            eprintln!("SKIPPED: no XFS image can be mounted here, so this checks nothing: {error:#}");
            return Ok(None);
        }
        Ok(Some(Self { cleaner: cleaner(&mount)?, mount, image, _folder: folder }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.mount
    }

    /// From now on whatever would change the disk waits, in the kernel.
    pub(crate) fn freeze(&self) -> Result<Frozen<'_>> {
        run("fsfreeze", &[Path::new("-f"), &self.mount])?;
        Ok(Frozen(&self.mount))
    }

    /// What a power cut would leave at this moment of what the disk was told, mounted at `mount`.
    pub(crate) fn as_after_power_cut(&self, mount: PathBuf) -> Result<Self> {
        let folder = TempDir::new_in(self.image.parent().context("an image without a folder")?)?;
        let image = folder.path().join("copy.img");
        run("cp", &[Path::new("--sparse=always"), &self.image, &image])?;
        fs::create_dir_all(&mount)?;
        loop_mount(&image, &mount, "loop,noatime,nouuid")?;
        Ok(Self { cleaner: cleaner(&mount)?, mount, image, _folder: folder })
    }

    /// Takes the disk away under whoever uses it.
    pub(crate) fn take_away(&self) -> Result<()> {
        run("umount", &[Path::new("-l"), &self.mount])
    }

    /// Mounts it again, once nobody uses it any more.
    pub(crate) fn bring_back(&self) -> Result<()> {
        let began = Instant::now();
        loop {
            match loop_mount(&self.image, &self.mount, "loop,noatime") {
                Ok(()) => return Ok(()),
                Err(error) if began.elapsed() > REMOUNT_WAIT_MAX => bail!("it is still in use: {error:#}"),
                Err(_) => thread::sleep(Duration::from_millis(200)),
            }
        }
    }
}

fn loop_mount(image: &Path, mount: &Path, options: &str) -> Result<()> {
    run("mount", &[Path::new("-o"), Path::new(options), image, mount])
}

fn cleaner(mount: &Path) -> io::Result<Child> {
    let mut command = Command::new("sh");
    command
        .args(["-c", CLEAN_UP, "sh"])
        .arg(mount)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // Who kills the test with its group leaves this alive.
    command.process_group(0).spawn()
}

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(self.cleaner.stdin.take());
        let _ = self.cleaner.wait();
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        if let Err(error) = run("fsfreeze", &[Path::new("-u"), self.0]) {
            eprintln!("{error:#}");
        }
    }
}
