//! Where a container's server sends an update of a row that a shard has (Swift: common/utils get_redirect_data).

use ssync_protocol::unquote;
use ssync_types::{ContainerPath, Timestamp};

use super::client::Answer;
use crate::path::within_url;

/// The shard that the answer names; `None` when it names none.
pub(super) fn redirect(answer: &Answer) -> Result<Option<ContainerPath>, String> {
    let Some(location) = answer.header("Location") else { return Ok(None) };
    let shown = || String::from_utf8_lossy(location).into_owned();
    let is_mark = |b: &u8| matches!(b, b'?' | b'#');
    let mut path = within_url(location.split(is_mark).next().unwrap_or_default()).to_vec();
    if answer.is_true("X-Backend-Location-Is-Quoted") {
        path = unquote(&path);
    }
    let path = String::from_utf8(path).map_err(|_| format!("the location {:?} is not UTF-8", shown()))?;
    let mut parts = path.splitn(4, '/');
    let (Some(""), Some(account), Some(container)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(format!("no container in the location {:?}", shown()));
    };
    let container = ContainerPath::parse(format!("{account}/{container}"))
        .map_err(|_| format!("no container in the location {:?}", shown()))?;
    let time = answer.header("X-Backend-Redirect-Timestamp").unwrap_or_default();
    match Timestamp::parse(time) {
        Ok(_) => Ok(Some(container)),
        Err(_) => Err(format!("no time of the redirection to {:?}", shown())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(fields: &str) -> Result<Option<String>, String> {
        let head = format!("HTTP/1.1 301 Moved Permanently\r\n{fields}\r\n");
        let answer = Answer::parse(head.as_bytes()).unwrap().unwrap();
        redirect(&answer).map(|path| path.map(|path| String::from_utf8(path.as_bytes().to_vec()).unwrap()))
    }

    #[test]
    fn names_a_shard() {
        let time = "X-Backend-Redirect-Timestamp: 1700000000.00000\r\n";
        let asked = |location: &str| asked(&format!("{location}{time}")).unwrap();
        assert_eq!(asked(""), None);
        assert_eq!(asked("Location: /.shards_a/c-1/o/p\r\n").unwrap(), ".shards_a/c-1");
        assert_eq!(asked("Location: http://127.0.0.1:6201/.shards_a/c?x#y\r\n").unwrap(), ".shards_a/c");
        assert_eq!(asked("Location: /a/c%20d\r\n").unwrap(), "a/c%20d");
        let quoted = "Location: /a/c%20%E2%98%83/o\r\nX-Backend-Location-Is-Quoted: true\r\n";
        assert_eq!(asked(quoted).unwrap(), "a/c \u{2603}");
    }

    #[test]
    fn a_name_that_is_no_text_is_no_other_name() {
        let time = "X-Backend-Redirect-Timestamp: 1700000000.00000\r\n";
        let quoted = "Location: /a/c%FF/o\r\nX-Backend-Location-Is-Quoted: true\r\n";
        assert!(asked(&format!("{quoted}{time}")).is_err());
    }

    #[test]
    fn a_redirection_has_a_container_and_a_time() {
        let time = "X-Backend-Redirect-Timestamp: 1700000000.00000\r\n";
        for bad in ["/a", "/", "", "a/c", "//c/o", "http://host"] {
            assert!(asked(&format!("Location: {bad}\r\n{time}")).is_err(), "{bad}");
        }
        assert!(asked("Location: /a/c/o\r\n").is_err());
        assert!(asked("Location: /a/c/o\r\nX-Backend-Redirect-Timestamp: soon\r\n").is_err());
    }
}
