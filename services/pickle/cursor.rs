//! Takes a pickle apart, never past its end.

use crate::PickleError;

/// A place in a pickle.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], PickleError> {
        let truncated = PickleError::Truncated { at: self.at };
        let end = self.at.checked_add(count).ok_or_else(|| truncated.clone())?;
        let taken = self.bytes.get(self.at..end).ok_or(truncated)?;
        self.at = end;
        Ok(taken)
    }

    /// Whether `count` more bytes are there.
    pub(crate) fn expect(&self, count: usize) -> Result<(), PickleError> {
        let rest = self.bytes.len().saturating_sub(self.at);
        if count > rest { Err(PickleError::Truncated { at: self.bytes.len() }) } else { Ok(()) }
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let at = self.at;
        self.take(N)?.try_into().map_err(|_| PickleError::Truncated { at })
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> Result<u8, PickleError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// The next little-endian number, as a length; one that no memory holds is cut short by `take`.
    pub(crate) fn length(&mut self, width: usize) -> Result<usize, PickleError> {
        let digits = self.take(width)?;
        Ok(digits
            .iter()
            .rev()
            .fold(0_usize, |number, &digit| number.saturating_mul(256).saturating_add(digit.into())))
    }

    /// The bytes up to the next line feed, which is taken too.
    pub(crate) fn line(&mut self) -> Result<&'a [u8], PickleError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length =
            rest.iter().position(|&b| b == b'\n').ok_or(PickleError::Truncated { at: self.bytes.len() })?;
        let line = self.take(length)?;
        self.at += 1;
        Ok(line)
    }
}
