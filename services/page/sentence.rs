//! The truth about a node in one sentence, and what else there is to say, the gravest first.

use ssync_api::admin::{Backlog, GetReplicatorStatusResponse};

use crate::{
    report::{Receives, Report, State},
    units::{bytes, clipped, counted, forecast, percent, span},
};

/// Names in a sentence; what is more is counted.
const NAMES_MAX: usize = 3;

/// How grave it is; the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// Somebody has to do something.
    Bad,
    /// Somebody may have to.
    Warning,
    /// There is work, and it is done.
    Busy,
    /// All is well.
    Good,
}

impl Tone {
    /// As the style sheet, and readers without eyes, have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::Warning => "warning",
            Self::Busy => "busy",
            Self::Good => "good",
        }
    }
}

/// Something to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// How grave it is.
    pub tone: Tone,
    /// In words, without a full stop.
    pub text: String,
}

/// What is to be said of a node, the gravest first; at least one sentence.
#[must_use]
pub fn sentences(report: &Report) -> Vec<Sentence> {
    let mut said: Vec<Sentence> = Vec::new();
    let mut say = |tone, text: String| said.push(Sentence { tone, text });
    match report.state {
        State::Draining => {
            say(Tone::Warning, "Draining: what is under way may end, nothing new is begun".to_owned());
        }
        State::NotReady => say(Tone::Bad, "Not ready: it is starting, or a ring is missing".to_owned()),
        State::Ready => {}
    }
    if let Some(text) = unusable(report) {
        say(Tone::Bad, text);
    }
    if let Some(status) = &report.replicates {
        if let Some(text) = paused(status) {
            say(Tone::Warning, text);
        }
        for (tone, text) in [trouble(status), parked(status), unknown(status)].into_iter().flatten() {
            say(tone, text);
        }
        let (tone, text) = pending(status);
        say(tone, text);
    } else {
        say(Tone::Good, without_replicator(report));
    }
    said.sort_by_key(|sentence| sentence.tone);
    said
}

/// What an operator has paused.
fn paused(status: &GetReplicatorStatusResponse) -> Option<String> {
    if status.paused {
        return Some("Paused: nothing is pushed until `ssync resume`".to_owned());
    }
    let names: Vec<&str> =
        status.devices.iter().filter(|device| device.paused).map(|device| device.device.as_str()).collect();
    (!names.is_empty()).then(|| format!("Paused: nothing is pushed from {}", listed(&names)))
}

fn unusable(report: &Report) -> Option<String> {
    let names: Vec<&str> = report.unusable().map(|device| device.name.as_str()).collect();
    let mounted = report.unusable().all(|device| !device.problem.contains("not mounted"));
    match (names.as_slice(), mounted) {
        ([], _) => None,
        ([one], false) => Some(format!("{one} is not mounted")),
        ([one], true) => Some(format!("{one} cannot be used")),
        (several, _) => {
            let all = report.receives.as_ref().map_or(0, |receives| receives.devices.len());
            Some(format!("{} of {all} devices cannot be used: {}", several.len(), listed(several)))
        }
    }
}

fn trouble(status: &GetReplicatorStatusResponse) -> Option<(Tone, String)> {
    let names: Vec<&str> =
        status.nodes.iter().filter(|node| !node.trouble.is_empty()).map(|node| node.node.as_str()).collect();
    match names.as_slice() {
        [] if status.peers.is_empty() => None,
        [] => {
            let peers: Vec<&str> = status.peers.iter().map(|peer| peer.peer.as_str()).collect();
            Some((Tone::Warning, format!("Left alone for a while: {}", listed(&peers))))
        }
        [one] => Some((Tone::Warning, format!("{} is left alone for a while", clipped(one)))),
        several => {
            let said = format!("{} of {} nodes are left alone", several.len(), status.nodes.len());
            Some((Tone::Warning, format!("{said} for a while: {}", listed(several))))
        }
    }
}

fn parked(status: &GetReplicatorStatusResponse) -> Option<(Tone, String)> {
    let objects = status.parked.len() as u64;
    let verb = if objects == 1 {
        "has failed again and again, and is parked"
    } else {
        "have failed again and again, and are parked"
    };
    (objects > 0).then(|| (Tone::Warning, format!("{} {verb}", counted(objects, "object"))))
}

fn unknown(status: &GetReplicatorStatusResponse) -> Option<(Tone, String)> {
    let unknown = status.backlog.as_ref().map_or(0, |backlog| backlog.unknown);
    let said = || format!("{} failed: what is pending there is not known", counted(unknown, "comparison"));
    (unknown > 0).then(|| (Tone::Warning, said()))
}

/// What is pending, or that nothing is.
fn pending(status: &GetReplicatorStatusResponse) -> (Tone, String) {
    let Some(backlog) = &status.backlog else { return (pass_tone(status), pass(status)) };
    if expected(backlog) > 0 {
        return (Tone::Busy, amount(status, backlog));
    }
    match backlog.in_sync_seconds {
        _ if backlog.unknown > 0 => (Tone::Busy, "Nothing else is known to be pending".to_owned()),
        Some(seconds) if status.failures > 0 => {
            let failures = counted(status.failures, "failure");
            (Tone::Warning, format!("In sync as of {} ago; {failures} since", span(seconds)))
        }
        Some(seconds) => (Tone::Good, format!("In sync as of {} ago", span(seconds))),
        None if status.running => {
            (Tone::Busy, format!("{}; nothing is known to be pending so far", pass(status)))
        }
        None => (pass_tone(status), pass(status)),
    }
}

/// Objects that are pending, as far as that is known and can be told beforehand.
pub(crate) fn expected(backlog: &Backlog) -> u64 {
    backlog.objects.saturating_add(backlog.expected_objects)
}

fn amount(status: &GetReplicatorStatusResponse, backlog: &Backlog) -> String {
    let estimate = if backlog.expected_objects > 0 { "About " } else { "" };
    let size = bytes(backlog.bytes.saturating_add(backlog.expected_bytes));
    let mut text = format!("{estimate}{} ({size}) pending", counted(expected(backlog), "object"));
    let nodes = status.nodes.iter().filter(|node| node.backlog.as_ref().is_some_and(|of| expected(of) > 0));
    match nodes.count() as u64 {
        0 => {}
        nodes => text.push_str(&format!(" at {}", counted(nodes, "node"))),
    }
    if let Some(end) = &status.forecast {
        text.push_str(&format!(", done in {}", forecast(end)));
    }
    text
}

fn pass_tone(status: &GetReplicatorStatusResponse) -> Tone {
    match (status.running, status.pass, status.failures) {
        (true, ..) => Tone::Busy,
        (false, 0, _) => Tone::Warning,
        (false, _, 0) => Tone::Good,
        _ => Tone::Warning,
    }
}

/// How far the pass is, where nobody knows what is pending.
fn pass(status: &GetReplicatorStatusResponse) -> String {
    let failures = match status.failures {
        0 => String::new(),
        failures => format!("; {}", counted(failures, "failure")),
    };
    match (status.running, status.pass) {
        (false, 0) => "No pass has been made yet".to_owned(),
        (false, pass) => format!("Pass {pass} is over{failures}"),
        (true, pass) => {
            let done = percent(status.partitions_done, status.partitions_total);
            format!("Pass {pass} is under way: {done} of its partitions are done{failures}")
        }
    }
}

fn without_replicator(report: &Report) -> String {
    match &report.receives {
        Some(Receives { devices, sessions, .. }) => {
            let (devices, sessions) = (devices.len() as u64, sessions.len() as u64);
            format!("{}, and {} from other nodes", counted(devices, "device"), counted(sessions, "session"))
        }
        None => "Nothing is known here of devices and peers; another process tells of them".to_owned(),
    }
}

/// The first of them, and how many there are besides.
fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(NAMES_MAX).map(|name| clipped(name)).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
