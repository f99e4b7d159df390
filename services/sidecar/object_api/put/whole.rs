//! A body that has come with its head: the store gets the two together, which saves it all but one errand to the disk.

use ssync_types::{InlineBody, Metadata, Reason, Stored};
use tokio::time::Instant;

use super::{Request, etag::Expected, transfer::Failed};
use crate::{http::Exchange, sidecar::Shared};

/// Most bytes of such a body: a connection hardly holds more.
const WHOLE_BYTES_MAX: u64 = 65_536;

/// The body, where nothing is to be said before it is read or after it is stored. Of one that cannot have the MD5 that it was
/// announced to have, other problems are told first.
pub(super) fn body(request: &Request, exchange: &mut Exchange<'_>) -> Option<InlineBody> {
    if request.form.footers || request.form.commit {
        return None;
    }
    let etag = match Expected::of(&request.headers, &Metadata::new()) {
        Expected::Anything => None,
        Expected::Md5(etag) => Some(etag),
        Expected::Nothing => return None,
    };
    exchange.take_body(WHOLE_BYTES_MAX).map(|data| InlineBody { data, etag })
}

/// Has it stored.
pub(super) async fn store(
    shared: &Shared,
    request: &Request,
    body: InlineBody,
) -> Result<(Stored, Metadata), Failed> {
    let (begun, bytes) = (Instant::now(), body.data.len() as u64);
    let stored = shared.store.put_whole_object(request.put.clone(), body).await;
    let stored = stored.map_err(|refusal| Failed {
        refused: request.refused(&refusal),
        unsure: (refusal.reason == Reason::Unreachable).then(Metadata::new),
    })?;
    let device = &request.put.object.partition.device;
    shared.statsd.transfer_rate(format_args!("PUT.{device}.timing"), begun.elapsed(), bytes);
    Ok((stored, Metadata::new()))
}
