//! What Linux says of the computer.

use std::{
    fs, io,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::python_json::Json;

/// `/proc/meminfo`, word for word.
pub(super) fn memory() -> io::Result<Json> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    Ok(lines.map(|(name, value)| (name.to_owned(), Json::of(value.trim()))).collect())
}

/// `/proc/loadavg`.
pub(super) fn load() -> io::Result<Json> {
    load_of(&fs::read_to_string("/proc/loadavg")?).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn load_of(text: &str) -> Option<Json> {
    let mut words = text.split_ascii_whitespace();
    let mut average = || words.next()?.parse::<f64>().ok();
    let (one, five, fifteen) = (average()?, average()?, average()?);
    let (tasks, processes) = (words.next()?, words.next()?.parse::<u64>().ok()?);
    Some(Json::map([
        ("1m", Json::of(one)),
        ("5m", Json::of(five)),
        ("15m", Json::of(fifteen)),
        ("tasks", Json::of(tasks)),
        ("processes", Json::of(processes)),
    ]))
}

/// `/proc/net/sockstat` and its twin for IPv6; a computer may lack either.
pub(super) fn sockets() -> io::Result<Json> {
    let read = |path| match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read,
    };
    let page = rustix::param::page_size() as u64;
    Ok(sockets_of(&read("/proc/net/sockstat")?, &read("/proc/net/sockstat6")?, page))
}

/// Memory is counted in pages there.
fn sockets_of(four: &str, six: &str, page: u64) -> Json {
    let mut found = Vec::new();
    let mut add = |text: &str, first: &str, wanted: &[(usize, &str, u64)]| {
        let Some(line) = text.lines().find(|line| line.starts_with(first)) else { return };
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        for &(at, name, factor) in wanted {
            let number = words.get(at).and_then(|word| word.parse::<u64>().ok());
            found.extend(number.map(|number| (name.to_owned(), Json::of(number.saturating_mul(factor)))));
        }
    };
    let four_words =
        [(2, "tcp_in_use", 1), (4, "orphan", 1), (6, "time_wait", 1), (10, "tcp_mem_allocated_bytes", page)];
    add(four, "TCP: inuse", &four_words);
    add(six, "TCP6: inuse", &[(2, "tcp6_in_use", 1)]);
    Json::Map(found)
}

/// Seconds since the epoch: swift-recon compares clocks.
pub(super) fn time() -> io::Result<Json> {
    Ok(Json::of(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_writes() {
        let load = load_of("0.52 1.00 0.59 2/1217 31337\n").unwrap().python();
        let expected = r#"{"1m": 0.52, "5m": 1.0, "15m": 0.59, "tasks": "2/1217", "processes": 31337}"#;
        assert_eq!(String::from_utf8(load).unwrap(), expected);
        assert_eq!(load_of("0.52 x"), None);
        let four = "sockets: used 271\nTCP: inuse 30 orphan 1 tw 2 alloc 31 mem 4\nUDP: inuse 16 mem 4\n";
        let found = sockets_of(four, "TCP6: inuse 3\n", 4096).python();
        let expected = r#"{"tcp_in_use": 30, "orphan": 1, "time_wait": 2, "tcp_mem_allocated_bytes": 16384, "tcp6_in_use": 3}"#;
        assert_eq!(String::from_utf8(found).unwrap(), expected);
        let memory = String::from_utf8(memory().unwrap().python()).unwrap();
        assert!(memory.starts_with("{\"MemTotal\": \"") && memory.contains(" kB\", "), "{memory}");
    }
}
