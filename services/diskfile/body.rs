//! Reading an object's body, checked on the way (Swift: diskfile.py BaseDiskFileReader).

use bytes::Bytes;
use rustix::io::Errno;
use ssync_types::config_true;

use crate::{DiskError, OpenObject, digest::BodyMd5, directory::is};

/// How much is read before the page cache is told that it need not keep it.
const DROP_CACHE_BYTES: u64 = 1 << 20;
/// Most bytes read in one piece, whatever is asked for.
const PIECE_BYTES_MAX: usize = 8 << 20;

impl OpenObject {
    /// At most `length` bytes of the body from `offset`; fewer only at its end, none beyond it.
    pub fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, DiskError> {
        let length = length.min(PIECE_BYTES_MAX);
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let next = offset + bytes.len() as u64;
            match self.file.read_into(&mut bytes, next) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Err(self.unreadable(error)),
            }
        }
        // There may have been room for more.
        bytes.truncate(length);
        Ok(Bytes::from(bytes))
    }

    /// Reads the whole body in pieces, checking it on the way.
    #[must_use]
    pub fn into_reader(self) -> BodyReader {
        BodyReader {
            object: self,
            offset: 0,
            end: u64::MAX,
            later: Vec::new().into_iter(),
            dropped: 0,
            md5: Some(BodyMd5::default()),
            ended: false,
        }
    }

    /// Reads parts of the body in pieces, one after the other: each from its first byte up to one that is not read. What is
    /// not all of the body cannot be checked.
    #[must_use]
    pub fn into_ranges_reader(self, parts: Vec<(u64, u64)>) -> BodyReader {
        if let [(0, end)] = parts[..]
            && end >= self.info.content_length
        {
            return self.into_reader();
        }
        let later = parts.into_iter();
        BodyReader { object: self, offset: 0, end: 0, later, dropped: 0, md5: None, ended: false }
    }

    fn unreadable(&self, error: std::io::Error) -> DiskError {
        if is(&error, Errno::IO) {
            return self.quarantine(format!("could not be read ({error})"));
        }
        self.device.io("read", &self.path(), error)
    }

    fn path(&self) -> std::path::PathBuf {
        crate::layout::object(&self.at).join(&self.entry.name)
    }

    fn quarantine(&self, problem: String) -> DiskError {
        self.device.quarantine_object(&self.at, &self.entry, problem)
    }

    fn drop_cache(&self, from: u64, to: u64) {
        if to > from && !self.may_stay_cached() {
            self.file.drop_cache(from, to - from);
        }
    }

    /// Swift: server.py GET, `keep_cache`.
    fn may_stay_cached(&self) -> bool {
        let config = &self.device.settings.config;
        let is_manifest =
            || self.info.metadata.get("X-Static-Large-Object").is_some_and(|value| config_true(value));
        let shared =
            !self.private || config.keep_cache_private || (config.keep_cache_slo_manifest && is_manifest());
        shared && self.info.content_length < config.keep_cache_size
    }
}

/// Reads a body, or a part of it. Of a whole one size and MD5 are checked at the end, and one that fails goes to quarantine.
#[derive(Debug)]
pub struct BodyReader {
    object: OpenObject,
    offset: u64,
    /// Where to stop, if the body does not end before.
    end: u64,
    /// What is to be read after that.
    later: std::vec::IntoIter<(u64, u64)>,
    /// Up to where the page cache was told.
    dropped: u64,
    md5: Option<BodyMd5>,
    ended: bool,
}

impl BodyReader {
    /// The object that is being read.
    #[must_use]
    pub fn object(&self) -> &OpenObject {
        &self.object
    }

    /// The next piece, of `disk_chunk_size` bytes but for the last; `None` after a body, or part, that was as it should be. The
    /// last piece of one that is not is not given.
    pub fn next_chunk(&mut self) -> Result<Option<Bytes>, DiskError> {
        self.next_piece(0)
    }

    /// As [`next_chunk`](Self::next_chunk), of so many bytes where that is more.
    pub fn next_piece(&mut self, bytes: usize) -> Result<Option<Bytes>, DiskError> {
        if self.ended {
            return Ok(None);
        }
        if self.offset >= self.end {
            self.begin_next_part();
        }
        let left = usize::try_from(self.stop().saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let settings = &self.object.device.settings;
        let length = settings.config.disk_chunk_size.max(bytes).max(1).min(left);
        let piece = self.object.read_at(self.offset, length)?;
        if let Some(md5) = &mut self.md5 {
            md5.take(&piece, &settings.hashing);
        }
        self.offset += piece.len() as u64;
        self.ended = piece.is_empty() || (self.offset >= self.stop() && self.later.len() == 0);
        if self.ended || self.offset - self.dropped > DROP_CACHE_BYTES {
            self.object.drop_cache(self.dropped, self.offset);
            self.dropped = self.offset;
        }
        if self.ended {
            self.check()?;
        }
        Ok((!piece.is_empty()).then_some(piece))
    }

    /// Whether that was the last piece, of a body that is as it should be.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Where this part ends. The file had this length when it was opened; what is beyond is not the object's.
    fn stop(&self) -> u64 {
        self.end.min(self.object.info.content_length)
    }

    fn begin_next_part(&mut self) {
        let Some((first, end)) = self.later.next() else { return };
        self.object.drop_cache(self.dropped, self.offset);
        (self.offset, self.end, self.dropped) = (first, end, first);
    }

    fn check(&self) -> Result<(), DiskError> {
        let Some(md5) = &self.md5 else { return Ok(()) };
        let expected = self.object.info.content_length;
        if self.offset != expected {
            return Err(self.object.quarantine(format!("gave {} bytes of {expected}", self.offset)));
        }
        let found = md5.hex();
        let etag = self.object.data_metadata.get("ETag").map(AsRef::as_ref).unwrap_or_default();
        if found.as_bytes() != etag {
            let etag = String::from_utf8_lossy(etag);
            return Err(self.object.quarantine(format!("has MD5 {found} where its metadata says {etag}")));
        }
        Ok(())
    }
}
