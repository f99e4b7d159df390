//! A container server that keeps what it is told. The device's name says what it answers: `c201`, `c404`, `c301`, ...;
//! `silent` says nothing.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::Result;

/// A connection of a silent server stands so long.
const SILENCE: Duration = Duration::from_secs(20);

/// Listens until the test ends.
#[derive(Debug)]
pub(crate) struct Recorder {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let record = Arc::clone(&record);
                thread::spawn(move || drop(serve(&client, address, &record)));
            }
        });
        Ok(Self { address, seen })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request so far, line by line.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(client: &TcpStream, address: SocketAddr, record: &Mutex<Vec<String>>) -> Result<()> {
    let mut reader = BufReader::new(client);
    let (mut lines, mut length) = (Vec::new(), 0);
    loop {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line)?;
        let line: String = line.iter().map(|&byte| char::from(byte)).collect();
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        lines.push(masked(line, address));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let Some(first) = lines.first().cloned() else { return Ok(()) };
    lines[1..].sort_by_key(|line| line.to_ascii_lowercase());
    lines.push(String::from_utf8_lossy(&body).into_owned());
    record.lock().unwrap_or_else(PoisonError::into_inner).push(lines.join("\n"));
    let device = first.split('/').nth(1).unwrap_or_default().to_owned();
    let mut client = client;
    let location = "Location: /.shards_AUTH_test/c-shard/o\r\nX-Backend-Location-Is-Quoted: true\r\n";
    match device.strip_prefix('c') {
        Some("301") => write!(client, "HTTP/1.1 301 Moved\r\n{location}Content-Length: 0\r\n\r\n")?,
        Some(status) => write!(client, "HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n")?,
        None => thread::sleep(SILENCE),
    }
    Ok(())
}

/// Without process ids and ports.
fn masked(line: &str, address: SocketAddr) -> String {
    let line = line.replace(&address.to_string(), "RECORDER");
    match line.split_once(": ") {
        Some((name, value)) if name.eq_ignore_ascii_case("user-agent") => {
            let words = value.split(' ').map(|word| if word.parse::<u32>().is_ok() { "PID" } else { word });
            format!("{name}: {}", words.collect::<Vec<_>>().join(" "))
        }
        Some((name, value)) if name.eq_ignore_ascii_case("x-trans-id") && value != "-" => {
            format!("{name}: *")
        }
        _ => line,
    }
}
