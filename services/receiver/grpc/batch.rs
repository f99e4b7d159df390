//! What a store says, gathered into messages: never one for each small thing when more are ready.

use std::collections::VecDeque;

use bytes::Bytes;
use ssync_api::{
    convert::{OFFERS_MAX, RESULTS_MAX},
    v1,
};
use ssync_store::CheckAnswer;
use ssync_types::{PutStep, ReleaseResult, SessionEvent, UpdateResult};

/// Largest piece of a body that is sent in one message. Larger ones hold up other streams and gain nothing.
const PIECE_BYTES_MAX: usize = 256 * 1024;

/// Turns items into messages.
pub(super) trait Batch: Send + 'static {
    /// What the store says.
    type Item: Send;
    /// A message of the contract.
    type Wire: Send;

    /// Most items that are gathered at a time.
    const ITEMS_MAX: usize = 64;

    /// Takes an item; puts out what is full.
    fn push(&mut self, item: Self::Item, out: &mut VecDeque<Self::Wire>);

    /// Puts out the rest.
    fn flush(&mut self, out: &mut VecDeque<Self::Wire>);

    /// What an idle stream says, where the contract lets it say something.
    fn heartbeat(&self) -> Option<Self::Wire>;
}

/// Answers of a check.
#[derive(Debug, Default)]
pub(super) struct Answers {
    wants: Vec<v1::ObjectWant>,
    /// As said so far.
    said: u64,
    /// As known by now.
    answered: u64,
}

impl Batch for Answers {
    type Item = CheckAnswer;
    type Wire = v1::MissingCheckResponse;

    fn push(&mut self, answer: CheckAnswer, out: &mut VecDeque<Self::Wire>) {
        if self.wants.len() + answer.wants.len() > OFFERS_MAX {
            // What is wanted goes with the count that answers its offer, or the sender knows nothing of it yet.
            self.flush(out);
        }
        self.wants.extend(answer.wants.into_iter().map(v1::ObjectWant::from));
        self.answered = self.answered.max(answer.answered_offers);
    }

    fn flush(&mut self, out: &mut VecDeque<Self::Wire>) {
        if self.wants.is_empty() && self.said == self.answered {
            return;
        }
        self.said = self.answered;
        let wants = std::mem::take(&mut self.wants);
        out.push_back(v1::MissingCheckResponse { wants, answered_offers: self.said });
    }

    fn heartbeat(&self) -> Option<Self::Wire> {
        Some(v1::MissingCheckResponse { wants: Vec::new(), answered_offers: self.said })
    }
}

/// Events of a session: results are gathered, everything else keeps its place among them.
#[derive(Debug, Default)]
pub(super) struct Events {
    results: Vec<UpdateResult>,
}

impl Batch for Events {
    type Item = SessionEvent;
    type Wire = v1::UpdatesResponse;

    fn push(&mut self, event: SessionEvent, out: &mut VecDeque<Self::Wire>) {
        let SessionEvent::Results(results) = event else {
            self.flush(out);
            out.push_back(event.into());
            return;
        };
        self.results.extend(results);
        while self.results.len() > RESULTS_MAX {
            let rest = self.results.split_off(RESULTS_MAX);
            let results = std::mem::replace(&mut self.results, rest);
            out.push_back(SessionEvent::Results(results).into());
        }
    }

    fn flush(&mut self, out: &mut VecDeque<Self::Wire>) {
        if !self.results.is_empty() {
            out.push_back(SessionEvent::Results(std::mem::take(&mut self.results)).into());
        }
    }

    fn heartbeat(&self) -> Option<Self::Wire> {
        Some(SessionEvent::Heartbeat.into())
    }
}

/// Results of a release.
#[derive(Debug, Default)]
pub(super) struct Released {
    results: Vec<ReleaseResult>,
}

impl Batch for Released {
    type Item = Vec<ReleaseResult>;
    type Wire = v1::ReleaseResponse;

    fn push(&mut self, results: Vec<ReleaseResult>, out: &mut VecDeque<Self::Wire>) {
        self.results.extend(results);
        while self.results.len() > RESULTS_MAX {
            let rest = self.results.split_off(RESULTS_MAX);
            out.push_back(std::mem::replace(&mut self.results, rest).into());
        }
    }

    fn flush(&mut self, out: &mut VecDeque<Self::Wire>) {
        if !self.results.is_empty() {
            out.push_back(std::mem::take(&mut self.results).into());
        }
    }

    fn heartbeat(&self) -> Option<Self::Wire> {
        let heartbeat = v1::release_response::Message::Heartbeat(v1::Heartbeat::default());
        Some(v1::ReleaseResponse { message: Some(heartbeat) })
    }
}

/// Steps of an upload: few, and each is waited for.
#[derive(Debug, Default)]
pub(super) struct Steps;

impl Batch for Steps {
    type Item = PutStep;
    type Wire = v1::PutObjectResponse;

    const ITEMS_MAX: usize = 1;

    fn push(&mut self, step: PutStep, out: &mut VecDeque<Self::Wire>) {
        out.push_back(step.into());
    }

    fn flush(&mut self, _out: &mut VecDeque<Self::Wire>) {}

    fn heartbeat(&self) -> Option<Self::Wire> {
        None
    }
}

/// Pieces of a body. They are large already: none is held back, and large ones are cut.
#[derive(Debug, Default)]
pub(super) struct Pieces;

impl Batch for Pieces {
    type Item = Bytes;
    type Wire = v1::GetObjectResponse;

    const ITEMS_MAX: usize = 1;

    fn push(&mut self, mut data: Bytes, out: &mut VecDeque<Self::Wire>) {
        while !data.is_empty() {
            let data = data.split_to(data.len().min(PIECE_BYTES_MAX));
            let chunk = v1::get_object_response::Message::Chunk(v1::BodyChunk { data });
            out.push_back(v1::GetObjectResponse { message: Some(chunk) });
        }
    }

    fn flush(&mut self, _out: &mut VecDeque<Self::Wire>) {}

    fn heartbeat(&self) -> Option<Self::Wire> {
        None
    }
}

#[cfg(test)]
mod tests;
