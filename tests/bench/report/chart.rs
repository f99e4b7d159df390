//! How many times as fast as stock ssync each contestant was, as bars: a row for each work, a column for each medium.

use std::fmt::Write as _;

use crate::replication::Group;

const NAMES_WIDTH: f64 = 130.0;
const BARS_WIDTH: f64 = 220.0;
const BAR_HEIGHT: f64 = 14.0;
const TITLE_HEIGHT: f64 = 34.0;
const MARGIN: f64 = 12.0;
/// The scale is logarithmic, from a tenth to a thousand times.
const DECADES: std::ops::Range<i32> = -1..3;

/// A drawing that needs nothing but itself.
pub(super) fn svg(groups: &[Group<'_>]) -> String {
    let distinct = |of: fn(&Group<'_>) -> String| {
        let mut seen: Vec<String> = Vec::new();
        groups.iter().map(of).for_each(|name| {
            if !seen.contains(&name) {
                seen.push(name);
            }
        });
        seen
    };
    let (works, media) = (distinct(|group| group.work.to_owned()), distinct(|group| group.medium.to_owned()));
    let column = NAMES_WIDTH + BARS_WIDTH + MARGIN;
    let mut drawing = String::new();
    let mut top = MARGIN;
    for work in &works {
        let row: Vec<&Group<'_>> = groups.iter().filter(|group| group.work == work).collect();
        for group in &row {
            let place = media.iter().position(|medium| medium == group.medium).unwrap_or(0);
            cell(&mut drawing, group, MARGIN + place as f64 * column, top);
        }
        let bars = row.iter().map(|group| group.contestants.len()).max().unwrap_or(0);
        top += TITLE_HEIGHT + bars as f64 * BAR_HEIGHT + MARGIN;
    }
    let width = 2.0 * MARGIN + media.len() as f64 * column;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {top}\" font-family=\"sans-serif\" font-size=\"10\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{drawing}</svg>\n"
    )
}

/// One work on one medium.
fn cell(drawing: &mut String, group: &Group<'_>, left: f64, top: f64) {
    let axis = left + NAMES_WIDTH;
    // Writing to a string cannot fail.
    let _ = writeln!(
        drawing,
        "<text x=\"{left:.1}\" y=\"{:.1}\" font-weight=\"bold\">{}, {}</text>",
        top + 10.0,
        group.work,
        group.medium
    );
    let bottom = top + TITLE_HEIGHT + group.contestants.len() as f64 * BAR_HEIGHT;
    for decade in DECADES.start..=DECADES.end {
        let x = axis + place(10_f64.powi(decade));
        let _ = writeln!(
            drawing,
            "<path d=\"M{x:.1} {:.1}V{bottom:.1}\" stroke=\"#ddd\"/><text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" \
             fill=\"#777\">{}x</text>",
            top + TITLE_HEIGHT - 6.0,
            top + TITLE_HEIGHT - 9.0,
            10_f64.powi(decade),
        );
    }
    for (index, (name, summary)) in group.contestants.iter().enumerate() {
        let y = top + TITLE_HEIGHT + index as f64 * BAR_HEIGHT;
        let baseline = y + BAR_HEIGHT - 4.0;
        let _ = writeln!(drawing, "<text x=\"{left:.1}\" y=\"{baseline:.1}\">{name}</text>");
        let Some(times) = group.times(summary) else { continue };
        let width = place(times);
        let _ = writeln!(
            drawing,
            "<rect x=\"{axis:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{}\"/><text x=\"{:.1}\" \
             y=\"{baseline:.1}\">{times:.1}</text>",
            y + 1.0,
            BAR_HEIGHT - 3.0,
            colour(name),
            axis + width + 3.0,
        );
    }
}

/// From the axis to the end of a bar.
fn place(times: f64) -> f64 {
    let (least, most) = (f64::from(DECADES.start), f64::from(DECADES.end));
    // Room for the figure beside it.
    (BARS_WIDTH - 30.0) * ((times.log10() - least) / (most - least)).clamp(0.0, 1.0)
}

fn colour(contestant: &str) -> &'static str {
    match contestant.split('-').next() {
        Some("ssync") => "#1f77b4",
        Some("stock") => "#888888",
        _ => "#e0c080",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{records::Measurement, replication::groups};

    #[test]
    fn a_bar_is_as_long_as_its_ratio_says() {
        let record = |contestant: &str, seconds: f64| -> Measurement {
            let text = format!(
                "{{\"part\":\"replication\",\"medium\":\"xfs\",\"contestant\":\"{contestant}\",\"work\":\"wiped:1x1\",\
                 \"round\":1,\"objects\":1,\"bytes\":1,\"passes\":1,\"seconds\":{seconds},\"flush_seconds\":0,\"usage\":{{}},\
                 \"wire_bytes\":null}}"
            );
            serde_json::from_str(&text).unwrap()
        };
        let measurements = [record("stock-ssync", 20.0), record("ssync-batch", 2.0)];
        let drawing = svg(&groups(&measurements));
        assert!(drawing.contains(">10.0</text>") && drawing.contains("#1f77b4"), "{drawing}");
        assert!(place(10.0) > place(1.0) && place(1.0) > place(0.1));
        assert_eq!((place(1e-9), place(1e9)), (0.0, BARS_WIDTH - 30.0));
    }
}
