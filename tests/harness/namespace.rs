//! Network namespaces: every host a network stack of its own, all of them plugged into one switch.
//!
//! A namespace is held by a process that sleeps, and has no other name. When the test ends, in whatever way, the kernel kills
//! that process and takes the namespace away, with its links and addresses: there is nothing to collide with and nothing to
//! sweep up.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read as _, Write as _},
    net::Ipv4Addr,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::daemon::as_own_group;

/// Longest until a process has a namespace of its own.
const MADE_MAX: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(2);
/// Nobody has this address, so frames that are sent to it reach nobody.
const NO_ONE: &str = "02:00:00:00:00:fe";
/// Debian has it where only root looks.
const IP: [&str; 3] = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"];

/// A network namespace, for as long as this is held.
#[derive(Debug)]
struct Namespace(Child);

impl Namespace {
    fn new() -> Result<Self> {
        let mut command = as_own_group(Path::new("unshare"));
        command.args(["--net", "--", "sleep", "infinity"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut made = Self(command.spawn().context("starting unshare")?);
        let (ours, began) = (fs::read_link("/proc/thread-self/ns/net")?, Instant::now());
        loop {
            if let Some(status) = made.0.try_wait()? {
                let mut complaint = String::new();
                if let Some(mut from) = made.0.stderr.take() {
                    from.read_to_string(&mut complaint)?;
                }
                bail!("unshare --net: {status}: {}", complaint.trim());
            }
            // It has none at all for the moment between two programs.
            if fs::read_link(made.path()).is_ok_and(|its| its != ours) {
                return Ok(made);
            }
            ensure!(began.elapsed() < MADE_MAX, "unshare --net made no namespace within {MADE_MAX:?}");
            thread::sleep(POLL);
        }
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.0.id()))
    }

    /// Commands of `ip`, one a line.
    fn ip(&self, commands: &str) -> Result<()> {
        let ip = IP.iter().find(|path| Path::new(path).exists());
        let ip = ip.context("`ip` is missing: run tests/run, or install the package iproute2")?;
        let mut child = Command::new("nsenter")
            .arg(format!("--net={}", self.path().display()))
            .args(["--", ip, "-batch", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        child.stdin.take().context("no pipe to ip")?.write_all(commands.as_bytes())?;
        let output = child.wait_with_output()?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ip: {}\nof\n{commands}", complaint.trim());
        Ok(())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How a host is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// What is sent to it or by it is lost without a word, as behind a dead switch.
    Cable,
    /// Its own network card is off: the host itself knows at once.
    Card,
}

/// Hosts that see each other, and nobody else.
#[derive(Debug)]
pub struct Switch {
    inside: Namespace,
    hosts: BTreeMap<u8, Namespace>,
}

impl Switch {
    /// Says why when there can be no namespaces here: it takes root, or what root may do with networks.
    pub fn try_out() -> Result<()> {
        Self::of([1, 2]).map(drop)
    }

    /// A switch with these hosts.
    pub(crate) fn of(hosts: impl IntoIterator<Item = u8>) -> Result<Self> {
        let inside = Namespace::new()?;
        let mut plugged = BTreeMap::new();
        let mut links = String::from("link add bridge type bridge\nlink set bridge up\n");
        for number in hosts {
            let host = Namespace::new()?;
            links.push_str(&format!(
                "link add port{number} type veth peer name card netns {}\n\
                 link set port{number} master bridge up\n",
                host.0.id()
            ));
            plugged.insert(number, host);
        }
        inside.ip(&links)?;
        for (number, host) in &plugged {
            let address = Self::address(*number);
            host.ip(&format!("link set lo up\naddr add {address}/24 dev card\nlink set card up\n"))?;
        }
        Ok(Self { inside, hosts: plugged })
    }

    /// The address of a host. Every switch has the same ones.
    pub(crate) fn address(number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 83, 0, number)
    }

    /// What `nsenter --net=` takes.
    pub(crate) fn path(&self, number: u8) -> Result<PathBuf> {
        Ok(self.host(number)?.path())
    }

    /// From now on this thread, with what it starts, is at that host.
    pub(crate) fn enter(&self, number: u8) -> Result<()> {
        let namespace = File::open(self.path(number)?)?;
        Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
    }

    fn host(&self, number: u8) -> Result<&Namespace> {
        self.hosts.get(&number).with_context(|| format!("no host {number} is plugged in"))
    }

    /// Nobody reaches the host any more, and it reaches nobody.
    pub fn cut(&self, number: u8, how: Cut) -> Result<()> {
        self.set(number, how, "down")
    }

    /// The end of [`cut`](Self::cut).
    pub fn mend(&self, number: u8, how: Cut) -> Result<()> {
        self.set(number, how, "up")
    }

    fn set(&self, number: u8, how: Cut, to: &str) -> Result<()> {
        let host = self.host(number)?;
        match how {
            Cut::Cable => self.inside.ip(&format!("link set port{number} {to}\n")),
            Cut::Card => host.ip(&format!("link set card {to}\n")),
        }
    }

    /// Two hosts do not see each other any more; everybody else sees both.
    pub fn split(&self, one: u8, other: u8) -> Result<()> {
        self.both(one, other, |to| format!("neigh replace {to} lladdr {NO_ONE} nud permanent dev card\n"))
    }

    /// The end of [`split`](Self::split).
    pub fn join(&self, one: u8, other: u8) -> Result<()> {
        self.both(one, other, |to| format!("neigh del {to} dev card\n"))
    }

    fn both(&self, one: u8, other: u8, command: impl Fn(Ipv4Addr) -> String) -> Result<()> {
        self.host(one)?.ip(&command(Self::address(other)))?;
        self.host(other)?.ip(&command(Self::address(one)))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use super::*;

    const SOON: Duration = Duration::from_millis(500);

    /// Host 2 listens; this thread is host 1.
    #[test]
    fn hosts_meet_until_they_are_cut_or_split() -> Result<()> {
        if let Err(error) = Switch::try_out() {
            eprintln!("SKIPPED: no network namespaces here, so this checks nothing: {error:#}");
            return Ok(());
        }
        let switch = Switch::of([1, 2, 3])?;
        switch.enter(2)?;
        let listener = TcpListener::bind((Switch::address(2), 6200))?;
        let address = listener.local_addr()?;
        switch.enter(1)?;
        let reached = |address: SocketAddr| TcpStream::connect_timeout(&address, SOON).is_ok();
        assert!(reached(address));
        for how in [Cut::Cable, Cut::Card] {
            switch.cut(2, how)?;
            assert!(!reached(address), "{how:?}");
            switch.mend(2, how)?;
            assert!(eventually(|| reached(address)), "{how:?}");
        }
        switch.split(1, 2)?;
        assert!(!reached(address));
        switch.enter(3)?;
        assert!(reached(address), "everybody else sees both");
        switch.enter(1)?;
        switch.join(1, 2)?;
        assert!(eventually(|| reached(address)));
        Ok(())
    }

    fn eventually(mut holds: impl FnMut() -> bool) -> bool {
        let began = Instant::now();
        while began.elapsed() < MADE_MAX {
            if holds() {
                return true;
            }
        }
        false
    }
}
