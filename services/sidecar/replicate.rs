//! REPLICATE: a partition's suffix hashes, or suffixes to be hashed anew (Swift: obj/server.py REPLICATE).

use ssync_protocol::suffix_hashes_to_pickle;
use ssync_types::{Rehash, Suffix};

use crate::{
    http::{RequestHead, Response},
    path::Path,
    placement,
    sidecar::Shared,
    status::{HTML, Refused, refused},
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
            // What is no suffix marks nothing and spoils nothing: Swift's replicator names every directory of three characters
            // that it found (diskfile.py get_hashes).
            let suffixes = rest.split(|&b| b == b'-').filter_map(Suffix::from_name).collect();
            shared.store.invalidate_suffixes(partition, suffixes).await.map(|()| PICKLED_NONE.to_vec())
        }
    };
    body.map(|body| Response::new(200, HTML, body)).map_err(|refusal| Box::new(refused(&refusal, &drive)))
}
