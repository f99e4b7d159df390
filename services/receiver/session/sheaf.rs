//! Bodies that came whole, written one after the other and published together. Synchronous: it runs on a thread of the device.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ssync_diskfile::Sheaf;
use ssync_types::{InlineBody, Metadata, ObjectHash, Outcome, PutUpdate, Reason, Refusal};

use super::{
    apply::{Begun, begin_put, check_etag, finish_put, stored_body},
    context::Context,
};
use crate::body::{BodyFault, Complete};

/// A body that came whole.
#[derive(Debug)]
pub(super) struct WholePut {
    pub(super) hash: ObjectHash,
    pub(super) put: PutUpdate,
    pub(super) body: InlineBody,
}

/// What became of one of them so far.
enum Written {
    /// It need not be stored, or cannot be.
    Settled(Outcome),
    /// It is in the sheaf, with so many bytes.
    Added(u64),
    /// Nobody waits for the session any more: what has not begun does not begin.
    Left,
}

/// Stores bodies of different objects. Gives the outcome of each that was begun, in their order.
pub(super) fn store(context: &Context, puts: &[WholePut]) -> Vec<Option<Outcome>> {
    let mut sheaf = match context.handle.device.sheaf() {
        Ok(sheaf) => sheaf,
        Err(error) => {
            let refusal = Refusal::from(error);
            return puts.iter().map(|_| Some(Outcome::Failed(refusal.clone()))).collect();
        }
    };
    let written: Vec<_> = puts.iter().map(|put| write(context, &mut sheaf, put)).collect();
    let mut published = sheaf.publish().into_iter();
    let outcomes = written.into_iter().map(|written| match written {
        Written::Settled(outcome) => Some(outcome),
        Written::Left => None,
        Written::Added(bytes) => published.next().map(|published| match published {
            Ok(()) => stored_body(context, bytes),
            Err(error) => Outcome::Failed(error.into()),
        }),
    });
    outcomes.map(|outcome| outcome.map(|outcome| context.license(outcome))).collect()
}

fn write(context: &Context, sheaf: &mut Sheaf, put: &WholePut) -> Written {
    if context.is_abandoned() {
        return Written::Left;
    }
    // One that makes this program panic costs itself, not the others each time.
    let written = catch_unwind(AssertUnwindSafe(|| try_write(context, sheaf, put))).unwrap_or_else(|_| {
        Err(Refusal::new(Reason::Internal, "storing it made the receiver panic; its log has the cause"))
    });
    written.unwrap_or_else(|refusal| Written::Settled(Outcome::Failed(refusal)))
}

fn try_write(
    context: &Context,
    sheaf: &mut Sheaf,
    WholePut { hash, put, body }: &WholePut,
) -> Result<Written, Refusal> {
    if put.content_length != body.data.len() as u64 {
        return Err(BodyFault::Length { announced: put.content_length, came: body.data.len() as u64 }.into());
    }
    check_etag(context, body.etag.as_deref(), "put.inline_body.etag")?;
    let at = context.location(*hash);
    let is_vacant = sheaf.is_vacant(&at);
    match begin_put(context, &at, put, is_vacant, |size| sheaf.create(&at, &put.path, size))? {
        Begun::Settled(outcome) => Ok(Written::Settled(outcome)),
        Begun::Writer(mut writer) => {
            writer.write(&body.data)?;
            let end =
                Complete { bytes: put.content_length, etag: body.etag.clone(), footers: Metadata::new() };
            finish_put(context, *writer, put, end, |writer, file| sheaf.add(writer, file)).map(Written::Added)
        }
    }
}
