//! The trait, and the streams that go through it.

use async_trait::async_trait;
use ssync_types::{
    BodyEnd, BodyEvent, ByteRange, Deleted, DeviceSurvey, InlineBody, Metadata, ObjectDelete, ObjectInfo,
    ObjectPost, ObjectPut, ObjectRef, Offer, PartitionRef, PendingUpdate, Posted, PutStep, ReadOptions,
    Reason, Refusal, Rehash, ReleaseItem, ReleaseOpen, ReleaseResult, SessionEvent, SessionOpen, Stored,
    Suffix, SuffixHashes, UpdateMessage, Want,
};
use tokio::sync::mpsc;

use crate::Body;

/// Most offer batches under way to a check, and answers on their way back.
pub const CHECK_QUEUE_MAX: usize = 8;
/// Most messages under way in each direction of a session.
pub const SESSION_QUEUE_MAX: usize = 64;

/// An answer, or why there is none.
pub type StoreResult<T> = Result<T, Refusal>;

/// What is lacking, and how many offers have been answered by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckAnswer {
    /// What is lacking of the offers answered since the last answer.
    pub wants: Vec<Want>,
    /// How many offers have been answered, in their order, since the check began.
    pub answered_offers: u64,
}

/// The answers of a check; they end when all offers are answered, or with an error.
pub type CheckAnswers = mpsc::Receiver<StoreResult<CheckAnswer>>;

/// Why a session ended early. The last event, if any.
pub type SessionError = Refusal;

/// A session: messages go in, events come out. Dropping `messages` is the orderly end: the receiver finishes what it was
/// sent, sends a summary and closes `events`. Dropping `events` abandons the session. The slot and the lock are released
/// when the last write begun under it has ended.
#[derive(Debug)]
pub struct Session {
    /// To the receiver; bounded, so a slow disk slows the sender.
    pub messages: mpsc::Sender<UpdateMessage>,
    /// From the receiver: `Opened`, `Accepted`, then the rest. Read them while writing.
    pub events: mpsc::Receiver<Result<SessionEvent, SessionError>>,
}

/// Most pieces of a body under way to an upload.
pub const UPLOAD_QUEUE_MAX: usize = 4;

/// An upload that was let in: pieces go in, steps come out. Dropping either before the body's end was
/// sent abandons it; nothing is left of it then. What was prepared stays, without its durable mark.
#[derive(Debug)]
pub struct Upload {
    /// To the store; bounded, so a slow disk slows the client.
    pub body: mpsc::Sender<BodyEvent>,
    /// From the store: `Prepared` where there is a second phase, then `Stored`; or why not.
    pub steps: mpsc::Receiver<StoreResult<PutStep>>,
}

impl Upload {
    /// Stores a body that is at hand.
    pub async fn take_whole(self, whole: InlineBody) -> StoreResult<Stored> {
        let Self { body, mut steps } = self;
        let InlineBody { data, etag } = whole;
        let end = BodyEvent::End(BodyEnd::Complete { etag, footers: Metadata::new() });
        let data = (!data.is_empty()).then_some(BodyEvent::Chunk(data));
        for event in data.into_iter().chain([end]) {
            if body.send(event).await.is_err() {
                // The store says why.
                break;
            }
        }
        let lost = "the store went away in the middle of the upload; try again";
        match steps.recv().await {
            Some(Ok(PutStep::Stored(stored))) => Ok(stored),
            Some(Err(refusal)) => Err(refusal),
            Some(Ok(PutStep::Prepared)) | None => Err(Refusal::new(Reason::Unreachable, lost)),
        }
    }
}

/// A handoff partition, locked for as long as this is held: batches of items go in, one result for each comes out.
#[derive(Debug)]
pub struct Release {
    /// To the receiver. Dropping it is the orderly end: what was sent is carried out, results follow, the lock is
    /// released.
    pub items: mpsc::Sender<Vec<ReleaseItem>>,
    /// From the receiver.
    pub results: mpsc::Receiver<StoreResult<Vec<ReleaseResult>>>,
}

/// A storage node.
///
/// Every call checks what it is given: device, policy, partition within the ring, path within the partition. A
/// [`Refusal`] names what was wrong. Nothing is acknowledged before it is durable (rule S1).
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Which of these objects do you lack? A hint: writes nothing, locks nothing. Refused at once for a bad partition; a
    /// bad offer ends the answers. An empty batch is a sign of life and has no answer.
    async fn missing_check(
        &self,
        partition: PartitionRef,
        offers: mpsc::Receiver<Vec<Offer>>,
    ) -> StoreResult<CheckAnswers>;

    /// Opens a session. Refused at once for what is wrong with the request; what happens after `Opened` (no slot, a
    /// lock held elsewhere) is the error of the event stream.
    async fn updates(&self, open: SessionOpen) -> StoreResult<Session>;

    /// Locks a handoff partition of this node for its own replicator. Returns when the lock is held, or is not to be
    /// had.
    async fn release(&self, open: ReleaseOpen) -> StoreResult<Release>;

    /// The hashes of a partition's suffixes, those that are stale recalculated. `rehash` says what
    /// else. A partition that does not exist has none, and is not made.
    async fn suffix_hashes(&self, partition: PartitionRef, rehash: Rehash) -> StoreResult<SuffixHashes>;

    /// Marks suffixes as stale.
    async fn invalidate_suffixes(&self, partition: PartitionRef, suffixes: Vec<Suffix>) -> StoreResult<()>;

    /// How the node's devices are, as operators ask.
    async fn survey_devices(&self) -> StoreResult<DeviceSurvey>;

    /// Begins to store an object. Returns when the upload is let in: the device is there, nothing as new stands in its
    /// place, the conditions hold. So a client that waits for leave to send its body gets it only then.
    async fn put_object(&self, put: ObjectPut) -> StoreResult<Upload>;

    /// Stores an object whose body is at hand, which is one errand where the store is near. Not for a PUT in two phases.
    async fn put_whole_object(&self, put: ObjectPut, body: InlineBody) -> StoreResult<Stored> {
        self.put_object(put).await?.take_whole(body).await
    }

    /// Reads an object, or some ranges of it: one after the other, from one version of it. No range means all.
    async fn get_object(
        &self,
        object: ObjectRef,
        ranges: Vec<ByteRange>,
        options: ReadOptions,
    ) -> StoreResult<(ObjectInfo, Body)>;

    /// Reads an object's metadata.
    async fn head_object(&self, object: ObjectRef, options: ReadOptions) -> StoreResult<ObjectInfo>;

    /// Replaces an object's metadata.
    async fn post_object(&self, post: ObjectPost) -> StoreResult<Posted>;

    /// Deletes an object. A tombstone is left also where there was nothing.
    async fn delete_object(&self, delete: ObjectDelete) -> StoreResult<Deleted>;

    /// Keeps an update of a listing for Swift's object updater. One of the same row and time is replaced.
    async fn queue_update(&self, update: PendingUpdate) -> StoreResult<()>;
}
