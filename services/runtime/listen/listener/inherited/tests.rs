//! Sockets that go from one process to another: a test starts this program again, for one test alone.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use super::*;

/// Set only in a process that a test starts: what it is to ask for.
const CHILD_VARIABLE: &str = "INHERITED_TEST_CHILD";

fn child(wanted: &str, prepare: impl FnOnce(&mut Command)) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", "listen::listener::inherited::tests::in_a_process_of_its_own", "--nocapture"])
        .env(CHILD_VARIABLE, wanted);
    prepare(&mut command);
    command
}

/// Accepts one connection on the socket that it was handed, and says what it found.
#[test]
fn in_a_process_of_its_own() {
    let Ok(wanted) = env::var(CHILD_VARIABLE) else { return };
    let mut inherited = Inherited::from_environment().unwrap();
    assert!(env::var(COUNT_VARIABLE).is_err(), "whoever this starts would take them for its own");
    let (name, address) = wanted.split_once(' ').unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let address: BindAddress = address.parse().unwrap();
        let found = inherited.take(name, &address, &ListenOptions::default()).unwrap();
        let Some(listener) = found else {
            println!("none; left over: {:?}", inherited.left_over());
            return;
        };
        let (mut socket, peer) = listener.accept().await.unwrap();
        assert!(peer.is_local());
        tokio::io::AsyncWriteExt::write_all(&mut socket, listener.address().to_string().as_bytes())
            .await
            .unwrap();
    });
}

fn tcp() -> (StdTcpListener, String) {
    let listener = StdTcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

fn answer(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_connection_that_came_before_the_process_is_served_by_it() {
    let ((first, _), (second, address)) = (tcp(), tcp());
    // By name, then by address, of two.
    for wanted in ["data 127.0.0.1:1".to_owned(), format!("other {address}")] {
        let mut early = TcpStream::connect(&address).unwrap();
        let legacy = Legacy::of([("admin", first.as_fd()), ("data", second.as_fd())]).unwrap();
        let mut started = child(&wanted, |command| legacy.announce(command)).spawn().unwrap();
        drop(legacy);
        assert_eq!(answer(&mut early), address, "{wanted}");
        assert!(started.wait().unwrap().success());
    }
}

#[test]
fn what_nobody_asks_for_is_named_and_what_is_for_another_process_is_not_taken() {
    let (listener, address) = tcp();
    let legacy = Legacy::of([("data", listener.as_fd())]).unwrap();
    let said = |prepare: &dyn Fn(&mut Command)| {
        let mut command = child("grpc 127.0.0.1:1", |command| {
            legacy.announce(command);
            prepare(command);
        });
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let left = said(&|_| {});
    assert!(left.contains(&format!("left over: [\"\\\"data\\\" at {address}\"]")), "{left}");
    let foreign = said(&|command| {
        command.env(PROCESS_VARIABLE, "1");
    });
    assert!(foreign.contains("left over: []"), "{foreign}");
}

#[test]
fn what_is_no_listening_socket_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = std::fs::File::create(folder.path().join("file")).unwrap();
    file.write_all(b"no socket").unwrap();
    let legacy = Legacy::of([("data", file.as_fd())]).unwrap();
    let output = child("data 127.0.0.1:1", |command| legacy.announce(command)).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && complaint.contains("Unfit"), "{complaint}");
}
