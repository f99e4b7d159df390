//! What an SSYNC receiver does not want, its sender may remove: it is confirmed before the answer (rule S1).

use std::{collections::BTreeSet, time::Duration};

use ssync_protocol::{LocalVersion, encode_offer};
use ssync_types::{ObjectHash, Offer, Outcome, Reason, Refusal, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::{
    Lab,
    conversation::{DONE, FULL, NOTHING_WANTED, OPENED, chunk, error, says},
    fake_store::Kept,
    without_date,
};

const START: &str = ":MISSING_CHECK: START\r\n";
const END: &str = ":MISSING_CHECK: END\r\n";
const UPDATES: [&str; 2] = [":UPDATES: START\r\n", ":UPDATES: END\r\n"];

/// Offers of everything that is in the store, as a stock sender in sync has them.
fn offers(lab: &Lab) -> Vec<Offer> {
    let offer = |(&hash, kept): (&ObjectHash, &Kept)| match kept.version {
        LocalVersion::Tombstone(at) => Offer::of_one_time(hash, at, None),
        LocalVersion::Data { data, metadata, content_type } => {
            Offer { hash, data, metadata, content_type, kind: None, durable: true }
        }
    };
    lab.store.state().objects.iter().map(offer).collect()
}

fn line(offer: &Offer) -> String {
    format!("{}\r\n", encode_offer(offer))
}

/// A store with the 13 recorded objects, and a conversation that offers them.
async fn in_sync() -> (Lab, Vec<u8>) {
    let lab = Lab::new();
    lab.say(FULL.0).await;
    lab.store.state().confirmed.clear();
    let lines: String = offers(&lab).iter().map(line).collect();
    (lab, says(&[START, &lines, END, UPDATES[0], UPDATES[1]], true))
}

/// Reads until `text` comes.
async fn read_until(client: &mut DuplexStream, answer: &mut Vec<u8>, text: &str) {
    while !without_date(answer).contains(text) {
        assert!(client.read_buf(answer).await.unwrap() > 0, "{}", without_date(answer));
    }
}

#[tokio::test]
async fn nothing_is_said_before_all_that_is_not_wanted_is_confirmed() {
    let (lab, _) = in_sync().await;
    let here = offers(&lab);
    let absent = Offer::of_one_time(ObjectHash::from_bytes([7; 16]), Timestamp::from_seconds(1), None);
    let lines: String = here.iter().chain([&absent]).map(line).collect();
    lab.store.state().hold_confirms = true;
    let mut client = lab.connect();
    client.write_all(&says(&[START, &lines, END], false)).await.unwrap();

    let mut answer = Vec::new();
    let early = read_until(&mut client, &mut answer, "MISSING_CHECK");
    assert!(
        tokio::time::timeout(Duration::from_millis(150), early).await.is_err(),
        "nothing is confirmed yet"
    );
    assert!(lab.store.state().confirmed.is_empty());
    lab.store.state().hold_confirms = false;
    read_until(&mut client, &mut answer, END).await;

    let hashes = |offers: &[Offer]| offers.iter().map(|offer| offer.hash).collect::<BTreeSet<_>>();
    let confirmed = lab.store.state().confirmed.clone();
    assert_eq!(
        (confirmed.len(), hashes(&confirmed)),
        (13, hashes(&here)),
        "each once, and not what is wanted"
    );
    let wanted = chunk(&format!("{} dm", absent.hash));
    let list = format!("17\r\n{START}\r\n{wanted}2\r\n\r\n\r\n15\r\n{END}\r\n");
    assert_eq!(without_date(&answer), format!("{OPENED}{list}"));
    client
        .write_all(format!("{}{}0\r\n\r\n", chunk(UPDATES[0]), chunk(UPDATES[1])).as_bytes())
        .await
        .unwrap();
    read_until(&mut client, &mut answer, DONE).await;
}

#[tokio::test]
async fn a_sender_in_sync_is_asked_for_nothing() {
    let (lab, request) = in_sync().await;
    assert_eq!(lab.say(&request).await, format!("{OPENED}{NOTHING_WANTED}{DONE}"));
    assert_eq!(lab.store.state().confirmed.len(), 13);
}

#[tokio::test]
async fn what_cannot_be_confirmed_is_an_error_before_the_answer() {
    let (lab, request) = in_sync().await;
    for outcome in [Outcome::Failed(Refusal::new(Reason::ObjectIo, "no flush")), Outcome::AppliedUnflushed] {
        lab.store.state().confirm_as = Some(outcome);
        let answer = lab.say(&request).await;
        assert!(answer.starts_with(OPENED), "{answer}");
        assert!(answer.contains(":ERROR: 500 b'ERROR: With :MISSING_CHECK: "), "{answer}");
        assert!(!answer.contains(START) && !answer.contains(END), "{answer}");
    }
    lab.store.state().refuse_confirm = Some(Refusal::new(Reason::PartitionLocked, "lost"));
    assert_eq!(lab.say(&request).await, format!("{OPENED}{}", error("0 'lost'")));
}

#[tokio::test]
async fn what_is_gone_by_then_is_wanted() {
    let (lab, request) = in_sync().await;
    lab.store.state().confirm_as = Some(Outcome::NotFound);
    let answer = lab.say(&request).await;
    let lines: BTreeSet<_> = answer.lines().filter_map(|line| line.strip_suffix(" dm")).collect();
    let here: Vec<String> = offers(&lab).iter().map(|offer| offer.hash.to_string()).collect();
    assert_eq!(lines, here.iter().map(String::as_str).collect());
}

#[tokio::test]
async fn confirms_while_the_list_is_still_coming() {
    let (lab, _) = in_sync().await;
    let kept = lab.store.state().objects.values().next().unwrap().clone();
    for number in 0..2500_u32 {
        let mut hash = [9; 16];
        hash[..4].copy_from_slice(&number.to_be_bytes());
        lab.store.state().objects.insert(ObjectHash::from_bytes(hash), kept.clone());
    }
    let all = offers(&lab);
    let lines = |offers: &[Offer]| offers.iter().map(line).collect::<String>();
    let mut client = lab.connect();
    client.write_all(&says(&[START, &lines(&all[..2100])], false)).await.unwrap();
    let two_batches = async {
        while lab.store.state().confirmed.len() < 2000 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), two_batches).await.expect("the list need not have ended");
    let rest = [&*lines(&all[2100..]), END].map(chunk).concat();
    client.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    read_until(&mut client, &mut answer, END).await;
    assert_eq!(without_date(&answer), format!("{OPENED}{NOTHING_WANTED}"));
    let asked: Vec<_> = lab.store.state().confirmed.iter().map(|offer| offer.hash).collect();
    assert_eq!(asked, all.iter().map(|offer| offer.hash).collect::<Vec<_>>(), "in the order of the list");
}
