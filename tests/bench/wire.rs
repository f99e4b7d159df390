//! Bytes to and from addresses, counted by the kernel's packet filter: on loopback no interface tells nodes apart.

use std::{
    io::Write as _,
    net::IpAddr,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

static MADE: AtomicU32 = AtomicU32::new(0);

/// Counts for as long as it is held. What is counted are IP packets, with their headers; loopback's are large ones, so the
/// headers are fewer than on a real wire.
#[derive(Debug)]
pub(crate) struct Wire {
    table: String,
}

impl Wire {
    /// Counts from now on what is sent to these addresses or by them.
    pub(crate) fn tap(addresses: &[IpAddr]) -> Result<Self> {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let table = format!("ssync_bench_{}_{number}", std::process::id());
        let rules: String = addresses
            .iter()
            .flat_map(|address| ["saddr", "daddr"].map(|end| format!("    ip {end} {address} counter\n")))
            .collect();
        let made = format!(
            "table ip {table} {{\n  chain in {{\n    type filter hook input priority 0;\n{rules}  }}\n}}\n"
        );
        nft(&["-f", "-"], &made)?;
        Ok(Self { table })
    }

    /// Bytes by now.
    pub(crate) fn bytes(&self) -> Result<u64> {
        let listed = nft(&["-j", "list", "table", "ip", &self.table], "")?;
        Ok(counted(&serde_json::from_slice(&listed)?))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Without its table it counts nothing more; there is nothing else to clean up.
        let _ = nft(&["delete", "table", "ip", &self.table], "");
    }
}

/// The sum of all `"counter": {"bytes": ...}`.
fn counted(listed: &Value) -> u64 {
    match listed {
        Value::Object(map) => {
            let own = map.get("counter").and_then(|counter| counter.get("bytes")).and_then(Value::as_u64);
            own.unwrap_or(0) + map.values().map(counted).sum::<u64>()
        }
        Value::Array(items) => items.iter().map(counted).sum(),
        _ => 0,
    }
}

fn nft(arguments: &[&str], commands: &str) -> Result<Vec<u8>> {
    let mut child = Command::new("nft")
        .args(arguments)
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("nft, of the package nftables, cannot be run")?;
    child.stdin.take().context("no pipe to nft")?.write_all(commands.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream},
        thread,
    };

    use super::*;

    const SENT: usize = 1_000_000;

    #[test]
    fn what_goes_to_an_address_is_counted_once() -> Result<()> {
        let address: IpAddr = "127.93.7.5".parse()?;
        let wire = match Wire::tap(&[address]) {
            Ok(wire) => wire,
            Err(error) => {
                eprintln!("SKIPPED: nothing can be counted here, so this checks nothing: {error:#}");
                return Ok(());
            }
        };
        let listener = TcpListener::bind((address, 0))?;
        let mut client = TcpStream::connect(listener.local_addr()?)?;
        let mut server = listener.accept()?.0;
        let before = wire.bytes()?;
        let sending = thread::spawn(move || client.write_all(&vec![7; SENT]));
        let mut arrived = Vec::new();
        server.read_to_end(&mut arrived)?;
        assert!(sending.join().is_ok_and(|sent| sent.is_ok()) && arrived.len() == SENT);
        let counted = wire.bytes()? - before;
        assert!((SENT as u64..SENT as u64 * 11 / 10).contains(&counted), "{counted}");
        Ok(())
    }
}
