//! A host for pods: namespaces of network, mounts and processes, and a podman that knows nothing of any other.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::{Child, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use ssync_tests::{as_own_group, repository, run_to_end};
use tempfile::TempDir;

const MADE_MAX: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);
/// The name that the chart gives the image where nothing else is said.
const IMAGE: &str = "localhost/ssync:0.1.0";
/// The pods' network.
pub(crate) const NETWORK: &str = "ring";
const SUBNET: &str = "10.84.0.0/24";
/// The least that mkfs.xfs takes is 300 MiB.
const DISK_SIZE: &str = "320M";

/// Held by a process that sleeps: all that runs in its namespaces ends with it.
pub(crate) struct Host {
    init: Child,
    id: u32,
    folder: TempDir,
}

impl Host {
    /// Nothing where podman cannot run a container, or nothing can be mounted. A container is tried with the programs of this
    /// machine, so that what is wrong with the image is not taken for that.
    /// With SSYNC_NO_SKIPS that is an error.
    pub(crate) fn set_up() -> Result<Option<Self>> {
        let host = Self::new().and_then(|host| {
            host.mount_disk(&host.folder().join("trial"))?;
            host.podman(&["network", "create", "--subnet", SUBNET, NETWORK])?;
            host.podman(&["run", "--rm", "--network", NETWORK, "--rootfs", "/:O", "/bin/true"])?;
            Ok(host)
        });
        let host = match host {
            Ok(host) => host,
            Err(error) if env::var_os("SSYNC_NO_SKIPS").is_some() => return Err(error),
            Err(error) => {
                eprintln!("SKIPPED: no pods can be run here, so this checks nothing: {error:#}");
                return Ok(None);
            }
        };
        // From here on this thread sees the pods.
        let network = File::open(format!("/proc/{}/ns/net", host.id))?;
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(Some(host))
    }

    fn new() -> Result<Self> {
        let folder = match env::var_os("SSYNC_TEST_DISK") {
            Some(disk) => TempDir::new_in(disk)?,
            None => TempDir::new()?,
        };
        configure(folder.path())?;
        let mut unshare = as_own_group(Path::new("unshare"));
        unshare.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
        unshare.args(["sh", "-c", "ip link set lo up && echo up && exec sleep infinity"]);
        unshare.env("PATH", search_path());
        let up = File::create(folder.path().join("up"))?;
        let init = unshare.stdin(Stdio::null()).stdout(up).spawn().context("starting unshare")?;
        let mut host = Self { id: init.id(), init, folder };
        let began = Instant::now();
        while fs::read(host.folder.path().join("up"))?.is_empty() {
            ensure!(host.init.try_wait()?.is_none(), "no namespaces for a host: it takes root");
            ensure!(began.elapsed() < MADE_MAX, "no namespaces for a host within {MADE_MAX:?}");
            thread::sleep(POLL);
        }
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", host.id))?;
        host.id = children.trim().parse().with_context(|| format!("children of unshare: {children:?}"))?;
        Ok(host)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a program on the host until it ends, well or not.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, program: &str, arguments: &[S]) -> Result<Output> {
        let setting = |name: &str, file: &str| format!("{name}={}", self.folder.path().join(file).display());
        let mut inside: Vec<String> = ["--net", "--mount", "--pid", "--target"].map(str::to_owned).into();
        inside.extend([
            self.id.to_string(),
            "env".to_owned(),
            format!("PATH={}", search_path()),
            setting("CONTAINERS_CONF", "containers.conf"),
            setting("CONTAINERS_STORAGE_CONF", "storage.conf"),
            program.to_owned(),
        ]);
        inside.extend(arguments.iter().map(|argument| argument.as_ref().to_string_lossy().into_owned()));
        run_to_end(Path::new("nsenter"), &inside)
    }

    /// The same, of which nothing but success will do: what it says.
    pub(crate) fn succeed<S: AsRef<OsStr>>(&self, program: &str, arguments: &[S]) -> Result<String> {
        let output = self.run(program, arguments)?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        let all: Vec<_> = arguments.iter().map(|argument| argument.as_ref().to_string_lossy()).collect();
        ensure!(output.status.success(), "{program} {}: {}", all.join(" "), complaint.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub(crate) fn podman(&self, arguments: &[&str]) -> Result<String> {
        self.succeed("podman", arguments)
    }

    /// Mounts a new disk, which is seen on the host alone.
    pub(crate) fn mount_disk(&self, at: &Path) -> Result<()> {
        fs::create_dir_all(at)?;
        let [image, at] = [at.with_extension("img"), at.to_path_buf()].map(|path| path.display().to_string());
        self.succeed("truncate", &["-s", DISK_SIZE, &image])?;
        self.succeed("mkfs.xfs", &["-q", &image])?;
        self.succeed("mount", &["-o", "loop,noatime", &image, &at]).map(drop)
    }

    /// Where this thread finds what is mounted on the host.
    pub(crate) fn seen_from_here(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.id));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The image as it is shipped, around the static form of the binary under test.
    pub(crate) fn build_image(&self) -> Result<()> {
        let build = repository().join("deploy/container/build");
        let binary = format!("BINARY={}", static_binary()?.display());
        self.succeed("env", &[&binary, "ENGINE=podman", &build.display().to_string(), IMAGE]).map(drop)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // What the kernel holds for containers, and does not let go of with their processes.
        let _ = self.podman(&["pod", "rm", "--force", "--all", "--time", "0"]);
        let _ = self.init.kill();
        let _ = self.init.wait();
    }
}

/// Debian has some of what is needed here where only root looks.
fn search_path() -> String {
    format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default())
}

fn static_binary() -> Result<PathBuf> {
    let binary = env::var_os("SSYNC_STATIC_BIN")
        .map_or_else(|| repository().join("target/release/ssync-static"), PathBuf::from);
    ensure!(binary.exists(), "{} does not exist: run tests/run, or set SSYNC_STATIC_BIN", binary.display());
    Ok(binary)
}

/// runc, since crun wants other control groups than some machines have; limits that any root may set.
fn configure(folder: &Path) -> Result<()> {
    let at = |name: &str| folder.join(name).display().to_string();
    let containers = format!(
        "[containers]\ndefault_ulimits = [\"nofile=20000:20000\", \"nproc=4096:4096\"]\n\
         [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n\
         [network]\nnetwork_backend = \"netavark\"\nnetwork_config_dir = \"{}\"\n",
        at("networks")
    );
    fs::write(folder.join("containers.conf"), containers)?;
    let storage = format!(
        "[storage]\ndriver = \"overlay\"\nrunroot = \"{}\"\ngraphroot = \"{}\"\n",
        at("run"),
        at("graph")
    );
    Ok(fs::write(folder.join("storage.conf"), storage)?)
}
