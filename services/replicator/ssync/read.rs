//! Wanted objects as sub-requests: one thread reads, the connection sends.

use bytes::Bytes;
use ssync_diskfile::{DiskError, LocalObject, MetaView, OpenObject, ToSend};
use ssync_protocol::{HeaderField, SubMethod, SubRequest};
use ssync_types::{HeaderName, Metadata, ObjectHash, Offer, Refusal, Want};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::source::{OpenSource, Plan};

/// Pieces read ahead of the connection.
pub(super) const PIECES_AHEAD_MAX: usize = 16;

/// What the reading thread has for the connection.
#[derive(Debug)]
pub(super) enum Piece {
    /// The head of a sub-request, or a piece of its body.
    Bytes(Bytes),
    /// All of this object has been handed over.
    Sent {
        hash: ObjectHash,
        body_bytes: Option<u64>,
        /// In the version that was offered.
        as_offered: bool,
    },
    /// This object could not be opened, or is not there any more.
    Skipped {
        offer: Offer,
        /// Why it could not be read, if it is there.
        cause: Option<Refusal>,
    },
    /// It was not tried any more.
    Left(ObjectHash),
    /// A body broke off: there is no way to tell the peer but to hang up.
    Broken(Refusal),
}

/// Reads all wanted objects one after the other, until the connection is gone; those that are left at `stop` are not sent. Blocks.
pub(super) fn read_all(
    source: &OpenSource,
    wanted: &[(LocalObject, Want)],
    stop: &CancellationToken,
    pieces: &mpsc::Sender<Piece>,
) {
    for (listed, want) in wanted {
        if stop.is_cancelled() {
            let left = Piece::Left(listed.offer.hash);
            if pieces.blocking_send(left).is_err() {
                return;
            }
            continue;
        }
        let last = match read_one(source, listed, *want, pieces) {
            Ok(done) => done,
            Err(Stop::Hangup) => return,
            Err(Stop::Broken(refusal)) => Piece::Broken(refusal),
        };
        let broken = matches!(last, Piece::Broken(_));
        if pieces.blocking_send(last).is_err() || broken {
            return;
        }
    }
}

enum Stop {
    Hangup,
    Broken(Refusal),
}

fn read_one(
    source: &OpenSource,
    listed: &LocalObject,
    want: Want,
    pieces: &mpsc::Sender<Piece>,
) -> Result<Piece, Stop> {
    let hash = listed.offer.hash;
    let opened = match source.open(hash) {
        Ok(opened) => opened,
        Err(error) => {
            // Nothing of it has been sent, so the conversation can go on without it.
            tracing::warn!(object = %hash, %error, "a wanted object was not sent, and is not in sync");
            return Ok(Piece::Skipped { offer: listed.offer.clone(), cause: Some(error.into()) });
        }
    };
    let plan = Plan::of(&opened, want, listed);
    if plan.changes() == 0 {
        return Ok(Piece::Skipped { offer: listed.offer.clone(), cause: None });
    }
    if let Some(name) = unsendable(&opened) {
        // Without it the peer would take other metadata for this version; with it, lines of it for requests.
        tracing::error!(object = %hash, ?name, "metadata that no header can carry: the object is not sent");
        return Ok(Piece::Skipped { offer: listed.offer.clone(), cause: None });
    }
    let mut body_bytes = None;
    match opened {
        ToSend::Object(object) => {
            let post = object.meta.as_ref().filter(|_| plan.post).map(|meta| post(&object, meta));
            let mut is_sound = true;
            if plan.put {
                body_bytes = Some(object.info.content_length);
                is_sound = put(*object, pieces)?;
            }
            // Not for another body, which the peer may have.
            if let Some(post) = post.filter(|_| is_sound) {
                hand_over(post.encode().into(), pieces)?;
            }
        }
        ToSend::Deletion(path, timestamp) => {
            let mut delete = SubRequest::new(SubMethod::Delete, path);
            delete.headers.push((Bytes::from_static(b"X-Timestamp"), timestamp.internal().into()));
            hand_over(delete.encode().into(), pieces)?;
        }
        ToSend::Nothing => {}
    }
    Ok(Piece::Sent { hash, body_bytes, as_offered: plan.as_offered })
}

/// A name of the object's metadata that cannot be sent.
fn unsendable(opened: &ToSend) -> Option<HeaderName> {
    let ToSend::Object(object) = opened else { return None };
    let meta = object.meta.as_ref().and_then(|meta| meta.metadata.unsendable());
    object.data_metadata.unsendable().or(meta).cloned()
}

fn hand_over(bytes: Bytes, pieces: &mpsc::Sender<Piece>) -> Result<(), Stop> {
    pieces.blocking_send(Piece::Bytes(bytes)).map_err(|_| Stop::Hangup)
}

/// Hands a body over, and says whether it was sound.
fn put(object: OpenObject, pieces: &mpsc::Sender<Piece>) -> Result<bool, Stop> {
    let length = object.info.content_length;
    let is_checked = object.data_metadata.get_str("ETag").is_some_and(is_md5);
    let mut put = SubRequest::new(SubMethod::Put, object.name.clone());
    put.headers.push((Bytes::from_static(b"Content-Length"), length.to_string().into()));
    put.headers.extend(fields(&object.data_metadata, &["name", "Content-Length"]));
    hand_over(put.encode().into(), pieces)?;
    let mut reader = object.into_reader();
    let mut read = 0;
    loop {
        match reader.next_chunk() {
            Ok(Some(chunk)) => {
                read += chunk.len() as u64;
                hand_over(chunk, pieces)?;
            }
            Ok(None) if read == length => return Ok(true),
            Ok(None) => {
                let problem = "Sent data length does not match content-length";
                return Err(Stop::Broken(Refusal::new(ssync_types::Reason::BodyLength, problem)));
            }
            // Its MD5 is sent, so the peer refuses what has it not, and the session goes on. (Changed is what another reader
            // found damaged, and has moved away.)
            Err(error @ (DiskError::Damaged { .. } | DiskError::StateChanged { .. })) if is_checked => {
                tracing::error!(%error, "a damaged object was offered to a peer");
                return fill_up(length.saturating_sub(read), pieces).map(|()| false);
            }
            Err(error) => return Err(Stop::Broken(error.into())),
        }
    }
}

/// Whether a peer compares it with what it gets (Swift: server.py takes one that is empty, or quotes alone, for none).
fn is_md5(etag: &str) -> bool {
    etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Sends zeros for what was announced and is not given, since it is not what was stored.
fn fill_up(mut bytes: u64, pieces: &mpsc::Sender<Piece>) -> Result<(), Stop> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    while bytes > 0 {
        let piece = ZEROS.get(..usize::try_from(bytes).unwrap_or(usize::MAX)).unwrap_or(&ZEROS);
        hand_over(Bytes::from_static(piece), pieces)?;
        bytes -= piece.len() as u64;
    }
    Ok(())
}

/// The `.meta` file as it is, with the times of what it changed.
fn post(object: &OpenObject, meta: &MetaView) -> SubRequest {
    let mut post = SubRequest::new(SubMethod::Post, object.name.clone());
    post.headers.extend(fields(&meta.metadata, &["name"]));
    post
}

fn fields(metadata: &Metadata, without: &[&str]) -> Vec<HeaderField> {
    metadata
        .iter()
        .filter(|(name, _)| !without.iter().any(|not| name.is(not)))
        .map(|(name, value)| (Bytes::copy_from_slice(name.as_bytes()), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, iter, os::unix::fs::FileExt as _, sync::Arc};

    use rustix::fs::{XattrFlags, fgetxattr, fremovexattr, fsetxattr};
    use ssync_types::PolicyIndex;

    use super::*;
    use crate::{
        source::{LocalDevices, Source},
        testing::{Cluster, at, policy},
    };

    /// What is sent of an object of this body after its file, or what belongs to it, was spoiled.
    async fn sent_of(body: &[u8], spoil: impl FnOnce(&fs::File)) -> (Result<bool, Stop>, Vec<u8>) {
        let cluster = Cluster::new(policy(2, &[&[0], &[1]]));
        let node = cluster.node(0);
        cluster.put(0, "o", 1, body);
        let file = cluster.directory(0, "o").join(format!("{}.data", at(1)));
        spoil(&fs::OpenOptions::new().write(true).open(file).unwrap());

        let local = LocalDevices::new(Arc::clone(&node.devices)).get(&node.name);
        let source = Source::new(local, PolicyIndex::new(0), cluster.partition("o"));
        let (pieces, mut handed) = mpsc::channel(64);
        let hash = cluster.hash("o");
        let read = move |source: &OpenSource| match source.open(hash)? {
            ToSend::Object(object) => Ok(put(*object, &pieces)),
            other => panic!("{other:?}"),
        };
        let sound = source.run(read).await.unwrap();
        let pieces = iter::from_fn(|| handed.try_recv().ok());
        let sent: Vec<u8> = pieces
            .flat_map(|piece| match piece {
                Piece::Bytes(bytes) => bytes,
                other => panic!("{other:?}"),
            })
            .collect();
        let begin = sent.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
        (sound, sent[begin..].to_vec())
    }

    /// Its metadata have another name in place of the ETag's, and no checksum, as Swift's own had before it made any.
    fn take_etag(file: &fs::File) {
        let mut pickle = vec![0; 4096];
        let length = fgetxattr(file, "user.swift.metadata", &mut pickle[..]).unwrap();
        pickle.truncate(length);
        let name = pickle.windows(4).position(|bytes| bytes == b"ETag").unwrap();
        pickle[name..name + 4].copy_from_slice(b"Else");
        fsetxattr(file, "user.swift.metadata", &pickle, XattrFlags::empty()).unwrap();
        fremovexattr(file, "user.swift.metadata_checksum").unwrap();
    }

    /// Its last piece is not given, and all that was announced is sent: the peer refuses it, and takes the next.
    #[tokio::test]
    async fn a_damaged_body_does_not_break_off() {
        let body = vec![b'x'; 200_000];
        let (sound, sent) = sent_of(&body, |file| file.write_all_at(b"y", 0).unwrap()).await;
        assert!(matches!(sound, Ok(false)));
        assert_eq!(sent.len(), body.len());
        assert_ne!(sent, body);
    }

    /// Nobody would refuse zeros in place of it.
    #[tokio::test]
    async fn a_damaged_body_without_an_etag_breaks_off() {
        let body = vec![b'x'; 200_000];
        let (sound, sent) = sent_of(&body, take_etag).await;
        assert!(matches!(sound, Err(Stop::Broken(_))));
        assert!(sent.len() < body.len());
    }
}
