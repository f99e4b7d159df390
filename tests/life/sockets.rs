//! Sockets that systemd has opened: connections wait in them while nobody serves.

use std::{
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use anyhow::Result;
use rustix::{
    io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd},
    process::Signal,
};
use ssync_tests::{Cluster, Connection, as_own_group, ssync_binary};

use crate::{
    load::Load,
    told::{PATIENCE, Started, until},
};

const HEALTHCHECK: &[u8] = b"GET /healthcheck HTTP/1.1\r\nHost: node\r\n\r\n";

/// By the program that systemd has for this: it listens, and becomes the daemon when the first connection comes.
#[test]
fn the_connection_that_starts_the_daemon_is_answered_by_it() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let node = cluster.node(1);
    let mut activate = as_own_group(Path::new("systemd-socket-activate"));
    activate
        .args([
            "--fdname=data:admin",
            "-l",
            &node.address().to_string(),
            "-l",
            &node.admin_address().to_string(),
        ])
        .arg(ssync_binary()?)
        .args(["node", "--no-replicator", "--conf"])
        .arg(node.conf());
    let mut daemon = Started::of(&cluster, activate)?;
    until("systemd listens", || Ok(TcpStream::connect(node.address()).is_ok()))?;
    let mut connection = Connection::open(node.address())?;
    connection.wait_at_most(PATIENCE)?;
    connection.send(HEALTHCHECK);
    assert_eq!(connection.answer()?.status, 200);
    daemon.says("listening")?;
    assert!(!daemon.log().contains("no option names"), "{}", daemon.log());

    // The program that opened it has become the daemon, so nobody else holds it.
    daemon.signal(Signal::TERM)?;
    assert!(daemon.end()?.success());
    assert!(TcpStream::connect(node.address()).is_err(), "somebody listens on");
    Ok(())
}

/// As systemd does it: the socket listens through the restart, and whoever comes meanwhile waits.
#[test]
fn a_restart_refuses_no_connection() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let node = cluster.node(1);
    let socket = TcpListener::bind(node.address())?;
    let handed_over = fcntl_dupfd_cloexec(&socket, 200)?;
    fcntl_setfd(&handed_over, FdFlags::empty())?;
    let number = handed_over.as_raw_fd().to_string();
    let with_socket = |command: &mut Command| {
        command.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "data").env("LISTEN_FDS_FIRST_FD", &number);
    };
    let mut first = Started::ssync(&cluster, "node --no-replicator", with_socket)?;
    first.says("listening")?;
    let load = Load::on(node)?;
    load.go_on_for(50)?;
    first.signal(Signal::TERM)?;
    assert!(first.end()?.success(), "{}", first.log());
    let second = Started::ssync(&cluster, "node --no-replicator", with_socket)?;
    load.go_on_for(50)?;
    let outcome = load.outcome();
    assert_eq!(outcome.refused, 0, "{outcome:?}");
    drop(second);
    Ok(())
}

/// What cannot be listened on is the unit's mistake.
#[test]
fn a_socket_for_datagrams_is_refused() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let node = cluster.node(1);
    let mut activate = as_own_group(Path::new("systemd-socket-activate"));
    activate
        .args(["--datagram", "-l", &node.address().to_string()])
        .arg(ssync_binary()?)
        .args(["node", "--no-replicator", "--conf"])
        .arg(node.conf());
    let mut daemon = Started::of(&cluster, activate)?;
    thread::sleep(Duration::from_millis(300));
    let knock = std::net::UdpSocket::bind((node.address().ip(), 0))?;
    until("it is started", || {
        // Until it listens, nobody takes it.
        let _ = knock.send_to(b"knock", node.address());
        Ok(daemon.log().contains("cannot be listened on"))
    })?;
    assert_eq!(daemon.end()?.code(), Some(78));
    Ok(())
}
