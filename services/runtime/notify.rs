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
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";

/// What `swift-reload` listens at for a server's own word, before the server's process id (Swift: common/utils
/// get_pid_notify_socket).
const SWIFT_RELOAD: &str = "swift-notifications\0";

/// What is added to the time that a drain may take, for what comes after it.
const STOP_MARGIN: Duration = Duration::from_secs(10);

/// The daemon serves; `text` is what `systemctl status` shows.
pub fn ready(text: &str) {
    send(&format!("READY=1\n{}", status_line(text)));
}

/// How it is now.
pub fn status(text: &str) {
    send(&status_line(text));
}

/// It reads its configuration anew; [`ready`] ends that.
pub fn reloading() {
    let now = clock_gettime(ClockId::Monotonic);
    let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
    send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}\n{}", status_line("reloading")));
}

/// The daemon drains, which may take so long.
pub fn stopping(longest: Duration) {
    let microseconds = (longest + STOP_MARGIN).as_micros();
    send(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={microseconds}\n{}", status_line("draining")));
}

/// It gets on ([`crate::Watchdog`] decides).
pub(crate) fn beat() {
    send("WATCHDOG=1\n");
}

/// The same for `swift-reload`, which waits for the word of the process that it has signalled. Nobody listens most of the
/// time.
pub fn tell_swift_reload(state: &str) {
    let name = format!("@{SWIFT_RELOAD}{}", std::process::id());
    let _ = send_to(name.as_bytes(), state);
}

fn status_line(text: &str) -> String {
    format!("STATUS={}\n", text.replace('\n', " "))
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
