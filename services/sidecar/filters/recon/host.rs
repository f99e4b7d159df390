//! What Linux says of the computer.

use std::{
    fs, io,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value, json};

/// `/proc/meminfo`, word for word.
pub(super) fn memory() -> io::Result<Value> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    Ok(lines.map(|(name, value)| (name.to_owned(), value.trim().into())).collect::<Map<_, _>>().into())
}

/// `/proc/loadavg`.
pub(super) fn load() -> io::Result<Value> {
    load_of(&fs::read_to_string("/proc/loadavg")?).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn load_of(text: &str) -> Option<Value> {
    let mut words = text.split_ascii_whitespace();
    let mut average = || words.next()?.parse::<f64>().ok();
    let (one, five, fifteen) = (average()?, average()?, average()?);
    let (tasks, processes) = (words.next()?, words.next()?.parse::<u64>().ok()?);
    Some(json!({"1m": one, "5m": five, "15m": fifteen, "tasks": tasks, "processes": processes}))
}

/// `/proc/net/sockstat` and its twin for IPv6; a computer may lack either.
pub(super) fn sockets() -> io::Result<Value> {
    let read = |path| match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read,
    };
    let mut found = Map::new();
    let page = rustix::param::page_size() as u64;
    sockets_of(&read("/proc/net/sockstat")?, &read("/proc/net/sockstat6")?, page, &mut found);
    Ok(found.into())
}

/// Memory is counted in pages there.
fn sockets_of(four: &str, six: &str, page: u64, found: &mut Map<String, Value>) {
    let mut add = |text: &str, first: &str, wanted: &[(usize, &str, u64)]| {
        let Some(line) = text.lines().find(|line| line.starts_with(first)) else { return };
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        for &(at, name, factor) in wanted {
            let number = words.get(at).and_then(|word| word.parse::<u64>().ok());
            if let Some(number) = number {
                found.insert(name.to_owned(), number.saturating_mul(factor).into());
            }
        }
    };
    let four_words =
        [(2, "tcp_in_use", 1), (4, "orphan", 1), (6, "time_wait", 1), (10, "tcp_mem_allocated_bytes", page)];
    add(four, "TCP: inuse", &four_words);
    add(six, "TCP6: inuse", &[(2, "tcp6_in_use", 1)]);
}

/// Seconds since the epoch: swift-recon compares clocks.
pub(super) fn time() -> io::Result<Value> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_writes() {
        assert_eq!(
            load_of("0.52 1.00 0.59 2/1217 31337\n"),
            Some(json!({"1m": 0.52, "5m": 1.0, "15m": 0.59, "tasks": "2/1217", "processes": 31337}))
        );
        assert_eq!(load_of("0.52 x"), None);
        let mut found = Map::new();
        let four = "sockets: used 271\nTCP: inuse 30 orphan 1 tw 2 alloc 31 mem 4\nUDP: inuse 16 mem 4\n";
        sockets_of(four, "TCP6: inuse 3\n", 4096, &mut found);
        assert_eq!(
            Value::from(found),
            json!({"tcp_in_use": 30, "orphan": 1, "time_wait": 2, "tcp_mem_allocated_bytes": 16384,
                   "tcp6_in_use": 3})
        );
        assert!(memory().unwrap()["MemTotal"].as_str().unwrap().ends_with(" kB"));
    }
}
