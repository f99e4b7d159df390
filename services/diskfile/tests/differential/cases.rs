//! What the random histories have found, each as the smallest history that showed it.

use serde_json::{Value, json};
use ssync_pickle::Value as Pickled;

use super::{
    generate::{History, POWER, START},
    litter::directory_of,
    pair::{Outcome, Pair},
    pickles,
    world::World,
};

const NAME: &str = "/a/c/o";

/// A history of one object; each side does all of it on its own tree, and looks at the other's then.
fn history(first: Vec<Value>) -> History {
    let settings = json!({"objects": [NAME], "reclaim_age": 1000, "commit_window": 0, "named": false,
        "durability": 2, "now": START as f64});
    let looks = (0..2).flat_map(|policy| {
        [
            json!({"op": "attributes", "policy": policy, "object": 0, "power": POWER}),
            json!({"op": "open", "by": "hash", "policy": policy, "object": 0, "power": POWER}),
        ]
    });
    History { settings, first, second: looks.collect() }
}

fn on_object(op: &str, policy: u64, more: &Value) -> Value {
    let mut whole = json!({"op": op, "policy": policy, "object": 0, "power": POWER, "metadata": {}, "body": "b",
        "sized": true, "durable": true, "fragment": null, "look": false, "by": "hash", "open_expired": true});
    whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    whole
}

fn time(seconds: u64) -> String {
    format!("{seconds:010}.00000")
}

fn put(seconds: u64) -> Value {
    on_object("put", 0, &json!({"time": time(seconds)}))
}

fn put_fragment(seconds: u64, fragment: u64, durable: bool) -> Value {
    on_object("put", 1, &json!({"time": time(seconds), "fragment": fragment, "durable": durable}))
}

fn clock(seconds: u64) -> Value {
    json!({"op": "clock", "now": seconds as f64})
}

struct Place {
    world: World,
}

impl Place {
    fn partition(&self) -> u64 {
        u64::from_str_radix(&self.world.hash(NAME)[..8], 16).unwrap() >> (32 - POWER)
    }

    fn suffix(&self) -> String {
        self.world.hash(NAME)[29..].to_owned()
    }

    /// On the partition of the object.
    fn ask(&self, op: &str) -> Value {
        json!({"op": op, "policy": 0, "partition": self.partition(), "suffix": self.suffix(), "rehash": [], "list": false})
    }

    /// A `hashes.pkl` that knows the suffix.
    fn hashes_of_the_suffix(&self) -> Value {
        let hex = "0123456789abcdef0123456789abcdef";
        let pairs = vec![
            (Pickled::text(self.suffix()), Pickled::text(hex)),
            (Pickled::text("valid"), Pickled::Bool(true)),
        ];
        let pickle = super::ours::text(&ssync_pickle::write(&Pickled::Dict(pairs)));
        json!({"op": "place", "path": format!("objects/{}/hashes.pkl", self.partition()), "body": pickle,
            "attributes": [], "modified": null})
    }

    /// A whole file, with the metadata of a body.
    fn body(&self, policy: u64, file: &str, name: &str) -> Value {
        let etag = pickles::md5("b");
        let pairs =
            [("X-Timestamp", "1399999000.00000"), ("Content-Length", "1"), ("ETag", &*etag), ("name", name)];
        let pickle = super::ours::text(&pickles::python3(&pairs));
        let path = format!("{}/{file}", directory_of(&self.world, policy, NAME, POWER));
        json!({"op": "place", "path": path, "body": "b", "attributes": [["user.swift.metadata", pickle]],
            "modified": (START - 500) as f64})
    }
}

#[test]
fn what_differed_once() {
    let mut pair = Pair::new();
    let at = Place { world: World::new() };
    let cases = [
        ("hashes.invalid had the mode of a lock file", vec![put(START)]),
        (
            "a suffix that somebody removed kept its hash for ever: a listing did not mark what is not there",
            vec![at.hashes_of_the_suffix(), at.ask("offers"), at.ask("hash")],
        ),
        (
            "an empty directory that is no object's stayed, and kept its suffix from being forgotten",
            vec![
                json!({"op": "place", "path": format!("objects/{}/{}/junk", at.partition(), at.suffix()), "body": null}),
                at.ask("offers"),
            ],
        ),
        (
            "an offset was read as digits alone, a file with another spelling did not count",
            vec![at.body(0, "1399999500_+1.data", NAME), put(START)],
        ),
        (
            "an index was read as digits alone",
            vec![at.body(1, "1399999500.00000#+1#d.data", NAME), put_fragment(START, 1, true)],
        ),
        (
            "the difference of a content type was read as digits alone",
            vec![put(START - 1), at.body(0, "1399999999.50000+0x1.meta", NAME)],
        ),
        (
            "X-Delete-At with a space of Latin-1 sent the object to quarantine, where Swift reads a number",
            vec![on_object(
                "put",
                0,
                &json!({"time": time(START), "metadata": {"X-Delete-At": "\u{a0}1_500_000_000"}}),
            )],
        ),
        (
            "X-Delete-At with a separator of ASCII is no number to Python, though it is a space in other text",
            vec![on_object(
                "put",
                0,
                &json!({"time": time(START), "metadata": {"X-Delete-At": "\u{1c}1500000000"}}),
            )],
        ),
        (
            "a check told of a fragment that its own cleaning had just removed",
            vec![
                put_fragment(START - 100, 1, true),
                put_fragment(START - 50, 2, false),
                clock(START + 2000),
                on_object("check", 1, &json!({})),
            ],
        ),
        (
            "a .meta with the name of another object was not noticed: the newest file names the object",
            vec![
                put(START - 100),
                at.body(0, "1399999999.00000.meta", "/a/c/other"),
                on_object("open", 0, &json!({"by": "name"})),
            ],
        ),
        (
            "a commit that another writer had won made empty directories in the next partition",
            vec![
                put_fragment(START, 1, true),
                on_object(
                    "commit",
                    1,
                    &json!({"time": time(START - 10), "fragment": 1, "next_power": POWER + 1}),
                ),
            ],
        ),
    ];
    for (story, first) in cases {
        // What differs as it should is no case.
        match pair.run(&[history(first)]).remove(0) {
            Outcome::Same => {}
            Outcome::LeftOut { reason, .. } => panic!("{story}: left out, because {reason}"),
            Outcome::Differs(difference) => panic!("{story}\n{difference}"),
        }
    }
}
