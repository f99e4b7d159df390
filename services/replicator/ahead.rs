//! The budget of bodies that are read before the connection takes them: one for the daemon, whatever it pushes at once.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of bodies that are read and not yet on their way, in all sessions together.
const AHEAD_BYTES_MAX: u32 = 8 << 20;

/// The budget of the daemon.
#[derive(Debug, Clone)]
pub(crate) struct Ahead(Arc<Semaphore>);

/// What one push has of it: what is free, and where nothing is, a turn of its own, so that no push waits for the peers of
/// others.
#[derive(Debug)]
pub(crate) struct AheadShare {
    all: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

/// Room for bodies that are about to be read. What they do not take is free again when this is dropped.
#[derive(Debug)]
pub(crate) enum Room {
    /// So many bytes of the budget.
    Bytes(OwnedSemaphorePermit),
    /// The push's own turn, until the last of the bodies is on its way.
    Turn(Arc<OwnedSemaphorePermit>),
}

/// A body, and its place in the budget until nobody has it any more.
struct Placed {
    body: Bytes,
    _room: Option<Room>,
}

impl AsRef<[u8]> for Placed {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Ahead {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AHEAD_BYTES_MAX as usize)))
    }

    /// The share of one more push.
    pub(crate) fn share(&self) -> AheadShare {
        AheadShare { all: Arc::clone(&self.0), turn: Arc::new(Semaphore::new(1)) }
    }
}

impl AheadShare {
    /// Waits for room for so many bytes. More than the budget are never to be had, so they count as all of it. `None` never
    /// comes, for neither is ever closed.
    pub(crate) async fn room(&self, bytes: u64) -> Option<Room> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(AHEAD_BYTES_MAX);
        tokio::select! {
            biased;
            room = Arc::clone(&self.all).acquire_many_owned(bytes) => room.ok().map(Room::Bytes),
            turn = Arc::clone(&self.turn).acquire_owned() => turn.ok().map(|turn| Room::Turn(Arc::new(turn))),
        }
    }
}

impl Room {
    /// Gives a body that was read its place here.
    pub(crate) fn place(&mut self, body: Bytes) -> Bytes {
        let room = match self {
            Self::Bytes(bytes) => bytes.split(body.len()).map(Self::Bytes),
            Self::Turn(turn) => Some(Self::Turn(Arc::clone(turn))),
        };
        Bytes::from_owner(Placed { body, _room: room })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_body_has_its_place_until_it_is_gone_and_the_rest_is_free_at_once() {
        let ahead = Ahead::new();
        let mut room = ahead.share().room(1000).now_or_never().flatten().unwrap();
        let mut body = room.place(Bytes::from_static(b"0123456789"));
        drop(room);
        let free = || ahead.0.available_permits() as u32;
        assert_eq!(free(), AHEAD_BYTES_MAX - 10);
        let half = body.split_to(5);
        drop(body);
        assert_eq!((&half[..], free()), (&b"01234"[..], AHEAD_BYTES_MAX - 10), "half of it is still there");
        drop(half);
        assert_eq!(free(), AHEAD_BYTES_MAX);
    }

    #[test]
    fn where_nothing_is_free_each_push_has_one_turn() {
        let ahead = Ahead::new();
        let (one, other) = (ahead.share(), ahead.share());
        let all = one.room(u64::MAX).now_or_never().flatten();
        assert!(matches!(all, Some(Room::Bytes(_))), "more than there is counts as all");
        for share in [&one, &other] {
            let mut turn = share.room(5).now_or_never().flatten().unwrap();
            assert!(matches!(turn, Room::Turn(_)));
            let body = turn.place(Bytes::from_static(b"x"));
            drop(turn);
            assert!(share.room(5).now_or_never().is_none(), "its body is not on its way yet");
            drop(body);
            assert!(share.room(5).now_or_never().is_some());
        }
        drop(all);
        assert!(matches!(one.room(5).now_or_never().flatten(), Some(Room::Bytes(_))));
    }
}
