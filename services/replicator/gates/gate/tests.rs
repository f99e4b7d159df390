//! When a peer is asked, and when not.

use super::*;

fn refusal(reason: Reason) -> Refusal {
    Refusal::new(reason, "no")
}

fn wait_of(access: Access, now: Instant) -> Duration {
    match access {
        Access::Wait(Some(until)) => until.duration_since(now),
        Access::GivenUp(cause) => cause.retry_after.unwrap(),
        other => panic!("not to be asked now: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_grows_and_is_bounded_and_never_shorter_than_asked() {
    for (reason, back_off) in [(Reason::ReceiverBusy, BUSY), (Reason::Unreachable, SILENT)] {
        let (mut gate, mut random) = (Gate::default(), Shuffle::seeded(1));
        let mut waits = Vec::new();
        for _ in 0..12 {
            let now = Instant::now();
            gate.failed(Stage::Hashes, &refusal(reason), now, &mut random);
            let wait = wait_of(gate.access(Stage::Hashes, 9, now), now);
            waits.push(wait);
            tokio::time::advance(wait).await;
            assert_eq!(gate.access(Stage::Hashes, 9, Instant::now()), Access::Try);
        }
        assert!(waits[0] >= back_off.first && waits[0] <= back_off.first * 3 / 2);
        assert!(waits[1] >= back_off.first * 2 && waits[11] >= back_off.max, "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= back_off.max * 3 / 2), "{waits:?}");
        let now = Instant::now();
        let asked = refusal(reason).retry_after(Duration::from_secs(50));
        gate.failed(Stage::Hashes, &asked, now, &mut random);
        assert_eq!(wait_of(gate.access(Stage::Hashes, 9, now), now), Duration::from_secs(50));
        let for_ever = refusal(reason).retry_after(Duration::from_secs(1_000_000));
        tokio::time::advance(Duration::from_secs(50)).await;
        gate.failed(Stage::Hashes, &for_ever, Instant::now(), &mut random);
        assert!(
            wait_of(gate.access(Stage::Hashes, 9, Instant::now()), Instant::now()) <= super::super::RETRY_MAX
        );
    }
}

#[tokio::test(start_paused = true)]
async fn one_finds_out_and_the_others_wait_for_it() {
    let (mut gate, mut random) = (Gate::default(), Shuffle::seeded(1));
    gate.failed(Stage::Hashes, &refusal(Reason::Unreachable), Instant::now(), &mut random);
    tokio::time::advance(Duration::from_secs(1)).await;
    let now = Instant::now();
    assert_eq!(gate.access(Stage::Hashes, 9, now), Access::Try);
    gate.trying(Some(now));
    assert_eq!(gate.access(Stage::Hashes, 9, now), Access::Wait(Some(now + TRIED_WAIT)));
    gate.trying(None);
    assert_eq!(gate.access(Stage::Hashes, 9, now), Access::Try, "who stopped to try has found out nothing");
    gate.worked(Stage::Hashes, now);
    assert_eq!(gate.access(Stage::Push, 9, now), Access::Open);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_three_times_is_not_waited_for() {
    let (mut gate, mut random) = (Gate::default(), Shuffle::seeded(1));
    let silent = refusal(Reason::Unreachable);
    let now = Instant::now();
    for _ in 0..8 {
        // All workers were there when it went away: it counts once.
        assert_eq!(gate.failed(Stage::Hashes, &silent, now, &mut random), None);
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(gate.failed(Stage::Hashes, &silent, Instant::now(), &mut random), None);
    assert!(matches!(gate.access(Stage::Hashes, 9, Instant::now()), Access::Wait(Some(_))));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(gate.failed(Stage::Hashes, &silent, Instant::now(), &mut random).is_some(), "told once");
    assert!(matches!(gate.access(Stage::Hashes, 9, Instant::now()), Access::GivenUp(_)));
    tokio::time::advance(Duration::from_secs(4)).await;
    assert_eq!(gate.access(Stage::Hashes, 9, Instant::now()), Access::Try);
    assert_eq!(gate.failed(Stage::Hashes, &silent, Instant::now(), &mut random), None, "not told again");
    let ended = gate.worked(Stage::Push, Instant::now());
    assert_eq!(ended, Some(Ended { told: true, was_away: true }), "and told when it is back");
}

#[tokio::test(start_paused = true)]
async fn what_works_says_nothing_of_what_comes_after_it() {
    let (mut gate, mut random) = (Gate::default(), Shuffle::seeded(1));
    let now = Instant::now();
    gate.failed(Stage::Session, &refusal(Reason::ReceiverBusy), now, &mut random);
    assert_eq!(gate.access(Stage::Hashes, 9, now), Access::Open, "hashes need no slot there");
    gate.worked(Stage::Hashes, now);
    assert!(matches!(gate.access(Stage::Session, 9, now), Access::Wait(_)));
    gate.worked(Stage::Session, now);
    assert!(gate.is_idle(now));
    gate.failed(Stage::Push, &refusal(Reason::IdleTimeout), now, &mut random);
    gate.worked(Stage::Session, now);
    assert!(matches!(gate.access(Stage::Session, 9, now), Access::Wait(_)), "it is admitted and then hangs");
    gate.worked(Stage::Push, now);
    assert!(gate.is_idle(now));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_named_a_time_is_left_alone_until_then() {
    let (mut gate, mut random) = (Gate::default(), Shuffle::seeded(1));
    let busy = refusal(Reason::ReceiverBusy).retry_after(Duration::from_secs(20));
    gate.failed(Stage::Session, &busy, Instant::now(), &mut random);
    // One that was admitted before has come to its end.
    gate.worked(Stage::Push, Instant::now());
    assert_eq!(
        wait_of(gate.access(Stage::Session, 9, Instant::now()), Instant::now()),
        Duration::from_secs(20)
    );
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stays_busy_is_waited_for_no_longer() {
    let (mut gate, mut random) = (Gate::default(), Shuffle::seeded(1));
    let (begin, mut given_up) = (Instant::now(), None);
    while given_up.is_none() {
        given_up = gate.failed(Stage::Session, &refusal(Reason::ReceiverBusy), Instant::now(), &mut random);
        tokio::time::advance(Duration::from_secs(8)).await;
        assert!(begin.elapsed() < BUSY_FOR_MAX * 2, "a bound");
    }
    assert!(begin.elapsed() >= BUSY_FOR_MAX);
    tokio::time::advance(super::super::RETRY_MAX * 3).await;
    gate.failed(Stage::Session, &refusal(Reason::ReceiverBusy), Instant::now(), &mut random);
    let access = gate.access(Stage::Session, 9, Instant::now());
    assert!(matches!(access, Access::Wait(_)), "what was long ago is forgotten: {access:?}");
}

#[tokio::test(start_paused = true)]
async fn visits_are_counted() {
    let mut gate = Gate::default();
    let now = Instant::now();
    gate.enter();
    assert_eq!(gate.access(Stage::Hashes, 2, now), Access::Open);
    gate.enter();
    assert_eq!(gate.access(Stage::Hashes, 2, now), Access::Wait(None));
    gate.leave();
    assert_eq!(gate.access(Stage::Hashes, 2, now), Access::Open);
    gate.leave();
    assert!(gate.is_idle(now));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_full_of_our_sessions_is_given_the_next_as_soon_as_one_ends() {
    let (mut gate, mut random, now) = (Gate::default(), Shuffle::seeded(1), Instant::now());
    for _ in 0..4 {
        assert!(!gate.is_full());
        gate.enter();
        gate.begin_session();
    }
    let full = refusal(Reason::DeviceLocked).retry_after(Duration::from_millis(500));
    assert_eq!(gate.failed(Stage::Session, &full, now, &mut random), None);
    gate.end_session();
    assert!(gate.is_full(), "three are in, and that is all it takes");
    assert_eq!(gate.left_alone(now), None, "it is in no trouble");
    gate.leave();
    assert_eq!(gate.access(Stage::Hashes, 9, now), Access::Wait(None), "who would only wait is not begun");
    gate.end_session();
    gate.leave();
    assert!(!gate.is_full());
    assert_eq!(gate.access(Stage::Hashes, 9, now), Access::Open, "at once");
    gate.enter();
    gate.begin_session();
    for _ in 0..3 * ASK_MORE_AFTER {
        assert!(gate.is_full());
        gate.worked(Stage::Push, now);
    }
    assert!(!gate.is_full(), "it may have room for a fourth by now");
}

/// It names a time, and after its restart it admits as many as ever.
#[tokio::test(start_paused = true)]
async fn a_peer_that_drains_is_left_alone_though_sessions_are_under_way() {
    let (mut gate, mut random, now) = (Gate::default(), Shuffle::seeded(1), Instant::now());
    (0..3).for_each(|_| gate.begin_session());
    gate.failed(Stage::Session, &refusal(Reason::DeviceLocked), now, &mut random);
    gate.end_session();
    assert!(gate.is_full());
    let drains = refusal(Reason::Draining).retry_after(Duration::from_secs(20));
    gate.failed(Stage::Session, &drains, now, &mut random);
    assert!(!gate.is_full());
    assert_eq!(wait_of(gate.access(Stage::Session, 9, now), now), Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_refuses_the_only_session_is_full_of_others() {
    let (mut gate, mut random, now) = (Gate::default(), Shuffle::seeded(1), Instant::now());
    gate.begin_session();
    gate.failed(Stage::Session, &refusal(Reason::DeviceLocked), now, &mut random);
    assert!(!gate.is_full());
    assert!(
        matches!(gate.access(Stage::Session, 9, now), Access::Wait(Some(_))),
        "it is left alone for a while"
    );
}

#[tokio::test(start_paused = true)]
async fn who_has_only_large_bodies_left_makes_room_and_not_without_a_bound() {
    let (mut gate, now) = (Gate::default(), Instant::now());
    let pulses = [(); 4].map(|()| Pulse::new());
    for pulse in &pulses {
        gate.enter();
        gate.sends(pulse);
    }
    let room = |gate: &Gate| gate.access(Stage::Session, 2, now) == Access::Open;
    assert!(!room(&gate));
    gate.leave();
    gate.leave();
    pulses[0].set_long(true);
    assert!(room(&gate), "one of two counts");
    gate.enter();
    assert!(!room(&gate));
    pulses.iter().for_each(|pulse| pulse.set_long(true));
    gate.enter();
    assert!(!room(&gate), "at most as many besides");
    pulses.iter().for_each(|pulse| gate.has_sent(pulse));
    assert!(gate.pulses.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_place_is_kept_for_a_job_that_was_begun_but_not_for_ever() {
    let (mut gate, mut random) = (Gate::default(), Shuffle::seeded(1));
    gate.expect(Instant::now());
    assert_eq!(gate.access(Stage::Hashes, 1, Instant::now()), Access::Wait(None));
    assert!(gate.arrived(Instant::now()));
    assert_eq!(gate.access(Stage::Hashes, 1, Instant::now()), Access::Open);
    gate.failed(Stage::Hashes, &refusal(Reason::Unreachable), Instant::now(), &mut random);
    tokio::time::advance(Duration::from_secs(1)).await;
    gate.expect(Instant::now());
    assert!(
        matches!(gate.access(Stage::Hashes, 9, Instant::now()), Access::Wait(Some(_))),
        "it will find out"
    );
    tokio::time::advance(EXPECTED_FOR).await;
    assert_eq!(gate.access(Stage::Hashes, 9, Instant::now()), Access::Try);
    gate.expect(Instant::now());
    assert_eq!(gate.expected.len(), 1, "who did not come is forgotten");
}

/// It may be sending for hours.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever_for_one_that_tries() {
    let (mut gate, mut random) = (Gate::default(), Shuffle::seeded(1));
    gate.failed(Stage::Push, &refusal(Reason::IdleTimeout), Instant::now(), &mut random);
    tokio::time::advance(Duration::from_secs(1)).await;
    gate.trying(Some(Instant::now()));
    assert!(matches!(gate.access(Stage::Session, 9, Instant::now()), Access::Wait(_)));
    tokio::time::advance(TRIED_MAX).await;
    assert_eq!(gate.access(Stage::Session, 9, Instant::now()), Access::Try);
}

#[tokio::test(start_paused = true)]
async fn who_admits_sessions_again_after_it_broke_some_off_is_asked_by_all_at_once() {
    let (mut gate, mut random) = (Gate::default(), Shuffle::seeded(1));
    let gone = refusal(Reason::Unreachable);
    for _ in 0..4 {
        gate.failed(Stage::Push, &gone, Instant::now(), &mut random);
        tokio::time::advance(Duration::from_secs(5)).await;
        gate.trying(Some(Instant::now()));
    }
    assert!(matches!(gate.access(Stage::Session, 9, Instant::now()), Access::GivenUp(_)));
    assert_eq!(gate.worked(Stage::Session, Instant::now()), None, "it may still break off");
    assert_eq!(gate.access(Stage::Session, 9, Instant::now()), Access::Try);
    gate.failed(Stage::Push, &gone, Instant::now(), &mut random);
    assert!(
        wait_of(gate.access(Stage::Session, 9, Instant::now()), Instant::now()) > 4 * SILENT.first,
        "it counts on"
    );
}

#[tokio::test(start_paused = true)]
async fn who_never_came_keeps_nothing() {
    let mut gate = Gate::default();
    gate.expect(Instant::now());
    assert!(!gate.is_empty(Instant::now()));
    tokio::time::advance(EXPECTED_FOR).await;
    assert!(gate.is_idle(Instant::now()));
    gate.expect(Instant::now());
    gate.expected.push_front(Instant::now() - Duration::from_secs(1));
    assert!(gate.arrived(Instant::now()), "its place is behind that of one who never came");
}
