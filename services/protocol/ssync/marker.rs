//! The four lines that frame the two phases of a conversation.

/// A line that begins or ends a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Marker {
    /// Offers (from the sender) or wants (from the receiver) follow.
    MissingCheckStart,
    /// They have ended.
    MissingCheckEnd,
    /// Sub-requests follow; from the receiver: all of them went well.
    UpdatesStart,
    /// They have ended.
    UpdatesEnd,
}

impl Marker {
    const ALL: [Self; 4] =
        [Self::MissingCheckStart, Self::MissingCheckEnd, Self::UpdatesStart, Self::UpdatesEnd];

    /// Without the line end, as messages name it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::MissingCheckStart => ":MISSING_CHECK: START",
            Self::MissingCheckEnd => ":MISSING_CHECK: END",
            Self::UpdatesStart => ":UPDATES: START",
            Self::UpdatesEnd => ":UPDATES: END",
        }
    }

    /// With the line end, as it is sent.
    #[must_use]
    pub const fn line(self) -> &'static [u8] {
        match self {
            Self::MissingCheckStart => b":MISSING_CHECK: START\r\n",
            Self::MissingCheckEnd => b":MISSING_CHECK: END\r\n",
            Self::UpdatesStart => b":UPDATES: START\r\n",
            Self::UpdatesEnd => b":UPDATES: END\r\n",
        }
    }

    /// The marker that a received line is. White space around it does not count, as in Swift.
    #[must_use]
    pub fn of(line: &[u8]) -> Option<Self> {
        let line = line.trim_ascii();
        Self::ALL.into_iter().find(|marker| marker.text().as_bytes() == line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_back_from_its_line() {
        for marker in Marker::ALL {
            assert_eq!(Marker::of(marker.line()), Some(marker));
            assert_eq!(marker.line(), format!("{}\r\n", marker.text()).as_bytes());
        }
        assert_eq!(Marker::of(b"  :UPDATES: END\n"), Some(Marker::UpdatesEnd));
        for other in [&b""[..], b"\r\n", b":UPDATES:", b":updates: end", b":UPDATES: END x"] {
            assert_eq!(Marker::of(other), None);
        }
    }
}
