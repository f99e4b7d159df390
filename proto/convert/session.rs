//! Sessions: how they are opened, and what a receiver says in them.

use std::time::Duration;

use ssync_types::{
    Accepted, Durability, Invalid, Job, Reason, Refusal, Sender, SessionEvent, SessionOpen, SessionProtocol,
    Summary, WorkTimes,
};

use super::{FEATURES_MAX, RING_DIGEST_BYTES_MAX, at_most, required, text, verdict};
use crate::v1::{self, updates_response::Message};

/// A year, in microseconds.
const WORK_MICROSECONDS_MAX: u64 = 365 * 86_400 * 1_000_000;

impl From<SessionOpen> for v1::UpdatesRequest {
    fn from(open: SessionOpen) -> Self {
        Self { message: Some(v1::updates_request::Message::Open(open.into())) }
    }
}

/// The first message of a session.
impl TryFrom<v1::UpdatesRequest> for SessionOpen {
    type Error = Refusal;

    fn try_from(request: v1::UpdatesRequest) -> Result<Self, Refusal> {
        match required(request.message, "message")? {
            v1::updates_request::Message::Open(open) => {
                Ok(Self::try_from(open).map_err(|invalid| invalid.within("open"))?)
            }
            _ => Err(Refusal::new(Reason::ProtocolOrder, "the first message must be `open`")),
        }
    }
}

impl From<SessionOpen> for v1::UpdatesOpen {
    fn from(open: SessionOpen) -> Self {
        Self {
            partition: Some(open.partition.into()),
            sender: Some(open.sender.into()),
            ring_digest: open.ring_digest.map(Into::into),
            features: features(open.non_durable),
            failures_unlimited: open.failures_unlimited,
            swift_locks: open.protocol == SessionProtocol::Ssync,
        }
    }
}

impl TryFrom<v1::UpdatesOpen> for SessionOpen {
    type Error = Invalid;

    fn try_from(open: v1::UpdatesOpen) -> Result<Self, Invalid> {
        let digest = open.ring_digest.as_deref().unwrap_or_default();
        at_most(digest.len(), RING_DIGEST_BYTES_MAX, "ring_digest")?;
        Ok(Self {
            partition: super::partition(open.partition)?,
            sender: required(open.sender, "sender")?.try_into().map_err(|i: Invalid| i.within("sender"))?,
            non_durable: has_non_durable(&open.features)?,
            ring_digest: open.ring_digest.map(Into::into),
            failures_unlimited: open.failures_unlimited,
            protocol: if open.swift_locks { SessionProtocol::Ssync } else { SessionProtocol::Grpc },
        })
    }
}

impl From<Sender> for v1::Sender {
    fn from(sender: Sender) -> Self {
        let job = v1::Job::from(sender.job).into();
        Self { address: sender.address, device: sender.device, job, agent: sender.agent }
    }
}

impl From<Job> for v1::Job {
    fn from(job: Job) -> Self {
        match job {
            Job::Unknown => Self::Unspecified,
            Job::Sync => Self::Sync,
            Job::Revert => Self::Revert,
            Job::Client => Self::Client,
        }
    }
}

impl TryFrom<v1::Sender> for Sender {
    type Error = Invalid;

    fn try_from(sender: v1::Sender) -> Result<Self, Invalid> {
        let job = match sender.job() {
            // The enumeration grows; jobs of later versions read as unspecified.
            v1::Job::Unspecified => Job::Unknown,
            v1::Job::Sync => Job::Sync,
            v1::Job::Revert => Job::Revert,
            v1::Job::Client => Job::Client,
        };
        Ok(Self {
            address: text(sender.address, "address")?,
            device: text(sender.device, "device")?,
            job,
            agent: text(sender.agent, "agent")?,
        })
    }
}

impl From<SessionEvent> for v1::UpdatesResponse {
    fn from(event: SessionEvent) -> Self {
        let message = match event {
            SessionEvent::Opened { ring_differs } => Message::Opened(v1::UpdatesOpened { ring_differs }),
            SessionEvent::Accepted(accepted) => Message::Accepted(accepted.into()),
            SessionEvent::Results(results) => {
                Message::Results(v1::UpdateResults { results: results.into_iter().map(Into::into).collect() })
            }
            SessionEvent::Draining(reason) => Message::Draining(v1::Draining { reason }),
            SessionEvent::Heartbeat => Message::Heartbeat(v1::Heartbeat::default()),
            SessionEvent::Work(times) => Message::Heartbeat(v1::Heartbeat { work: Some(times.into()) }),
            SessionEvent::Summary(summary) => Message::Summary(summary.into()),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<v1::UpdatesResponse> for SessionEvent {
    type Error = Invalid;

    fn try_from(response: v1::UpdatesResponse) -> Result<Self, Invalid> {
        Ok(match required(response.message, "message")? {
            Message::Opened(opened) => Self::Opened { ring_differs: opened.ring_differs },
            Message::Accepted(accepted) => {
                Self::Accepted(accepted.try_into().map_err(|i: Invalid| i.within("accepted"))?)
            }
            Message::Results(results) => Self::Results(verdict::results(results.results)?),
            Message::Draining(draining) => Self::Draining(text(draining.reason, "draining.reason")?),
            Message::Heartbeat(heartbeat) => match heartbeat.work {
                Some(times) => Self::Work(times.into()),
                None => Self::Heartbeat,
            },
            Message::Summary(summary) => Self::Summary(summary.into()),
        })
    }
}

impl From<Accepted> for v1::UpdatesAccepted {
    fn from(accepted: Accepted) -> Self {
        let durability = match accepted.durability {
            Durability::Object => v1::Durability::Object,
            Durability::Batch => v1::Durability::Batch,
            Durability::None => v1::Durability::None,
        };
        Self {
            features: features(accepted.non_durable),
            inline_bytes_max: accepted.inline_bytes_max,
            outstanding_updates_max: accepted.outstanding_updates_max,
            durability: durability.into(),
            session_updates_max: accepted.session_updates_max,
            // A limit of less than a second is one nonetheless.
            session_seconds_max: accepted
                .session_time_max
                .as_millis()
                .div_ceil(1000)
                .try_into()
                .unwrap_or(u32::MAX),
        }
    }
}

impl TryFrom<v1::UpdatesAccepted> for Accepted {
    type Error = Invalid;

    fn try_from(accepted: v1::UpdatesAccepted) -> Result<Self, Invalid> {
        let durability = match v1::Durability::try_from(accepted.durability) {
            Ok(v1::Durability::Object) => Durability::Object,
            Ok(v1::Durability::Batch) => Durability::Batch,
            // What a later version promises is not known here, so nothing is removed on it.
            Ok(v1::Durability::None) | Err(_) => Durability::None,
            Ok(v1::Durability::Unspecified) => return Err(Invalid::new("durability", "is required")),
        };
        Ok(Self {
            non_durable: has_non_durable(&accepted.features)?,
            inline_bytes_max: accepted.inline_bytes_max,
            outstanding_updates_max: accepted.outstanding_updates_max,
            durability,
            session_updates_max: accepted.session_updates_max,
            session_time_max: Duration::from_secs(accepted.session_seconds_max.into()),
        })
    }
}

impl From<WorkTimes> for v1::WorkTimes {
    fn from(times: WorkTimes) -> Self {
        let WorkTimes { elapsed, idle, queued, working, flushing } = times;
        let microseconds = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self {
            elapsed_microseconds: microseconds(elapsed),
            idle_microseconds: microseconds(idle),
            queued_microseconds: microseconds(queued),
            working_microseconds: microseconds(working),
            flushing_microseconds: microseconds(flushing),
        }
    }
}

/// No session lasts a year; what claims more counts as that.
impl From<v1::WorkTimes> for WorkTimes {
    fn from(times: v1::WorkTimes) -> Self {
        let bounded = |microseconds: u64| Duration::from_micros(microseconds.min(WORK_MICROSECONDS_MAX));
        Self {
            elapsed: bounded(times.elapsed_microseconds),
            idle: bounded(times.idle_microseconds),
            queued: bounded(times.queued_microseconds),
            working: bounded(times.working_microseconds),
            flushing: bounded(times.flushing_microseconds),
        }
    }
}

impl From<Summary> for v1::UpdatesSummary {
    fn from(summary: Summary) -> Self {
        let Summary { applied, confirmed, superseded, failed } = summary;
        Self { applied, confirmed, superseded, failed }
    }
}

impl From<v1::UpdatesSummary> for Summary {
    fn from(summary: v1::UpdatesSummary) -> Self {
        let v1::UpdatesSummary { applied, confirmed, superseded, failed } = summary;
        Self { applied, confirmed, superseded, failed }
    }
}

fn features(non_durable: bool) -> Vec<i32> {
    non_durable.then_some(v1::Feature::NonDurable.into()).into_iter().collect()
}

/// The enumeration grows: what is not known is not asked for.
fn has_non_durable(features: &[i32]) -> Result<bool, Invalid> {
    at_most(features.len(), FEATURES_MAX, "features")?;
    Ok(features.contains(&v1::Feature::NonDurable.into()))
}
