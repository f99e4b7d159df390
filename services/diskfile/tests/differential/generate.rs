//! Random histories from a seed: what clients, peers, operators, rsync and broken disks do to a few objects.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{litter, random::Random, world::World};

/// The clock when a history begins, in seconds.
pub(super) const START: u64 = 1_400_000_000;
/// The power of the ring; another one while it is being raised.
pub(super) const POWER: u64 = 2;

/// What a history is mostly about.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Theme {
    Plain,
    Posts,
    Coded,
    Damage,
    Hashes,
    Power,
    Names,
}

const THEMES: [Theme; 7] =
    [Theme::Plain, Theme::Posts, Theme::Coded, Theme::Damage, Theme::Hashes, Theme::Power, Theme::Names];

/// A history, ready to be performed.
#[derive(Debug, Clone)]
pub(super) struct History {
    /// Settings and objects.
    pub(super) settings: Value,
    /// What is done by each side on its own tree.
    pub(super) first: Vec<Value>,
    /// What each side then does on the tree that the other made.
    pub(super) second: Vec<Value>,
}

pub(super) struct Generator<'a> {
    pub(super) random: Random,
    pub(super) world: &'a World,
    fragments: &'a [Vec<String>],
    theme: Theme,
    /// Paths of the objects of this history.
    pub(super) objects: Vec<String>,
    times: Vec<String>,
    pub(super) now: u64,
    reclaim_age: u64,
}

impl<'a> Generator<'a> {
    pub(super) fn history(seed: u64, world: &'a World, fragments: &'a [Vec<String>]) -> History {
        let mut random = Random::new(seed);
        let theme = random.pick(&THEMES);
        let reclaim_age = random.pick(&[604_800, 604_800, 1000]);
        let mut group = world.group(&mut random);
        if theme == Theme::Posts {
            group.truncate(1);
        }
        let mut generator = Self {
            random,
            world,
            fragments,
            theme,
            objects: group,
            times: Vec::new(),
            now: START,
            reclaim_age,
        };
        generator.choose_times();
        generator.write()
    }

    fn write(mut self) -> History {
        let settings = json!({
            "objects": self.objects,
            "reclaim_age": self.reclaim_age,
            "commit_window": self.random.pick(&[60, 60, 60, 0, 5]),
            "named": self.random.chance(10),
            "durability": self.random.below(3),
            "now": START as f64,
        });
        let first: Vec<_> = (0..self.random.between(5, 16)).map(|_| self.operation()).collect();
        let mut second =
            vec![json!({"op": "clock", "now": self.now as f64}), json!({"op": "reserve", "bytes": 0})];
        second.extend((0..self.random.below(6)).map(|_| self.operation()));
        let touched = |op: &Value, policy: u64| {
            let below = |path: &str| path.starts_with("objects-1/") == (policy == 1);
            op["policy"] == policy || op["path"].as_str().is_some_and(below)
        };
        let policies: Vec<_> =
            (0..2).filter(|policy| first.iter().chain(&second).any(|op| touched(op, *policy))).collect();
        self.close(&policies, &mut second);
        History { settings, first, second }
    }

    /// Few times, so that many are equal.
    fn choose_times(&mut self) {
        let age = self.reclaim_age;
        let near = [0, 1, 10, 50, 59, 60, 61, 99, 100, 500];
        let far = [age - 1, age, age + 1, age + 100, 2 * age, age / 2];
        for _ in 0..self.random.between(3, 7) {
            let back = if self.random.chance(60) { self.random.pick(&near) } else { self.random.pick(&far) };
            let seconds = if self.random.chance(10) { START + back % 1000 } else { START - back };
            let fraction = self.random.pick(&["00000", "00000", "50000", "12345", "99999"]);
            let offset = self.random.pick(&["", "", "", "_0000000000000001", "_00000000000000ff"]);
            self.times.push(format!("{seconds:010}.{fraction}{offset}"));
        }
    }

    pub(super) fn time(&mut self) -> String {
        self.random.pick(&self.times.clone())
    }

    fn operation(&mut self) -> Value {
        let weights: &[(&str, u64)] = match self.theme {
            Theme::Plain => &[
                ("put", 5),
                ("post", 6),
                ("delete", 4),
                ("open", 2),
                ("check", 2),
                ("hash", 3),
                ("offers", 2),
                ("clock", 2),
                ("place", 1),
                ("damage", 1),
                ("abandon", 1),
                ("mark", 1),
                ("reserve", 1),
            ],
            Theme::Posts => &[
                ("put", 3),
                ("post", 12),
                ("delete", 1),
                ("open", 3),
                ("check", 1),
                ("hash", 2),
                ("offers", 2),
                ("clock", 1),
            ],
            Theme::Coded => &[
                ("put", 8),
                ("post", 4),
                ("delete", 3),
                ("commit", 5),
                ("open", 3),
                ("check", 2),
                ("hash", 3),
                ("offers", 3),
                ("clock", 2),
                ("place", 2),
                ("damage", 2),
            ],
            Theme::Damage => &[
                ("put", 5),
                ("post", 3),
                ("delete", 2),
                ("commit", 1),
                ("open", 4),
                ("check", 3),
                ("hash", 2),
                ("offers", 1),
                ("place", 5),
                ("damage", 6),
            ],
            Theme::Hashes => &[
                ("put", 4),
                ("delete", 2),
                ("hash", 8),
                ("mark", 3),
                ("offers", 2),
                ("hashes", 5),
                ("notes", 3),
                ("clock", 2),
                ("pickle", 2),
                ("damage", 1),
                ("stray", 2),
                ("suffixes", 2),
            ],
            Theme::Power => &[
                ("put", 6),
                ("post", 4),
                ("delete", 4),
                ("commit", 2),
                ("open", 2),
                ("check", 1),
                ("hash", 3),
                ("clock", 1),
                ("offers", 1),
            ],
            Theme::Names => &[
                ("place", 10),
                ("stray", 3),
                ("put", 2),
                ("post", 1),
                ("delete", 1),
                ("open", 3),
                ("check", 3),
                ("hash", 3),
                ("offers", 3),
                ("clock", 2),
                ("damage", 1),
            ],
        };
        match self.random.weighted(weights) {
            "put" => self.put(),
            "post" => self.post(),
            "delete" => {
                let time = self.time();
                self.on_object("delete", json!({"time": time}))
            }
            "commit" => self.commit(),
            "abandon" => {
                let mut op = self.put();
                op["op"] = json!("abandon");
                op
            }
            "open" => self.open("open"),
            "check" => self.open("check"),
            "clock" => self.clock(),
            "reserve" => {
                let bytes = self.random.pick(&[0_u64, 0, 1 << 60]);
                json!({"op": "reserve", "bytes": bytes})
            }
            "hash" => {
                let rehash = self.random.chance(20).then(|| self.suffix());
                let list = self.random.chance(30);
                self.on_partition(
                    "hash",
                    json!({"rehash": rehash.into_iter().collect::<Vec<_>>(), "list": list}),
                )
            }
            "mark" => {
                let suffixes: Vec<_> = (0..self.random.between(1, 3)).map(|_| self.suffix()).collect();
                self.on_partition("mark", json!({"suffixes": suffixes}))
            }
            "offers" => {
                let suffix = self.known_suffix();
                self.on_partition("offers", json!({"suffix": suffix}))
            }
            "pickle" => self.on_partition("pickle", json!({})),
            "suffixes" => self.on_partition("suffixes", json!({})),
            "place" => litter::place(self),
            "damage" => litter::damage(self),
            "stray" => litter::stray(self),
            "hashes" => litter::hashes(self),
            "notes" => litter::notes(self),
            other => unreachable!("{other}"),
        }
    }

    pub(super) fn policy(&mut self) -> u64 {
        let coded = match self.theme {
            Theme::Coded => 85,
            Theme::Posts | Theme::Damage | Theme::Names | Theme::Power => 35,
            _ => 10,
        };
        u64::from(self.random.chance(coded))
    }

    pub(super) fn object(&mut self) -> usize {
        self.random.below(self.objects.len() as u64) as usize
    }

    pub(super) fn power(&mut self) -> u64 {
        if self.theme == Theme::Power { self.random.pick(&[2, 2, 2, 1, 3]) } else { POWER }
    }

    fn suffix(&mut self) -> String {
        if self.random.chance(10) {
            return self.random.pick(&["abc", "000", "zzz", "ABC", "ab"]).to_owned();
        }
        self.known_suffix()
    }

    fn known_suffix(&mut self) -> String {
        let object = self.object();
        self.world.hash(&self.objects[object])[29..].to_owned()
    }

    /// An operation on one object.
    pub(super) fn on_object(&mut self, name: &str, mut op: Value) -> Value {
        op["op"] = json!(name);
        if op["policy"].is_null() {
            op["policy"] = json!(self.policy());
        }
        op["object"] = json!(self.object());
        op["power"] = json!(self.power());
        if self.theme == Theme::Power
            && ["put", "post", "delete", "commit"].contains(&name)
            && self.random.chance(60)
        {
            // Before the raise the next power is one more, after it the same.
            let power = op["power"].as_u64().unwrap();
            op["next_power"] = json!(power + self.random.below(2));
        }
        op
    }

    pub(super) fn partition_of(&self, object: usize, power: u64) -> u64 {
        u64::from_str_radix(&self.world.hash(&self.objects[object])[..8], 16).unwrap() >> (32 - power)
    }

    pub(super) fn on_partition(&mut self, name: &str, mut op: Value) -> Value {
        let (object, power) = (self.object(), self.power());
        op["op"] = json!(name);
        op["policy"] = json!(self.policy());
        op["partition"] = json!(self.partition_of(object, power));
        op
    }

    fn put(&mut self) -> Value {
        let policy = self.policy();
        let (time, sized, metadata) = (self.time(), self.random.chance(70), self.metadata(true));
        let fragment = (policy == 1).then(|| self.random.below(6));
        let body = match fragment {
            Some(index) if self.random.chance(90) => {
                let set = self.random.below(self.fragments.len() as u64) as usize;
                self.fragments[set][index as usize].clone()
            }
            _ => self.body(),
        };
        let durable = self.random.chance(60);
        self.on_object(
            "put",
            json!({"policy": policy, "time": time, "sized": sized, "metadata": metadata, "body": body,
                "fragment": fragment, "durable": durable}),
        )
    }

    pub(super) fn body(&mut self) -> String {
        let length = match self.random.below(20) {
            0 => 0,
            1 => 70_000,
            _ => self.random.between(1, 120),
        };
        (0..length).map(|i| char::from((i % 251) as u8)).collect()
    }

    fn post(&mut self) -> Value {
        let policy = self.policy();
        let mut metadata = self.metadata(false);
        let mut type_time = None;
        if self.random.chance(50) {
            metadata.insert("Content-Type".to_owned(), json!(self.random.pick(&["text/x", "image/y; a=b"])));
            type_time = Some(self.time());
        }
        let (time, look) = (self.time(), self.random.chance(70));
        self.on_object(
            "post",
            json!({"policy": policy, "time": time, "type_time": type_time, "metadata": metadata, "look": look}),
        )
    }

    fn commit(&mut self) -> Value {
        let (time, fragment) = (self.time(), self.random.below(6));
        self.on_object("commit", json!({"policy": 1, "time": time, "fragment": fragment}))
    }

    /// Headers, in the spelling that servers store.
    pub(super) fn metadata(&mut self, of_put: bool) -> Map<String, Value> {
        let mut metadata = Map::new();
        let mut add = |name: &str, value: String| metadata.insert(name.to_owned(), json!(value));
        if of_put && !self.random.chance(3) {
            add("Content-Type", self.random.pick(&["text/plain", "a/b"]).to_owned());
        }
        for _ in 0..self.random.below(3) {
            let name = self.random.pick(&["Colour", "A", "T\u{c3}\u{a8}St", "\u{ff}X", "Sp-Ell"]);
            let value = match self.random.below(6) {
                0 => String::new(),
                1 => "\u{c3}\u{a9}".to_owned(),
                2 => "\u{ff}\u{80}\u{fe}".to_owned(),
                3 => "x".repeat(self.random.pick(&[300, 300, 70_000])),
                4 => "\u{0}\u{1} tab\t".to_owned(),
                _ => self.random.below(100).to_string(),
            };
            add(&format!("X-Object-Meta-{name}"), value);
        }
        if self.random.chance(20) {
            add("X-Object-Sysmeta-Keep", self.random.below(9).to_string());
        }
        if self.random.chance(15) {
            add("X-Object-Transient-Sysmeta-T", self.random.below(9).to_string());
        }
        if self.random.chance(10) {
            add("X-Static-Large-Object", "True".to_owned());
        }
        if self.random.chance(15) {
            add("X-Delete-At", self.delete_at());
        }
        metadata
    }

    pub(super) fn delete_at(&mut self) -> String {
        match self.random.below(8) {
            0 => self
                .random
                .pick(&[
                    "",
                    "soon",
                    "1.5",
                    "-5",
                    "+7",
                    " 12 ",
                    "1_000",
                    "0x10",
                    "1e3",
                    "99999999999999999999",
                    "\u{a0}12",
                    "_1",
                    "1__0",
                    "007",
                    "- 5",
                    "12\n",
                    "\u{1c}5",
                    "-99999999999999999999",
                ])
                .to_owned(),
            1 | 2 => (self.now - self.random.below(3)).to_string(),
            3 => (self.now - 100).to_string(),
            _ => (self.now + self.random.pick(&[1, 60, 1000, 700_000])).to_string(),
        }
    }

    fn clock(&mut self) -> Value {
        let age = self.reclaim_age;
        match self.random.below(10) {
            0 => self.now -= 50,
            1 => self.now += age,
            2 => self.now += age + 1,
            3 => self.now += age / 2,
            _ => self.now += self.random.pick(&[1, 5, 6, 60, 61, 100]),
        }
        json!({"op": "clock", "now": self.now as f64})
    }

    fn open(&mut self, name: &str) -> Value {
        let policy = self.policy();
        let mut op = json!({
            "policy": policy,
            "by": if name == "open" && self.random.chance(70) { "name" } else { "hash" },
            "read": name == "open" && self.random.chance(60),
            "open_expired": self.random.chance(50),
        });
        if name == "open" && self.random.chance(20) {
            op["now"] = json!((self.now + self.random.below(2000)) as f64);
        }
        if policy == 1 {
            if self.random.chance(40) {
                op["fragment"] = json!(self.random.below(6));
            }
            if name == "open" && self.random.chance(60) {
                op["preferences"] = self.preferences();
            }
        }
        self.on_object(name, op)
    }

    fn preferences(&mut self) -> Value {
        // Swift stops with an error where a time is there twice.
        let times: BTreeSet<_> = (0..self.random.below(4)).map(|_| self.time()).collect();
        let mut wishes: Vec<_> = times
            .into_iter()
            .map(|time| {
                let excluded: Vec<_> = (0..6).filter(|_| self.random.chance(40)).collect();
                json!([time, excluded])
            })
            .collect();
        if self.random.chance(50) {
            wishes.reverse();
        }
        Value::Array(wishes)
    }

    /// Looks at everything, in every way.
    fn close(&mut self, policies: &[u64], ops: &mut Vec<Value>) {
        let powers: &[u64] = if self.theme == Theme::Power { &[1, 2, 3] } else { &[POWER] };
        let objects = 0..self.objects.len();
        for &policy in policies {
            for power in powers {
                let mut partitions: Vec<_> =
                    objects.clone().map(|object| self.partition_of(object, *power)).collect();
                partitions.dedup();
                for partition in &partitions {
                    ops.push(json!({"op": "pickle", "policy": policy, "partition": partition}));
                }
                for object in objects.clone() {
                    let on = json!({"policy": policy, "object": object, "power": power});
                    let mut push = |more: Value| {
                        let mut op = on.clone();
                        op.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                        ops.push(op);
                    };
                    push(json!({"op": "attributes"}));
                    push(json!({"op": "open", "by": "name", "open_expired": true}));
                    if policy == 1 {
                        push(json!({"op": "open", "by": "name", "open_expired": true, "preferences": []}));
                        let preferences = self.preferences();
                        push(
                            json!({"op": "open", "by": "name", "open_expired": true, "preferences": preferences}),
                        );
                        push(json!({"op": "open", "by": "name", "fragment": self.random.below(6)}));
                    }
                    push(json!({"op": "open", "by": "hash", "open_expired": true, "read": true}));
                    push(json!({"op": "check", "by": "hash", "open_expired": true}));
                }
                for partition in &partitions {
                    let suffix = self.world.hash(&self.objects[0])[29..].to_owned();
                    ops.push(
                        json!({"op": "offers", "policy": policy, "partition": partition, "suffix": suffix}),
                    );
                    ops.push(json!({"op": "hash", "policy": policy, "partition": partition, "rehash": [], "list": true}));
                    ops.push(json!({"op": "pickle", "policy": policy, "partition": partition}));
                }
            }
        }
    }
}
