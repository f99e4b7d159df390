//! Tells systemd how the daemon is (`Type=notify`, sd_notify(3)). Without systemd it does nothing.

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";

/// The daemon serves; `status` is what `systemctl status` shows.
pub fn ready(status: &str) {
    send(&format!("READY=1\nSTATUS={}\n", status.replace('\n', " ")));
}

/// The daemon drains.
pub fn stopping() {
    send("STOPPING=1\nSTATUS=draining\n");
}

/// A service manager that cannot be told is no reason to stop.
fn send(message: &str) {
    let Some(socket) = env::var_os(SOCKET_VARIABLE).filter(|name| !name.is_empty()) else { return };
    if let Err(error) = send_to(socket.as_bytes(), message) {
        tracing::warn!(%error, ?socket, "the service manager cannot be told (NOTIFY_SOCKET)");
    }
}

/// A name that begins with `@` is an abstract one.
fn send_to(name: &[u8], message: &str) -> io::Result<()> {
    let address = match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(message.as_bytes(), &address).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_reach_a_socket_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        send_to(path.as_os_str().as_bytes(), "READY=1\n").unwrap();
        let mut buffer = [0; 64];
        let length = by_path.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1\n");

        let name = format!("ssync-notify-{}", std::process::id());
        let abstract_one = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        send_to(format!("@{name}").as_bytes(), "STOPPING=1\n").unwrap();
        let length = abstract_one.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"STOPPING=1\n");
    }

    #[test]
    fn a_socket_that_is_not_there_is_an_error_and_no_panic() {
        assert!(send_to(b"/nonexistent/notify", "READY=1\n").is_err());
    }
}
