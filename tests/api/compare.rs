//! Asks stock Swift and ours the same, and compares what they answer, store and tell containers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use ssync_tests::{Cluster, Node, Server, Shape, helper};

use crate::{
    case::Case,
    differences::{Answers, KNOWN, RULES},
    names::{PART_POWER, hash, partition},
    recorder::Recorder,
    step::{Move, Place},
    wire::{Reply, converse},
};

/// Updates that go on in the background have reached the recorder, or failed, once it has heard nothing for so long.
const QUIET: Duration = Duration::from_millis(1500);
/// How long such quiet is waited for.
const QUIET_WAIT_MAX: Duration = Duration::from_secs(15);

/// Who is asked; the first is the truth.
const SERVERS: [Server; 3] =
    [Server::Stock, Server::Ssync(Shape::OneProcess), Server::Ssync(Shape::TwoOverUnix)];

/// A group of cases that share servers, and with them a configuration.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) cases: Vec<Case>,
    settings: Vec<(&'static str, &'static str, &'static str)>,
}

pub(crate) fn group(cases: impl IntoIterator<Item = Case>) -> Group {
    Group { cases: cases.into_iter().collect(), settings: Vec::new() }
}

/// What one server did with one case.
#[derive(Debug, Default)]
struct Seen {
    steps: Vec<Answers>,
    files: BTreeMap<String, Value>,
    updates: Vec<String>,
}

/// One thing that differs.
#[derive(Debug)]
struct Difference {
    step: Option<usize>,
    field: String,
    stock: String,
    ours: String,
}

impl Group {
    /// A setting of every server.
    pub(crate) fn setting(mut self, section: &'static str, key: &'static str, value: &'static str) -> Self {
        self.settings.push((section, key, value));
        self
    }

    /// Fails when anything differs that `differences.rs` does not tell of, or tells of and it does not.
    pub(crate) fn compare(self) -> Result<()> {
        let mut builder = Cluster::of(3).part_power(PART_POWER);
        for (section, key, value) in &self.settings {
            builder = builder.setting(section, key, value);
        }
        let cluster = builder.build()?;
        let nodes = [cluster.node(1), cluster.node(2), cluster.node(3)];
        let cases = self.cases.as_slice();
        let seen = thread::scope(|scope| {
            let asked: Vec<_> = nodes
                .into_iter()
                .zip(SERVERS)
                .map(|(node, server)| scope.spawn(move || ask(node, server, cases)))
                .collect();
            asked.into_iter().map(|asked| asked.join().expect("no panic")).collect::<Result<Vec<_>>>()
        })?;
        let [stock, one, two] = <[_; 3]>::try_from(seen).expect("three servers");
        let (mut report, mut excuses) = (String::new(), BTreeSet::new());
        for (number, case) in self.cases.iter().enumerate() {
            let one = judge(case, &stock[number], &one[number], &mut excuses);
            let two = judge(case, &stock[number], &two[number], &mut excuses);
            let shapes = [(&one, "one process"), (&two, "two processes")];
            let shapes = if one == two { &[(&one, "both shapes")][..] } else { &shapes[..] };
            for (findings, shape) in shapes.iter().filter(|(findings, _)| !findings.is_empty()) {
                let _ = writeln!(report, "## row {} {:?} ({shape})\n{findings}", case.row, case.name);
            }
        }
        for excuse in excuses {
            println!("{excuse}");
        }
        assert!(report.is_empty(), "{report}");
        Ok(())
    }
}

fn ask(node: &Node, server: Server, cases: &[Case]) -> Result<Vec<Seen>> {
    let mut serving = node.serve(server)?;
    let recorder = Recorder::start()?;
    let mut all = Vec::new();
    for case in cases {
        let steps = run(node, &recorder, case).with_context(|| format!("{server:?}: {}", case.name))?;
        all.push(Seen { steps, ..Seen::default() });
    }
    if cases.iter().any(|case| format!("{case:?}").contains("{recorder}")) {
        wait_for_quiet(&recorder);
    }
    serving.assert_running();
    let mut pickles: Vec<&mut Vec<u8>> = Vec::new();
    for (seen, case) in all.iter_mut().zip(cases) {
        for ((replies, _), step) in seen.steps.iter_mut().zip(&case.steps) {
            let bodies = replies.iter_mut().filter(|reply| step.pickled && reply.status.contains(" 200 "));
            pickles.extend(bodies.map(|reply| &mut reply.body));
        }
    }
    let bodies: Vec<String> =
        pickles.iter().map(|body| body.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
    let answer = helper("read_files", &json!({"device": node.device(), "pickles": bodies}))?;
    for (body, value) in pickles.into_iter().zip(answer["pickles"].as_array().into_iter().flatten()) {
        *body = value.to_string().into_bytes();
    }
    let updates = recorder.seen();
    for (seen, case) in all.iter_mut().zip(cases) {
        seen.files = files_of(case, &answer["files"]);
        seen.updates = updates.iter().filter(|update| update.contains(&case.names.slug)).cloned().collect();
        seen.updates.sort();
    }
    Ok(all)
}

fn wait_for_quiet(recorder: &Recorder) {
    let began = Instant::now();
    let (mut heard, mut since) = (recorder.seen().len(), began);
    while since.elapsed() < QUIET && began.elapsed() < QUIET_WAIT_MAX {
        thread::sleep(Duration::from_millis(50));
        let count = recorder.seen().len();
        if count != heard {
            (heard, since) = (count, Instant::now());
        }
    }
}

fn run(node: &Node, recorder: &Recorder, case: &Case) -> Result<Vec<Answers>> {
    let fill = |text: &str| case.names.fill(text).replace("{recorder}", &recorder.address().to_string());
    let mut steps = Vec::new();
    for step in &case.steps {
        if let Some(deed) = step.deed() {
            let hash = hash(format!("/AUTH_test/c/{}", case.names.objects[0]).as_bytes());
            let home = format!("objects/{}/{}/{hash}", partition(&hash), &hash[29..]);
            deed(&Place { object: node.device().join(home) });
        }
        let moves = step.moves(&case.names, &fill);
        let (mut replies, ending) = converse(node.address(), &moves, step.is_head(), step.probed)?;
        for reply in &mut replies {
            mask(reply, node);
            in_order(reply);
            if step.roughly {
                without_numbers(reply);
            }
        }
        steps.push((replies, step.probed.then_some(ending)));
    }
    Ok(steps)
}

/// JSON has no order of keys.
fn in_order(reply: &mut Reply) {
    let is_json = reply.header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    if let Some(value) = is_json.then(|| serde_json::from_slice::<Value>(&reply.body).ok()).flatten() {
        // Its maps are sorted.
        reply.body = value.to_string().into_bytes();
    }
}

/// Takes numbers, and with them lengths, out of a body.
fn without_numbers(reply: &mut Reply) {
    reply.body.retain(|byte| !byte.is_ascii_digit());
    reply.headers.retain(|line| !line.starts_with("Content-Length"));
}

/// Takes out what differs from run to run, and from node to node.
fn mask(reply: &mut Reply, node: &Node) {
    let (devices, same) = (node.devices().display().to_string(), "DEVICES".to_owned());
    let body = String::from_utf8_lossy(&reply.body);
    if body.contains(&devices) {
        reply.body = body.replace(&devices, &same).into_bytes();
    }
    let boundary =
        reply.header("content-type").and_then(|kind| kind.split_once("boundary=")).map(|(_, b)| b.to_owned());
    if let Some(boundary) = boundary {
        let body = String::from_utf8_lossy(&reply.body).replace(&boundary, "BOUNDARY");
        reply.body = body.into_bytes();
        reply.headers = reply.headers.iter().map(|line| line.replace(&boundary, "BOUNDARY")).collect();
    }
    for line in &mut reply.headers {
        let Some((name, _)) = line.split_once(':') else { continue };
        if ["date", "x-trans-id", "x-openstack-request-id"]
            .iter()
            .any(|varies| name.eq_ignore_ascii_case(varies))
        {
            *line = format!("{name}: *");
        }
    }
}

/// The files that belong to a case: the object's folder has its hash, what else there is tells its name.
fn files_of(case: &Case, files: &Value) -> BTreeMap<String, Value> {
    let slug = &case.names.slug;
    let is_of = |path: &str, value: &Value| {
        path.contains(slug.as_str())
            || value.to_string().contains(slug.as_str())
            || case
                .names
                .objects
                .iter()
                .any(|object| path.contains(&hash(format!("/AUTH_test/c/{object}").as_bytes())))
    };
    let files = files.as_object().into_iter().flatten();
    files
        .filter(|(path, value)| is_of(path, value))
        .map(|(path, value)| (path.clone(), value.clone()))
        .collect()
}

/// What differs, and at which steps a rule says that it may, with its reason.
fn differences(stock: &Seen, ours: &Seen) -> (Vec<Difference>, Vec<(usize, &'static str)>) {
    let (mut found, mut excused) = (Vec::new(), Vec::new());
    for (number, (theirs, here)) in stock.steps.iter().zip(&ours.steps).enumerate() {
        let before = found.len();
        let mut differ = |field: &str, stock: String, ours: String| {
            if stock != ours {
                found.push(Difference { step: Some(number), field: field.to_owned(), stock, ours });
            }
        };
        let statuses = |replies: &[Reply]| {
            replies.iter().map(|reply| reply.status.clone()).collect::<Vec<_>>().join(", ")
        };
        differ("status", statuses(&theirs.0), statuses(&here.0));
        for (theirs, here) in theirs.0.iter().rev().zip(here.0.iter().rev()) {
            let only = |these: &Reply, those: &Reply| {
                these
                    .headers
                    .iter()
                    .filter(|line| !those.headers.contains(line))
                    .cloned()
                    .collect::<Vec<_>>()
                    .join("; ")
            };
            let ours = only(here, theirs);
            // That we say so before we close does no harm.
            let ours = if ours == "Connection: close" { String::new() } else { ours };
            differ("headers", only(theirs, here), ours);
            differ("body", text(&theirs.body), text(&here.body));
        }
        differ("ending", format!("{:?}", theirs.1), format!("{:?}", here.1));
        let rule = RULES.iter().find(|rule| found.len() > before && (rule.covers)(theirs, here));
        if let Some(rule) = rule {
            found.truncate(before);
            excused.push((number, rule.why));
        }
    }
    let mut whole = |field: &str, stock: String, ours: String| {
        if stock != ours {
            found.push(Difference { step: None, field: field.to_owned(), stock, ours });
        }
    };
    let only = |these: &Seen, those: &Seen| {
        let differ = these.files.iter().filter(|(path, value)| those.files.get(*path) != Some(value));
        differ.map(|(path, value)| format!("{path} {value}")).collect::<Vec<_>>().join("\n")
    };
    whole("files", only(stock, ours), only(ours, stock));
    whole("updates", stock.updates.join("\n---\n"), ours.updates.join("\n---\n"));
    (found, excused)
}

fn text(bytes: &[u8]) -> String {
    /// Of a body that is shown.
    const SHOWN_MAX: usize = 600;
    let shown = bytes.escape_ascii().to_string();
    shown
        .get(..SHOWN_MAX)
        .map_or(shown.clone(), |start| format!("{start}... ({} bytes, {})", bytes.len(), hash(bytes)))
}

/// What differs and should not, or should and does not. What may differ is among the excuses.
fn judge(case: &Case, stock: &Seen, ours: &Seen, excuses: &mut BTreeSet<String>) -> String {
    let known: Vec<_> = KNOWN.iter().filter(|known| case.name.starts_with(known.case)).collect();
    let (found, excused) = differences(stock, ours);
    let excuse = |what: &str, why: &str| format!("row {} {:?}, {what}: {why}", case.row, case.name);
    excuses.extend(excused.iter().map(|(number, why)| excuse(&format!("step {}", number + 1), why)));
    excuses.extend(known.iter().map(|known| excuse(&format!("{:?}", known.fields), known.why)));
    let mut findings = String::new();
    for known in &known {
        if !found.iter().any(|difference| known.fields.contains(&difference.field.as_str())) {
            let _ = writeln!(findings, "* the same as stock's in {:?}: take it off the list", known.fields);
        }
    }
    let mut step = None;
    for difference in
        found.iter().filter(|found| !known.iter().any(|known| known.fields.contains(&found.field.as_str())))
    {
        if difference.step != step {
            step = difference.step;
            findings.push_str(&step.map(|number| said(case, number)).unwrap_or_default());
        }
        let Difference { field, stock, ours, .. } = difference;
        let _ = writeln!(findings, "  {field}\n    stock: {stock}\n    ours:  {ours}");
    }
    findings
}

/// A step as it is sent.
fn said(case: &Case, number: usize) -> String {
    let moves = case.steps[number].moves(&case.names, &|text| case.names.fill(text));
    let said = moves.iter().map(|step| match step {
        Move::Say(bytes) => text(bytes),
        other => format!("<{other:?}>"),
    });
    format!("* step {}: {}\n", number + 1, said.collect::<Vec<_>>().join(" "))
}
