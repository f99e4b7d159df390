//! Files read as Swift reads them. What is expected here is what Swift 2.38.3 answered for the same files.

use std::{collections::BTreeMap, fs};

use super::*;

fn values(section: &Section) -> BTreeMap<&str, &str> {
    section.iter().map(|(key, entry)| (key, entry.value())).collect()
}

const SERVER: &str = "\
[DEFAULT]
bind_port = 6200
log_name = object
base = /srv
devices = %(base)s/node

[pipeline:main]
pipeline = healthcheck recon object-server

[app:object-server]
use = egg:swift#object
bind_port = 9999
set log_name = obj
base = /mine
local: yes
copy = %(base)s
get port = bind_port

[object-replicator]
bind_port = 9999
base = /mine
";

#[test]
fn in_a_server_default_wins_unless_set() {
    let conf = Conf::parse(SERVER, "object-server.conf").unwrap();
    let app = conf.section("app:object-server").unwrap();
    let expected = [
        ("base", "/srv"),
        ("bind_port", "6200"),
        ("copy", "/mine"),
        ("devices", "/srv/node"),
        ("local", "yes"),
        ("log_name", "obj"),
        ("port", "6200"),
    ];
    assert_eq!(values(&app), expected.into());
    assert_eq!(app.get("log_name").unwrap().origin().to_string(), "object-server.conf:13");
    assert_eq!(app.get("bind_port").unwrap().origin().to_string(), "object-server.conf:2");
}

#[test]
fn in_a_daemon_the_section_wins() {
    let conf = Conf::parse(SERVER, "object-server.conf").unwrap();
    let replicator = conf.section("object-replicator").unwrap();
    let expected =
        [("base", "/mine"), ("bind_port", "9999"), ("devices", "/mine/node"), ("log_name", "object")];
    assert_eq!(values(&replicator), expected.into());
    assert_eq!(values(&conf.defaults("ssync").unwrap())["bind_port"], "6200");
}

#[test]
fn lines_are_read_as_python_does() {
    let text = "; comment\n# another\n[s]\n a = 1 ; kept\n  continued\n\n   # not in it\n  last\n\nKey : V\nkey=v=w:x\n\
                url: http://h:1\nempty =\n[odd] name] ignored\r\nx = 1\n";
    let conf = Conf::parse(text, "f").unwrap();
    assert_eq!(conf.sections().collect::<Vec<_>>(), ["odd] name", "s"]);
    let expected = [
        ("Key", "V"),
        ("a", "1 ; kept\ncontinued\n\nlast"),
        ("empty", ""),
        ("key", "v=w:x"),
        ("url", "http://h:1"),
    ];
    assert_eq!(values(&conf.section("s").unwrap()), expected.into());
    assert_eq!(values(&conf.section("odd] name").unwrap()), [("x", "1")].into());
}

#[test]
fn only_a_deeper_line_continues() {
    let conf = Conf::parse("[s]\n  a = 1\n  b = 2\n   c = 3\n d = 4\n  [t]\n", "f").unwrap();
    assert_eq!(values(&conf.section("s").unwrap()), [("a", "1"), ("b", "2\nc = 3"), ("d", "4\n[t]")].into());
}

#[test]
fn errors_name_the_line() {
    let broken = [
        ("a = 1\n", "f:1: an option stands before the first [section]"),
        ("[s]\nnonsense\n", "f:2: \"nonsense\" is neither `key = value` nor a [section]"),
        ("[s]\n= 1\n", "f:2: the value \"1\" has no key"),
        ("[s]\na = 1\n[t]\n[s]\n", "f:4: section [s] stands here a second time; join the two"),
        ("[s]\na = 1\nb = 2\na = 3\n", "f:4: a is set a second time in [s]; remove one"),
        ("[DEFAULT]\na = 1\n[DEFAULT]\na = 3\n", "f:4: a is set a second time in [DEFAULT]; remove one"),
    ];
    for (text, message) in broken {
        assert_eq!(Conf::parse(text, "f").unwrap_err().to_string(), message);
    }
    let conf = Conf::parse("[s]\na = %(b)s\n", "f").unwrap();
    assert_eq!(
        conf.section("s").unwrap_err().to_string(),
        "f:2: a = %(b)s: must be without %(b)s, or b set in this section"
    );
    assert_eq!(conf.section("t").unwrap_err().to_string(), "f: has no section [t]");
    assert!(conf.find("t").unwrap().is_none());
}

#[test]
fn a_directory_is_read_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("20.conf", "[s]\na = 2\nhome = %(here)s\n");
    write("10.conf", "[DEFAULT]\nd = 1\n[s]\na = 1\nb = 1\n");
    write(".hidden.conf", "[s]\na = 9\n");
    write("30.conf-sample", "[s]\na = 9\n");
    let conf = Conf::load(dir.path()).unwrap();
    let section = conf.section("s").unwrap();
    let here = std::path::absolute(dir.path()).unwrap();
    let expected = [("a", "2"), ("b", "1"), ("d", "1"), ("home", here.to_str().unwrap())];
    assert_eq!(values(&section), expected.into());
    assert!(section.get("a").unwrap().origin().to_string().ends_with("/20.conf:2"));
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("object-server.conf");
    assert!(Conf::load(&file).unwrap_err().to_string().contains("object-server.conf: cannot be read"));
    assert!(Conf::load(dir.path()).unwrap_err().to_string().ends_with("has no *.conf file"));
    fs::write(&file, b"[s]\na = \xe9\n").unwrap();
    assert!(Conf::load(&file).unwrap_err().to_string().ends_with("is not UTF-8 at byte 8"));
    fs::write(&file, vec![b'#'; CONF_BYTES_MAX as usize + 1]).unwrap();
    assert!(Conf::load(&file).unwrap_err().to_string().contains("has more than"));
}

#[test]
fn swift_conf_has_rules_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("swift.conf");
    fs::write(
        &file,
        b"[swift-hash]\nSwift_Hash_Path_Suffix = 5%%\xe9\nnested = %(SWIFT_hash_path_suffix)s!\n",
    )
    .unwrap();
    let section = Conf::load_swift_conf(&file).unwrap().section("swift-hash").unwrap();
    assert_eq!(values(&section), [("nested", "5%\u{e9}!"), ("swift_hash_path_suffix", "5%\u{e9}")].into());
    fs::write(&file, "[s]\na = 1\nA = 2\n").unwrap();
    assert!(Conf::load_swift_conf(&file).unwrap_err().to_string().contains("a is set a second time"));
}
