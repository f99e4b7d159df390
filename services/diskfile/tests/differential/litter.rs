//! Files that neither side wrote: strays, old formats, damage.

use serde_json::{Map, Value, json};

use super::{generate::Generator, ours::text, pickles, world::World};

/// A file in an object's directory.
pub(super) fn place(generator: &mut Generator<'_>) -> Value {
    let policy = generator.policy();
    let object = generator.object();
    let power = generator.power();
    let directory = directory(generator, policy, object, power);
    if generator.random.chance(3) {
        return file(&directory, "a file where a directory should be", &json!([]), None);
    }
    let name = any_name(generator, policy, 20);
    let path = format!("{directory}/{name}");
    if generator.random.chance(2) {
        return json!({"op": "place", "path": format!("{directory}/sub"), "body": null});
    }
    let body = generator.body();
    let attributes = attributes(generator, object, &name, &body, policy);
    let modified = generator.now - generator.random.pick(&[0, 4, 5, 6, 59, 60, 61, 1000]);
    file(&path, &body, &attributes, Some(modified))
}

fn directory(generator: &Generator<'_>, policy: u64, object: usize, power: u64) -> String {
    directory_of(generator.world, policy, &generator.objects[object], power)
}

/// The directory of an object, below the device.
pub(super) fn directory_of(world: &World, policy: u64, name: &str, power: u64) -> String {
    let hash = world.hash(name);
    let partition = u64::from_str_radix(&hash[..8], 16).unwrap() >> (32 - power);
    format!("{}/{partition}/{}/{hash}", objects(policy), &hash[29..])
}

fn objects(policy: u64) -> &'static str {
    if policy == 0 { "objects" } else { "objects-1" }
}

fn file(path: &str, body: &str, attributes: &Value, modified: Option<u64>) -> Value {
    json!({"op": "place", "path": path, "body": body, "attributes": attributes,
        "modified": modified.map(|seconds| seconds as f64)})
}

fn any_name(generator: &mut Generator<'_>, policy: u64, odd: u64) -> String {
    let name = match generator.random.chance(odd) {
        true => odd_name(generator, policy),
        false => good_name(generator, policy),
    };
    // These are no names of files.
    if ["", ".", ".."].contains(&name.as_str()) { "x".to_owned() } else { name }
}

fn good_name(generator: &mut Generator<'_>, policy: u64) -> String {
    let time = generator.time();
    let random = &mut generator.random;
    match random.below(10) {
        0 | 1 => format!("{time}.ts"),
        2 => format!("{time}.meta"),
        3 | 4 => {
            let short = time.replace("_00000000000000ff", "_ff").replace("_0000000000000001", "_1");
            let delta = random.pick(&["+0", "-0", "+1", "-1", "-186a0", "+186a0", "-5f5e100", "+ffff"]);
            format!("{short}{delta}.meta")
        }
        _ if policy == 0 => format!("{time}.data"),
        5 => format!("{time}.durable"),
        _ => {
            let mark = random.pick(&["", "", "#d", "#d"]);
            format!("{time}#{}{mark}.data", random.below(6))
        }
    }
}

/// Names that Swift never gives, near those that it does. Not among them: times without end (`inf`, `1e400`), at which Swift
/// stops with an error, digits that are not ASCII, and indexes that the policy does not have, which Swift minds when it
/// hashes and does not when it cleans.
fn odd_name(generator: &mut Generator<'_>, policy: u64) -> String {
    let time = generator.time();
    let random = &mut generator.random;
    let extension = random.pick(&[".data", ".meta", ".ts", ".durable", ".foo", ""]);
    match random.below(5) {
        0 => format!(".{time}{extension}.AbC_12"),
        1 => {
            let stem = random.pick(&[
                "",
                ".",
                "..a",
                "x",
                "1",
                "1.5",
                "1e3",
                " 1400000000",
                "1400000000 ",
                "+1399999990",
                "-5",
                "nan",
                "1_1",
                "1_000",
                "1_",
                "1__1",
                "1_+1",
                "1_-1",
                "1_ 1",
                "1_0x1",
                "1_1_1",
                "10000000000",
                "9999999999.99999",
                "9999999999.999996",
                "0",
                "00000000000000001",
                "0x10",
                "\u{ff}",
                "1400000000.00000_1ffffffffffffffff",
                "1400000000.00000_FF",
                "1400000000,5",
                "1.e3",
                ".5",
                "5.",
                "1E3",
                "1e-400",
                "-0",
                "-0.000001",
                "1400000000.00000_0",
                "14_00000000",
                "1_0000000000000000",
            ]);
            format!("{stem}{extension}")
        }
        2 => {
            let tail = random.pick(&[
                "+",
                "-",
                "+zz",
                "+1-",
                "+1-x",
                "+1-1",
                "+1+1",
                "-1-1",
                "--1",
                "+-1",
                "+0x1",
                "+ 1",
                "+1_0",
                "+-0",
                "-fffffffffffffffffff",
                "+fffffffffffffffffff",
                "-7fffffffffffffff",
                "+FF",
                "+0_1",
                "+0+5",
                "+5-ffffffffffffff",
                "-0x5",
            ]);
            format!("{time}{tail}.meta")
        }
        3 if policy == 1 => {
            let tail = random.pick(&[
                "",
                "#",
                "#x",
                "#-1",
                "#+1",
                "# 1",
                "#1 ",
                "#0_1",
                "#01",
                "#1#",
                "#1#D",
                "#1#d#d",
                "#1#x",
                "#1#d#",
                "##d",
                "#1.0",
                "#00000000000000000000000000000001",
            ]);
            format!("{time}{tail}.data")
        }
        _ => {
            let other = random.pick(&[
                ".DATA",
                ".data.data",
                ".ts.",
                ".meta~",
                ".data#d",
                ".tmp",
                "",
                "#0.ts",
                "#0#d.meta",
                "+0.ts",
            ]);
            format!("{time}{other}")
        }
    }
}

/// Extended attributes of a file as Swift of any age would write them, or spoiled.
fn attributes(generator: &mut Generator<'_>, object: usize, name: &str, body: &str, policy: u64) -> Value {
    if generator.random.chance(5) {
        return json!([]);
    }
    let mut metadata = generator.metadata(true);
    let time = name.split(['#', '+', '-', '.']).next().unwrap_or_default().to_owned();
    let time = name.get(..16).filter(|_| time.len() == 10).map_or(time.clone(), str::to_owned);
    let time = match name.get(16..33) {
        Some(offset) if offset.starts_with('_') => format!("{time}{offset}"),
        _ => time,
    };
    metadata.insert("X-Timestamp".to_owned(), json!(if time.len() >= 16 { time } else { generator.time() }));
    if name.ends_with(".data") {
        metadata.insert("Content-Length".to_owned(), json!(body.len_of_bytes().to_string()));
        metadata.insert("ETag".to_owned(), json!(pickles::md5(body)));
        if policy == 1 {
            metadata.insert("X-Object-Sysmeta-Ec-Frag-Index".to_owned(), json!("1"));
        }
    } else if name.ends_with(".ts") {
        metadata.retain(|key, _| key == "X-Timestamp");
    } else if generator.random.chance(60) {
        let time = generator.time();
        metadata.insert("Content-Type-Timestamp".to_owned(), json!(time));
    } else {
        metadata.remove("Content-Type");
    }
    metadata.insert("name".to_owned(), json!(generator.objects[object]));
    if generator.random.chance(25) {
        spoil(generator, &mut metadata);
    }
    stored(generator, &metadata)
}

trait Bytes {
    fn len_of_bytes(&self) -> usize;
}

impl Bytes for str {
    /// Each character is a byte.
    fn len_of_bytes(&self) -> usize {
        self.chars().count()
    }
}

fn spoil(generator: &mut Generator<'_>, metadata: &mut Map<String, Value>) {
    match generator.random.below(7) {
        0 => {
            let keys: Vec<_> = metadata.keys().filter(|key| *key != "X-Timestamp").cloned().collect();
            metadata.remove(&generator.random.pick(&keys));
        }
        1 if metadata.contains_key("Content-Length") => {
            let bad = ["x", "", "-1", "1e2", "0x5", " 5 ", "1_0", "\u{a0}5"];
            metadata.insert("Content-Length".to_owned(), json!(generator.random.pick(&bad)));
        }
        2 if metadata.contains_key("ETag") => {
            metadata.insert("ETag".to_owned(), json!("d41d8cd98f00b204e9800998ecf8427e"));
        }
        3 => {
            let other =
                generator.random.pick(&["/a/c/other", "/AUTH_test/c/o1", "a/c/o", "/a/c", "", "/a/c/\u{ff}"]);
            metadata.insert("name".to_owned(), json!(other));
        }
        4 => {
            let at = generator.delete_at();
            metadata.insert("X-Delete-At".to_owned(), json!(at));
        }
        _ => {
            let time = generator.time();
            metadata.insert("X-Timestamp".to_owned(), json!(time));
        }
    }
}

/// The pickle of metadata, in one of the dialects, cut into pieces, perhaps spoiled.
fn stored(generator: &mut Generator<'_>, metadata: &Map<String, Value>) -> Value {
    let random = &mut generator.random;
    let pairs: Vec<_> = metadata.iter().map(|(k, v)| (k.as_str(), v.as_str().unwrap())).collect();
    let mut pickle = match random.below(6) {
        0 => pickles::python2(&pairs, false),
        1 => pickles::python2(&pairs, true),
        2 => pickles::python2_text(&pairs),
        _ => pickles::python3(&pairs),
    };
    let length = pickle.len() as u64;
    match random.below(30) {
        0 => pickle[random.below(length) as usize] ^= 1 << random.below(5),
        1 => pickle.truncate(random.below(length) as usize),
        2 => {
            pickle = random
                .pick(&[
                    &b""[..],
                    b"\x80\x02N.",
                    b"\x80\x02}.",
                    b"\x80\x02].",
                    b"junk",
                    b"cos\nsystem\n(S'true'\ntR.",
                ])
                .to_vec();
        }
        _ => {}
    }
    let piece = random.pick(&[65_536, 65_536, 254]);
    let mut attributes = Vec::new();
    for (index, piece) in pickle.chunks(piece).enumerate() {
        let suffix = if index == 0 { String::new() } else { index.to_string() };
        attributes.push(json!([format!("user.swift.metadata{suffix}"), text(piece)]));
    }
    match random.below(12) {
        0 | 1 => {}
        2 => attributes.push(json!(["user.swift.metadata_checksum", "d41d8cd98f00b204e9800998ecf8427e"])),
        _ => attributes.push(json!(["user.swift.metadata_checksum", pickles::md5(&text(&pickle))])),
    }
    if attributes.len() > 2 && random.chance(5) {
        attributes.remove(1);
    }
    Value::Array(attributes)
}

/// Spoils a file that is there.
pub(super) fn damage(generator: &mut Generator<'_>) -> Value {
    let random = &mut generator.random;
    let what = random.pick(&[
        "unlink",
        "truncate",
        "append",
        "flip",
        "flip",
        "age",
        "rename",
        "no checksum",
        "no metadata",
        "checksum",
        "metadata",
        "metadata",
    ]);
    let nth = random.below(4);
    let mut at = random.below(100_000);
    let value = random.pick(&["", "x", "d41d8cd98f00b204e9800998ecf8427e"]);
    if what == "age" {
        at = generator.now - generator.random.pick(&[0, 5, 6, 60, 61, 1000]);
    }
    let policy = generator.policy();
    let name = any_name(generator, policy, 30);
    generator.on_object(
        "damage",
        json!({"policy": policy, "what": what, "nth": nth, "at": at, "value": value, "name": name}),
    )
}

/// Something where partitions, suffixes and objects are.
pub(super) fn stray(generator: &mut Generator<'_>) -> Value {
    let (policy, object, power) = (generator.policy(), generator.object(), generator.power());
    let hash = generator.world.hash(&generator.objects[object]);
    let partition = format!("{}/{}", objects(policy), generator.partition_of(object, power));
    let random = &mut generator.random;
    let path = match random.below(8) {
        0 => format!("{partition}/{}", &hash[29..]),
        1 => format!(
            "{partition}/{}",
            random.pick(&["zzz", "ABC", "abc", "0xg", "tmp", "ab", "abcd", "+1 ", " 1 "])
        ),
        2 => format!(
            "{partition}/{}/{}",
            &hash[29..],
            random.pick(&["junk", "00000000000000000000000000000abc", ".x.AbCdEf"])
        ),
        3 => format!(
            "{partition}/{}/{}/1400000000.00000.data",
            &hash[29..],
            random.pick(&["junk", "00000000000000000000000000000abc"])
        ),
        4 => format!("{partition}/tmpabcdefgh.tmp"),
        5 => format!("{partition}/abc/00000000000000000000000000000abc"),
        6 => format!("{partition}/{}/{hash}", &hash[29..]),
        _ => format!("{}/{}", objects(policy), random.pick(&["auditor_status_ALL.json", "x", "7", "007"])),
    };
    // A directory of three characters that is no suffix Swift hashes and removes; see exceptions.rs.
    let suffix_like =
        path.rsplit('/').next().is_some_and(|name| name.len() == 3 && path.matches('/').count() == 2);
    let no_suffix =
        suffix_like && !path.ends_with(|c: char| c.is_ascii_hexdigit() && !c.is_ascii_uppercase());
    match !no_suffix && random.chance(50) {
        true => json!({"op": "place", "path": path, "body": null}),
        false => file(&path, "stray", &json!([]), None),
    }
}

/// A `hashes.pkl`.
pub(super) fn hashes(generator: &mut Generator<'_>) -> Value {
    let (policy, object, power) = (generator.policy(), generator.object(), generator.power());
    let suffix = generator.world.hash(&generator.objects[object])[29..].to_owned();
    let path = format!("{}/{}/hashes.pkl", objects(policy), generator.partition_of(object, power));
    let pickle = pickles::hashes(&mut generator.random, &suffix, policy == 1);
    file(&path, &text(&pickle), &json!([]), None)
}

/// A `hashes.invalid`.
pub(super) fn notes(generator: &mut Generator<'_>) -> Value {
    let (policy, object, power) = (generator.policy(), generator.object(), generator.power());
    let suffix = generator.world.hash(&generator.objects[object])[29..].to_owned();
    let path = format!("{}/{}/hashes.invalid", objects(policy), generator.partition_of(object, power));
    let lines: String = (0..generator.random.between(0, 4))
        .map(|_| {
            let line = generator.random.pick(&[
                suffix.as_str(),
                "abc",
                "zzz",
                "",
                " abc ",
                "ABC",
                "ab",
                "abcd",
                "abc\r",
                "\tabc",
                "\u{0}",
            ]);
            format!("{line}\n")
        })
        .collect();
    file(&path, &lines, &json!([]), None)
}
