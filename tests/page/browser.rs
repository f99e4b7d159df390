//! Chromium, driven by `browser.py`.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use ssync_tests::{repository, venv_program};

/// How somebody looks at a page.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) url: String,
    pub(crate) width: u32,
    pub(crate) dark: bool,
    pub(crate) scripts: bool,
}

impl View {
    pub(crate) fn of(url: &str, width: u32, dark: bool) -> Self {
        Self { url: url.to_owned(), width, dark, scripts: false }
    }
}

/// What is seen in each view; pictures are taken into `folder`.
pub(crate) fn look(views: &[View], folder: &Path) -> Result<Vec<Value>> {
    let asked: Vec<Value> = (0..)
        .zip(views)
        .map(|(number, view)| {
            let picture = folder.join(format!("{number}.png"));
            json!({"url": view.url, "width": view.width, "height": 900, "dark": view.dark, "scripts": view.scripts,
                   "picture": picture, "whole": true})
        })
        .collect();
    let mut child = Command::new(venv_program("python")?)
        .arg(repository().join("tests/page/browser.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("no pipe to browser.py")?;
    input.write_all(Value::Array(asked).to_string().as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "browser.py: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The figure `name` of a row of a table; or of no table, and no row.
pub(crate) fn figure(seen: &Value, table: Option<&str>, row: Option<&str>, name: &str) -> Result<u64> {
    let found = seen["figures"].as_array().into_iter().flatten().find(|figure| {
        figure["name"] == name && figure["table"].as_str() == table && figure["row"].as_str() == row
    });
    let found = found.with_context(|| format!("no {name} in {table:?} {row:?}: {}", seen["figures"]))?;
    let value = found["value"].as_str().context("a figure without a value")?;
    Ok(value.parse()?)
}

/// What every page has to be, in every view.
pub(crate) fn assert_sound(seen: &Value, view: &View) {
    // The text and its figures are of no help here, and long.
    let mut brief = seen.clone();
    for long in ["text", "figures", "rows", "links"] {
        brief[long].take();
    }
    let about = format!("{view:?}: {brief}");
    assert_eq!(seen["scroll_width"], seen["client_width"], "it has to be scrolled sideways: {about}");
    assert_eq!(seen["overflowing"], json!([]), "{about}");
    assert_eq!(
        (&seen["scripts"], &seen["forms"], &seen["ran"]),
        (&json!(0), &json!(0), &json!(false)),
        "{about}"
    );
    assert_eq!(seen["complaints"], json!([]), "Chromium complains: {about}");
    assert_eq!(seen["requests"], json!([view.url]), "it loads something else: {about}");
    assert_eq!((&seen["unnamed"], &seen["unscoped"]), (&json!(0), &json!(0)), "{about}");
    for link in seen["links"].as_array().into_iter().flatten() {
        let safe = ["/", "/?refresh=5", "/?refresh=15", "/?refresh=60", "/metrics", "/config", "/ready"];
        assert!(link.as_str().is_some_and(|link| safe.contains(&link)), "{link}: {about}");
    }
    // Blank, it would have one colour; in the wrong theme, the wrong ground.
    let of_picture = |what: &str| seen["picture"][what].as_f64().unwrap_or_default();
    assert!(of_picture("deviation") > 8.0 && of_picture("colours") > 60.0, "a blank picture: {about}");
    let brightness = of_picture("brightness");
    assert!(if view.dark { brightness < 60.0 } else { brightness > 200.0 }, "the wrong theme: {about}");
}
