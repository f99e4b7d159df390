//! Who takes part, and what each promises.

use std::{fmt, str::FromStr};

use anyhow::{Context as _, Result, bail};
use ssync_tests::Node;

use super::{
    swift_like::SwiftLike,
    work::{Kind, Work},
};
use crate::{floor::Floor, processes::Call};

/// Larger objects tell nothing of the cost of publishing.
const FLOOR_SIZE_MAX: usize = 1 << 20;

/// Who takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Contestant {
    /// A replicator over the network.
    SwiftLike(SwiftLike),
    /// `rsync -aX` from one folder to the other.
    Rsync,
    /// `cp -a` from one folder to the other.
    Cp,
    /// Files are published, and that is all.
    Floor(Floor),
}

impl FromStr for Contestant {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        Ok(match name {
            "stock-ssync" => Self::SwiftLike(SwiftLike::StockSsync),
            "stock-rsync" => Self::SwiftLike(SwiftLike::StockRsync { fsync: false }),
            "stock-rsync-fsync" => Self::SwiftLike(SwiftLike::StockRsync { fsync: true }),
            "ssync-object" | "ssync-batch" | "ssync-none" => {
                Self::SwiftLike(SwiftLike::Ssync { durability: name.trim_start_matches("ssync-").to_owned() })
            }
            "rsync" => Self::Rsync,
            "cp" => Self::Cp,
            _ => match name.strip_prefix("floor-") {
                Some(floor) => Self::Floor(floor.parse().with_context(|| name.to_owned())?),
                None => bail!(
                    "{name}: give stock-ssync, stock-rsync, stock-rsync-fsync, rsync, cp, ssync-D with D object, batch \
                     or none, or floor-MODE-THREADSxBATCH"
                ),
            },
        })
    }
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SwiftLike(SwiftLike::StockSsync) => f.write_str("stock-ssync"),
            Self::SwiftLike(SwiftLike::StockRsync { fsync }) => {
                f.write_str(if *fsync { "stock-rsync-fsync" } else { "stock-rsync" })
            }
            Self::SwiftLike(SwiftLike::Ssync { durability }) => write!(f, "ssync-{durability}"),
            Self::Rsync => f.write_str("rsync"),
            Self::Cp => f.write_str("cp"),
            Self::Floor(floor) => write!(f, "floor-{floor}"),
        }
    }
}

impl Contestant {
    /// Whether it can do a work at all.
    pub(crate) fn does(&self, work: &Work) -> bool {
        match self {
            Self::SwiftLike(_) => true,
            Self::Rsync => matches!(work.kind, Kind::Wiped | Kind::Changed | Kind::Warm),
            Self::Cp => work.kind == Kind::Wiped,
            Self::Floor(_) => work.kind == Kind::Wiped && work.size <= FLOOR_SIZE_MAX,
        }
    }

    /// The program that copies from one node's device to another's.
    pub(crate) fn copy(&self, from: &Node, to: &Node) -> Option<Call> {
        let call = match self {
            Self::Rsync => Call::of("rsync").arg("-aX"),
            Self::Cp => Call::of("cp").args(["-a", "--reflink=never"]),
            Self::SwiftLike(_) | Self::Floor(_) => return None,
        };
        let mut into = to.device().into_os_string();
        into.push("/");
        Some(call.arg(from.device().join("objects")).arg(into))
    }
}
