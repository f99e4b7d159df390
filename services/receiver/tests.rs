//! The receiver on real directories: what it stores, what it refuses, and who waits for whom.

mod admin;
mod admission;
mod checks;
mod control;
mod objects;
mod pending;
mod release;
mod sessions;
mod support;
mod watchdogs;

use ssync_store::{Store, StoreResult, Upload};
use ssync_types::{BodyEvent, ObjectPut, PutStep, Reason, Refusal, Stored};
use tokio::sync::mpsc;

/// Stores an object whose body is what comes out of `events`, without a second phase.
pub(crate) async fn upload(
    store: &dyn Store,
    put: ObjectPut,
    mut events: mpsc::Receiver<BodyEvent>,
) -> StoreResult<Stored> {
    let Upload { body, mut steps } = store.put_object(put).await?;
    let pump = async {
        while let Some(event) = events.recv().await {
            if body.send(event).await.is_err() {
                break;
            }
        }
        drop(body);
        // The answer ends this.
        std::future::pending::<()>().await;
    };
    let step = tokio::select! {
        step = steps.recv() => step,
        () = pump => None,
    };
    match step {
        Some(Ok(PutStep::Stored(stored))) => Ok(stored),
        Some(Ok(PutStep::Prepared)) => {
            Err(Refusal::new(Reason::ProtocolOrder, "nobody asked for two phases"))
        }
        Some(Err(refusal)) => Err(refusal),
        None => Err(Refusal::new(Reason::Internal, "the store said nothing")),
    }
}
