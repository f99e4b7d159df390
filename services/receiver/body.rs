//! A body on its way to the disk.

use std::time::Duration;

use bytes::Bytes;
use ssync_diskfile::{Committed, DataFile, DiskError, Writer};
use ssync_types::{BodyEnd, BodyEvent, FragmentIndex, Metadata, Reason, Refusal};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    devices::DeviceHandle,
    pool::{Held, Lane},
};

/// Bytes handed to a thread of the device at a time, when so many are there.
const WRITE_BYTES: usize = 256 * 1024;

/// A body that is not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyFault {
    #[error("the body has {came} bytes, {announced} were announced")]
    Length { announced: u64, came: u64 },
    #[error("the body goes beyond the {announced} bytes that were announced")]
    Overrun { announced: u64 },
    #[error("the sender gave the body up: {0}")]
    Aborted(String),
    #[error("the body was broken off after {came} bytes")]
    BrokenOff { came: u64 },
    #[error("a commit came before the body's end")]
    EarlyCommit,
    #[error("nothing came for {0:?} in the middle of the body (client_timeout)")]
    Silence(Duration),
    #[error("the body has md5 {came}, {announced} was announced; the sender's copy, or the way, is damaged")]
    Etag { announced: String, came: String },
}

impl From<BodyFault> for Refusal {
    fn from(fault: BodyFault) -> Self {
        let reason = match fault {
            BodyFault::Silence(_) => Reason::IdleTimeout,
            BodyFault::Etag { .. } => Reason::EtagMismatch,
            BodyFault::EarlyCommit => Reason::ProtocolOrder,
            _ => Reason::BodyLength,
        };
        Self::new(reason, fault.to_string())
    }
}

/// The end of a whole body.
#[derive(Debug)]
pub(crate) struct Complete {
    /// Its bytes.
    pub(crate) bytes: u64,
    /// The MD5 that it was announced to have.
    pub(crate) etag: Option<String>,
    /// Metadata that came after it.
    pub(crate) footers: Metadata,
}

/// Where a body comes from and what is known of it.
#[derive(Debug)]
pub(crate) struct WriteBody<'a> {
    pub(crate) handle: &'a DeviceHandle,
    pub(crate) lane: Lane,
    pub(crate) events: &'a mut mpsc::Receiver<BodyEvent>,
    /// Bytes announced.
    pub(crate) announced: Option<u64>,
    /// Most bytes, announced or not.
    pub(crate) bytes_max: u64,
    /// How long to wait for the next piece, where nobody else watches.
    pub(crate) silence_max: Option<Duration>,
    /// How long there was nothing to write: it grows.
    pub(crate) starved: &'a mut Duration,
}

/// A body that has come, of which only the last is still to be written.
#[derive(Debug)]
pub(crate) struct Ending {
    writer: Held<Writer>,
    last: Vec<Bytes>,
    end: Complete,
}

impl Ending {
    /// Writes the last, and goes on with `finish` at once: a small body costs one trip to a thread of the device.
    pub(crate) async fn finish<R: Send + 'static>(
        self,
        handle: &DeviceHandle,
        lane: Lane,
        finish: impl FnOnce(Writer, Complete) -> Result<R, Refusal> + Send + 'static,
    ) -> Result<R, Refusal> {
        let Self { writer, last, end } = self;
        let work = move |writer, end| finish(write_all(writer, &last)?, end);
        handle.run_flushing(lane, end.bytes, writer, move |writer| Ok(work(writer, end))).await?
    }
}

impl WriteBody<'_> {
    /// Writes the body as it comes, but for the last of it. No thread of the device waits for a slow peer. On an error the
    /// writer, and with it what was written, is gone.
    pub(crate) async fn write(mut self, mut writer: Held<Writer>) -> Result<Ending, Refusal> {
        let mut came = 0;
        loop {
            let (pieces, end) = match self.gather(&mut came).await {
                Ok(gathered) => gathered,
                Err(refusal) => {
                    // It is gone before anybody hears of it, if the device lets go of anything.
                    let gone = self.handle.run_with(self.lane, writer, |writer| {
                        drop(writer);
                        Ok(())
                    });
                    let _ = gone.await;
                    return Err(refusal);
                }
            };
            if let Some(end) = end {
                return Ok(Ending { writer, last: pieces, end });
            }
            let handle = self.handle.clone();
            let work = move |writer| Ok(handle.hold(write_all(writer, &pieces)?));
            writer = self.handle.run_flushing(self.lane, came, writer, work).await?;
        }
    }

    /// What is there, up to a bound; waits for the first piece, and for the end of what has come whole: then no more is written
    /// than that.
    async fn gather(&mut self, came: &mut u64) -> Result<(Vec<Bytes>, Option<Complete>), Refusal> {
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        let mut event = self.next(*came).await?;
        loop {
            match event {
                BodyEvent::Chunk(piece) => {
                    *came += piece.len() as u64;
                    self.check_length(*came)?;
                    bytes += piece.len();
                    pieces.push(piece);
                }
                BodyEvent::End(BodyEnd::Complete { etag, footers }) => {
                    return Ok((pieces, Some(Complete { bytes: *came, etag, footers })));
                }
                BodyEvent::End(BodyEnd::Abort(reason)) => return Err(BodyFault::Aborted(reason).into()),
                BodyEvent::Commit => return Err(BodyFault::EarlyCommit.into()),
            }
            let is_whole = self.announced == Some(*came);
            if bytes >= WRITE_BYTES && !is_whole {
                return Ok((pieces, None));
            }
            event = match self.events.try_recv() {
                Ok(next) => next,
                Err(_) if is_whole => self.next(*came).await?,
                Err(_) => return Ok((pieces, None)),
            };
        }
    }

    async fn next(&mut self, came: u64) -> Result<BodyEvent, Refusal> {
        let since = Instant::now();
        let event = self.event().await;
        *self.starved += since.elapsed();
        event?.ok_or_else(|| BodyFault::BrokenOff { came }.into())
    }

    async fn event(&mut self) -> Result<Option<BodyEvent>, Refusal> {
        let event = match self.silence_max {
            None => self.events.recv().await,
            Some(limit) => tokio::time::timeout(limit, self.events.recv())
                .await
                .map_err(|_| Refusal::from(BodyFault::Silence(limit)))?,
        };
        Ok(event)
    }

    fn check_length(&self, came: u64) -> Result<(), Refusal> {
        match self.announced {
            Some(announced) if came > announced => Err(BodyFault::Overrun { announced }.into()),
            _ if came > self.bytes_max => Err(BodyFault::Overrun { announced: self.bytes_max }.into()),
            _ => Ok(()),
        }
    }
}

fn write_all(mut writer: Writer, pieces: &[Bytes]) -> Result<Writer, DiskError> {
    for piece in pieces {
        writer.write_piece(piece)?;
    }
    Ok(writer)
}

/// Has a body committed, if it has the length and the MD5 that were announced.
pub(crate) fn finish(
    writer: Writer,
    announced: Option<u64>,
    etag: Option<&str>,
    mut file: DataFile,
    commit: impl FnOnce(Writer, DataFile) -> Result<Committed, DiskError>,
) -> Result<Committed, Refusal> {
    let came = writer.written();
    if let Some(announced) = announced.filter(|&announced| announced != came) {
        return Err(BodyFault::Length { announced, came }.into());
    }
    if let Some(announced) = etag {
        let came = writer.md5_hex();
        if !came.eq_ignore_ascii_case(announced) {
            return Err(BodyFault::Etag { announced: announced.to_owned(), came }.into());
        }
    }
    file.metadata
        .retain(|name| !["etag", "content-length", "x-timestamp", "name"].iter().any(|own| name.is(own)));
    Ok(commit(writer, file)?)
}

/// Where a fragment's metadata name its index.
pub(crate) const FRAGMENT_INDEX: &str = "X-Object-Sysmeta-Ec-Frag-Index";

/// The index that a fragment's own metadata names.
pub(crate) fn fragment_of(metadata: &Metadata) -> Result<FragmentIndex, Refusal> {
    metadata.get_str(FRAGMENT_INDEX).and_then(|text| text.parse().ok()).map(FragmentIndex::new).ok_or_else(
        || Refusal {
            field: Some("partition.fragment_index".to_owned()),
            ..Refusal::new(
                Reason::InvalidArgument,
                format!("neither the partition nor {FRAGMENT_INDEX} names the fragment's index"),
            )
        },
    )
}
