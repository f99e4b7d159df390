//! REPLICATE: a partition's suffix hashes, or suffixes to be hashed anew (Swift: obj/server.py REPLICATE).

use ssync_protocol::suffix_hashes_to_pickle;
use ssync_types::{Rehash, Suffix};

use crate::{
    http::{RequestHead, Response},
    placement::{self, Path, Refused},
    sidecar::Shared,
    status::{HTML, refused, text},
};

/// `pickle.dumps(None, protocol=2)`.
const PICKLED_NONE: &[u8] = b"\x80\x02N.";

/// Answers `/device/partition` and `/device/partition/suffix-suffix...`.
pub(crate) async fn replicate(
    shared: &Shared,
    request: &RequestHead,
    path: &Path,
) -> Result<Response, Refused> {
    let (partition, rest) = placement::partition(path, &request.headers, &shared.policies, true)?;
    let drive = partition.device.to_string();
    let body = match rest {
        b"" => {
            let hashes = shared.store.suffix_hashes(partition, Rehash::default()).await;
            hashes.map(|hashes| suffix_hashes_to_pickle(&hashes))
        }
        rest => {
            let suffixes = suffixes(rest)?;
            shared.store.invalidate_suffixes(partition, suffixes).await.map(|()| PICKLED_NONE.to_vec())
        }
    };
    body.map(|body| Response::new(200, HTML, body)).map_err(|refusal| Box::new(refused(&refusal, &drive)))
}

fn suffixes(rest: &[u8]) -> Result<Vec<Suffix>, Refused> {
    let named = |name: &[u8]| {
        Suffix::from_name(name).ok_or_else(|| {
            let shown = String::from_utf8_lossy(&name[..name.len().min(64)]).into_owned();
            Box::new(text(400, format!("Invalid suffix: {shown:?} is not 3 lower-case hex digits")))
        })
    };
    rest.split(|&b| b == b'-').map(named).collect()
}
