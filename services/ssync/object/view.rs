//! The answers as a table or as JSON, and what they mean.

use serde_json::{Value, json};
use ssync_types::{ObjectHash, ObjectPath, Timestamp};

use super::{Answer, Copy, Diagnosis, Place, Record, Seen};
use crate::{
    figures,
    table::{Cell, Column, Page, Table, Tone, plain},
};

/// One policy's answers.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) path: ObjectPath,
    pub(crate) hash: ObjectHash,
    pub(crate) policy_name: String,
    pub(crate) place: Place,
    pub(crate) seen: Vec<Seen>,
    pub(crate) diagnosis: Diagnosis,
    pub(crate) records: Vec<Record>,
}

/// Prints the table and the sentences. Control characters of names do not reach the terminal.
pub(crate) fn print(shown: &Shown, page: Page) {
    println!(
        "{}\n{}, partition {} of policy {} ({})\n",
        plain(&shown.path.to_string()),
        shown.hash,
        shown.place.partition,
        shown.place.policy,
        shown.policy_name
    );
    println!("{}", table(&shown.seen).show(page));
    let idle = shown.seen.iter().filter(|seen| is_idle_handoff(seen)).count();
    if idle > 0 {
        println!("{idle} handoffs were asked and have nothing.");
    }
    println!("{}.", shown.diagnosis.summary);
    for problem in &shown.diagnosis.problems {
        println!("{} {}\n    {}", page.paint(Tone::Bad, "*"), problem.what, problem.remedy);
    }
    for note in &shown.diagnosis.notes {
        println!("{note}.");
    }
    for line in shown.records.iter().flat_map(Record::lines) {
        println!("{line}.");
    }
    if shown.diagnosis.is_healthy() {
        println!("{}", page.paint(Tone::Good, "Nothing is wrong."));
    }
}

fn is_idle_handoff(seen: &Seen) -> bool {
    !seen.site.is_primary() && seen.answer == Answer::Nothing
}

fn table(seen: &[Seen]) -> Table<7> {
    let mut table = Table::new([
        Column::text("role"),
        Column::text("node"),
        Column::text("device"),
        Column::text("state"),
        Column::text("times (UTC, Swift's form)"),
        Column::number("bytes"),
        Column::text("etag"),
    ]);
    for seen in seen.iter().filter(|seen| !is_idle_handoff(seen)) {
        let [state, times, bytes, etag] = cells(&seen.answer);
        let site = &seen.site;
        table.row([
            site.role.to_string().into(),
            site.address.clone().into(),
            site.device.to_string().into(),
            state,
            times,
            bytes,
            etag,
        ]);
    }
    table
}

fn cells(answer: &Answer) -> [Cell; 4] {
    let none = Cell::default;
    match answer {
        Answer::Data(copy) => {
            let bytes = copy.bytes.map(figures::count).unwrap_or_default();
            [Cell::toned(state(copy), Tone::Good), times(copy).into(), bytes.into(), copy.etag.clone().into()]
        }
        Answer::Tombstone(at) => ["tombstone".into(), time("deleted", *at).into(), none(), none()],
        Answer::Nothing => [Cell::toned("none", Tone::Doubtful), none(), none(), none()],
        Answer::Failed(_) => [Cell::toned("error", Tone::Bad), none(), none(), none()],
    }
}

fn state(copy: &Copy) -> String {
    let mut text = "data".to_owned();
    for set in &copy.fragments {
        let indexes: Vec<String> = set.indexes.iter().map(|index| index.get().to_string()).collect();
        let durable = if copy.durable == Some(set.timestamp) { "durable" } else { "not durable" };
        text.push_str(&format!("\nfragment {} ({durable})", indexes.join(", ")));
    }
    text
}

fn times(copy: &Copy) -> String {
    let mut lines = vec![time("data", copy.data)];
    if copy.newest != copy.data {
        lines.push(time("meta", copy.newest));
    }
    match copy.content_type {
        Some(at) if at != copy.data => lines.push(time("type", at)),
        Some(_) => {}
        None => lines.push("type  not told by a stock node".to_owned()),
    }
    lines.join("\n")
}

fn time(what: &str, at: Timestamp) -> String {
    format!("{what}  {}  {at}", at.utc())
}

/// All of it, for programs.
pub(crate) fn to_json(shown: &Shown) -> Value {
    let problems = shown.diagnosis.problems.iter();
    json!({
        "path": shown.path.to_string(),
        "hash": shown.hash.to_string(),
        "policy": shown.place.policy.get(),
        "partition": shown.place.partition.get(),
        "healthy": shown.diagnosis.is_healthy(),
        "summary": shown.diagnosis.summary,
        "problems": problems.map(|problem| json!({"what": problem.what, "remedy": problem.remedy})).collect::<Vec<_>>(),
        "notes": shown.diagnosis.notes,
        "records": shown.records.iter().map(Record::to_json).collect::<Vec<_>>(),
        "devices": shown.seen.iter().map(device).collect::<Vec<_>>(),
    })
}

fn device(seen: &Seen) -> Value {
    let site = &seen.site;
    let mut device =
        json!({"role": site.role.to_string(), "node": site.address, "device": site.device.to_string()});
    let of_answer = match &seen.answer {
        Answer::Data(copy) => json!({
            "state": "data",
            "data_timestamp": copy.data.to_string(),
            "meta_timestamp": copy.newest.to_string(),
            "content_type_timestamp": copy.content_type.map(|at| at.to_string()),
            "durable_timestamp": copy.durable.map(|at| at.to_string()),
            "etag": copy.etag,
            "bytes": copy.bytes,
            "delete_at": copy.delete_at,
            "fragments": copy.fragments.iter().map(|set| json!({
                "timestamp": set.timestamp.to_string(),
                "indexes": set.indexes.iter().map(|index| index.get()).collect::<Vec<_>>(),
                "durable": copy.durable == Some(set.timestamp),
            })).collect::<Vec<_>>(),
        }),
        Answer::Tombstone(at) => json!({"state": "tombstone", "timestamp": at.to_string()}),
        Answer::Nothing => json!({"state": "none"}),
        Answer::Failed(why) => json!({"state": "error", "error": why}),
    };
    if let (Value::Object(device), Value::Object(more)) = (&mut device, of_answer) {
        device.extend(more);
    }
    device
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::testing::{data, failed, handoff, posted, primary, tombstone};

    #[test]
    fn shows_times_in_both_forms_and_no_idle_handoffs() {
        let seen = [
            primary(0, posted(10, 20)),
            primary(1, tombstone(5)),
            primary(2, failed()),
            handoff(0, Answer::Nothing),
        ];
        let text = table(&seen).show(Page::PLAIN);
        for part in [
            "data  1970-01-01 00:00:10.00000  0000000010.00000",
            "meta  1970-01-01 00:00:20.00000",
            "type  not told by a stock node",
            "tombstone",
            "error",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains("h0"), "{text}");
    }

    #[test]
    fn json_has_every_device() {
        let told = device(&primary(0, data(10)));
        assert_eq!((told["state"].as_str(), told["device"].as_str()), (Some("data"), Some("d0")));
        assert_eq!(told["content_type_timestamp"], "0000000010.00000");
        assert_eq!(device(&handoff(0, Answer::Nothing))["state"], "none");
        assert_eq!(device(&handoff(0, failed()))["error"], "cannot be reached");
    }
}
