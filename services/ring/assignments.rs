//! The table that says which device holds which replica of which partition.

/// The devices of one replica, by partition. Kept as narrow as the file has them, since a large cluster's table is the bulk
/// of a ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Row {
    Narrow(Vec<u16>),
    Wide(Vec<u32>),
}

impl Row {
    /// A row of two-byte numbers in the order that `number` reads.
    pub(crate) fn narrow(bytes: &[u8], number: fn([u8; 2]) -> u16) -> Self {
        Self::Narrow(bytes.as_chunks().0.iter().map(|&digits| number(digits)).collect())
    }

    /// A row of four-byte numbers in network order.
    pub(crate) fn wide(bytes: &[u8]) -> Self {
        Self::Wide(bytes.as_chunks().0.iter().map(|&digits| u32::from_be_bytes(digits)).collect())
    }

    /// How many partitions the row covers.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Narrow(ids) => ids.len(),
            Self::Wide(ids) => ids.len(),
        }
    }

    /// The device of a partition; `None` beyond the row's end, and where no device is assigned, which is written as all ones.
    pub(crate) fn get(&self, partition: usize) -> Option<u32> {
        match self {
            Self::Narrow(ids) => ids.get(partition).copied().filter(|&id| id != u16::MAX).map(u32::from),
            Self::Wide(ids) => ids.get(partition).copied().filter(|&id| id != u32::MAX),
        }
    }

    /// The devices that have a partition.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> {
        (0..self.len()).filter_map(|partition| self.get(partition))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ones_is_nobody() {
        assert_eq!(Row::narrow(&[1, 0, 0xff, 0xff], u16::from_le_bytes).ids().collect::<Vec<_>>(), [1]);
        assert_eq!(Row::narrow(&[1, 0], u16::from_be_bytes).get(0), Some(256));
        let wide = Row::wide(&[0, 1, 0, 2, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!((wide.get(0), wide.get(1), wide.get(2), wide.len()), (Some(65538), None, None, 2));
    }
}
