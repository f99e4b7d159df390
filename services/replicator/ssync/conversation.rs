//! One SSYNC conversation: the list, the wants, the sub-requests, the end.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use ssync_diskfile::LocalObject;
use ssync_protocol::{Marker, decode_want, encode_offer};
use ssync_types::{ObjectHash, Offer, PartitionRef, Reason, Refusal, Want};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    answer,
    connection::{Connection, in_all},
    peer::Limits,
    read::{PIECES_AHEAD_MAX, Piece, read_all},
};
use crate::{
    backlog::Visit,
    peer::{OfferBatch, PushError, Pushed},
    source::{Pulse, Source},
    spent::Spender,
};

/// A list of wants may take so many times as long as a line: with the rest of a conversation's waits, less than what makes
/// a job count as hanging.
const WANTS_FACTOR: u32 = 10;

/// A conversation that the peer has answered with 200. It may still be refused in the lines that follow.
#[derive(Debug)]
pub(super) struct Conversation {
    connection: Connection,
    limits: Limits,
    /// Of the job: it beats with all that the peer takes and says, so that nobody blames the disk here for its silence.
    pulse: Pulse,
}

/// What became of the sub-requests.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) pushed: Pushed,
    /// Objects that were skipped, or sent in another version than offered.
    pub(super) doubtful: HashSet<ObjectHash>,
    /// Objects that were not tried any more.
    pub(super) left: HashSet<ObjectHash>,
    /// Objects that were not sent, and why if they could not be opened.
    pub(super) skipped: Vec<(Offer, Option<Refusal>)>,
}

impl Conversation {
    /// Asks for a conversation on a partition.
    pub(super) async fn open(
        address: &str,
        partition: &PartitionRef,
        limits: Limits,
        pulse: Pulse,
    ) -> Result<Self, Refusal> {
        let head = format!(
            "SSYNC /{}/{} HTTP/1.1\r\nHost: {address}\r\nAccept-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\
             X-Backend-Storage-Policy-Index: {}\r\n\r\n",
            partition.device, partition.partition, partition.policy
        );
        let mut connection = Connection::open(address, head.as_bytes(), limits).await?;
        let head = connection.head(limits.node).await?;
        if head.status != 200 {
            let body = connection.error_body().await;
            return Err(answer::of_status(head.status, &body));
        }
        if !connection.is_chunked() {
            return Err(Refusal::new(Reason::ProtocolOrder, "the peer's answer to SSYNC is not chunked"));
        }
        pulse.beat();
        Ok(Self { connection, limits, pulse })
    }

    /// Begins the list.
    pub(super) async fn begin_offers(&mut self) -> Result<(), Refusal> {
        self.connection.send(Marker::MissingCheckStart.line()).await
    }

    /// One batch of the list.
    pub(super) async fn offer(&mut self, batch: &[LocalObject]) -> Result<(), Refusal> {
        for object in batch {
            let line = encode_offer(&object.offer) + "\r\n";
            self.connection.send(line.as_bytes()).await?;
        }
        self.connection.flush().await?;
        self.pulse.beat();
        Ok(())
    }

    /// Ends the list of `offered` objects and reads which of them are wanted.
    pub(super) async fn wants(&mut self, offered: u64) -> Result<HashMap<ObjectHash, Want>, Refusal> {
        self.connection.send(Marker::MissingCheckEnd.line()).await?;
        self.connection.flush().await?;
        self.expect(Marker::MissingCheckStart, "missing_check start wait").await?;
        let limit = self.limits.http.saturating_mul(WANTS_FACTOR);
        in_all(limit, "missing_check wait", self.read_wants(offered)).await
    }

    async fn read_wants(&mut self, offered: u64) -> Result<HashMap<ObjectHash, Want>, Refusal> {
        let mut wants = HashMap::new();
        loop {
            let line = self.line("missing_check line wait").await?;
            if Marker::of(&line) == Some(Marker::MissingCheckEnd) {
                return Ok(wants);
            }
            match decode_want(&line) {
                Ok(Some(want)) => drop(wants.insert(want.hash, want)),
                Ok(None) | Err(_) => return Err(answer::of_line(&line)),
            }
            if wants.len() as u64 > offered {
                return Err(Refusal::new(
                    Reason::ProtocolOrder,
                    "the peer wants more objects than were offered",
                ));
            }
        }
    }

    /// Sends what is wanted, until `stop`, and waits for the peer's word that all of it went well.
    pub(super) async fn updates(
        &mut self,
        source: &Source,
        visit: &Visit,
        wanted: Vec<(LocalObject, Want)>,
        stop: &CancellationToken,
    ) -> Result<Sent, PushError> {
        self.connection.send(Marker::UpdatesStart.line()).await?;
        let mut sent = Sent::default();
        sent.pushed.wanted = wanted.len() as u64;
        if !wanted.is_empty() {
            let (pieces, handed_over) = mpsc::channel(PIECES_AHEAD_MAX);
            let stop = stop.clone();
            let reading = async {
                let read = source.run(move |source| {
                    read_all(source, &wanted, &stop, &pieces);
                    Ok(())
                });
                read.await.map_err(PushError::Here)
            };
            tokio::try_join!(reading, self.send_pieces(source, visit, handed_over, &mut sent))?;
        }
        visit.spend(Spender::Storing);
        self.end_updates().await?;
        Ok(sent)
    }

    /// Sends nothing, and waits for the peer's word that the conversation went well.
    pub(super) async fn no_updates(&mut self) -> Result<(), Refusal> {
        self.connection.send(Marker::UpdatesStart.line()).await?;
        self.end_updates().await
    }

    async fn end_updates(&mut self) -> Result<(), Refusal> {
        // What it says before it was told that this is all does not answer for it.
        self.connection.check_alive()?;
        self.connection.send(Marker::UpdatesEnd.line()).await?;
        self.connection.flush().await?;
        self.expect(Marker::UpdatesStart, "updates start wait").await?;
        self.expect(Marker::UpdatesEnd, "updates line wait").await
    }

    async fn send_pieces(
        &mut self,
        source: &Source,
        visit: &Visit,
        mut pieces: mpsc::Receiver<Piece>,
        sent: &mut Sent,
    ) -> Result<(), PushError> {
        loop {
            visit.spend(if pieces.is_empty() { Spender::Reading } else { Spender::Storing });
            let Some(piece) = pieces.recv().await else { break };
            visit.spend(Spender::Storing);
            source.beat();
            match piece {
                Piece::Bytes(bytes) => {
                    self.connection.check_alive()?;
                    self.connection.send(&bytes).await?;
                }
                Piece::Sent { hash, body_bytes, as_offered } => {
                    // Deletions and metadata are no objects.
                    sent.pushed.objects += u64::from(body_bytes.is_some());
                    sent.pushed.bytes += body_bytes.unwrap_or(0);
                    if !as_offered {
                        sent.doubtful.insert(hash);
                    }
                }
                Piece::Skipped { offer, cause } => {
                    sent.pushed.skipped += 1;
                    sent.doubtful.insert(offer.hash);
                    sent.skipped.push((offer, cause));
                }
                Piece::Left(hash) => {
                    sent.pushed.stopped = true;
                    sent.doubtful.insert(hash);
                    sent.left.insert(hash);
                }
                Piece::Broken(refusal) => return Err(PushError::Here(refusal)),
            }
        }
        Ok(())
    }

    /// Passes over blank lines to a marker; anything else is the peer's refusal.
    async fn expect(&mut self, marker: Marker, what: &str) -> Result<(), Refusal> {
        let line = self.line(what).await?;
        match Marker::of(&line) == Some(marker) {
            true => Ok(()),
            false => Err(answer::of_line(&line)),
        }
    }

    async fn line(&mut self, what: &str) -> Result<Bytes, Refusal> {
        let line = self.connection.line(what).await?;
        self.pulse.beat();
        Ok(line)
    }

    /// The orderly end.
    pub(super) async fn close(self) {
        self.connection.close().await;
    }
}

/// The wanted ones of what was offered; every want must be for something offered.
pub(super) fn wanted(
    offered: &[OfferBatch],
    mut wants: HashMap<ObjectHash, Want>,
) -> Result<Vec<(LocalObject, Want)>, Refusal> {
    let mut wanted = Vec::with_capacity(wants.len());
    for object in offered.iter().flat_map(|batch| batch.iter()) {
        if let Some(want) = wants.remove(&object.offer.hash) {
            wanted.push((object.clone(), want));
        }
    }
    match wants.keys().next() {
        Some(hash) => {
            Err(Refusal::new(Reason::ProtocolOrder, format!("the peer wants {hash}, which was not offered")))
        }
        None => Ok(wanted),
    }
}
