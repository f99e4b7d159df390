//! A page with something in each place: readable in both themes, on a telephone and on a wide screen, by who has no scripts.

use std::fs;

use anyhow::Result;
use serde_json::json;
use ssync_page::{Report, html};
use tempfile::TempDir;

use crate::{
    browser::{View, assert_sound, figure, look},
    sample::busy,
};

/// A telephone, the two sides of the width at which rows become cards, and a wide screen.
const WIDTHS: [u32; 4] = [380, 1000, 1001, 1600];

/// The same node, whose peers, devices and clients would like to be more than text.
fn hostile() -> Report {
    let evil = "<script>window.ran = true</script><img src=x onerror='window.ran = true'>\"'>";
    let mut report = busy();
    report.who.host = evil.to_owned();
    if let Some(receives) = &mut report.receives {
        receives.devices[6].problem = evil.to_owned();
        receives.sessions[0].peer = evil.repeat(40);
    }
    if let Some(status) = &mut report.replicates {
        status.peers[0].cause = evil.to_owned();
        status.nodes[0].trouble = evil.to_owned();
        status.nodes[1].node = evil.to_owned();
        status.parked[0].cause = format!("{evil}{}", "x".repeat(5000));
        status.held_up_by[0].advice = evil.to_owned();
    }
    report
}

fn saved(folder: &TempDir, report: &Report) -> Result<String> {
    let file = folder.path().join("page.html");
    fs::write(&file, html(report))?;
    Ok(format!("file://{}", file.display()))
}

#[test]
fn a_busy_node_is_read_in_both_themes_and_at_every_width() -> Result<()> {
    let folder = TempDir::new()?;
    let url = saved(&folder, &busy())?;
    let views: Vec<View> =
        WIDTHS.iter().flat_map(|&width| [false, true].map(|dark| View::of(&url, width, dark))).collect();
    for (view, seen) in views.iter().zip(look(&views, folder.path())?) {
        assert_sound(&seen, view);
        assert_eq!((&seen["headline"], &seen["tone"]), (&json!("d7 is not mounted"), &json!("bad")));
        let told = seen["besides"].as_array().into_iter().flatten().filter_map(|said| said.as_str());
        let pending = "About 70,384 objects (164 GiB) pending at 2 nodes, done in 34 min ± 4 min";
        assert!(told.into_iter().any(|said| said == pending), "{seen}");
        assert_eq!(figure(&seen, None, None, "pending-objects")?, 42_484);
        assert_eq!(figure(&seen, Some("nodes"), Some("10.20.0.14:6200"), "pending-objects")?, 41_280);
        assert_eq!(figure(&seen, Some("devices"), Some("d4"), "partitions-done")?, 4_632);
        assert_eq!(seen["roles"], json!(["cell"]), "a narrow screen must not take a table's meaning away");
        let captions =
            ["What holds it up", "Other nodes", "Devices of this node", "Sessions from other nodes"];
        for caption in captions {
            assert!(seen["captions"].as_array().is_some_and(|all| all.contains(&json!(caption))), "{seen}");
        }
    }
    Ok(())
}

/// With scripts allowed, and by the page alone: a saved one has no policy.
#[test]
fn what_others_wrote_is_never_run() -> Result<()> {
    let folder = TempDir::new()?;
    let url = saved(&folder, &hostile())?;
    let views = [380, 1100].map(|width| View { scripts: true, ..View::of(&url, width, false) });
    for (view, seen) in views.iter().zip(look(&views, folder.path())?) {
        assert_sound(&seen, view);
        let text = seen["text"].as_str().unwrap_or_default();
        assert!(text.contains("<script>window.ran = true</script>"), "{text}");
    }
    Ok(())
}
