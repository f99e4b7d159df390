//! The page as a whole: its head, the sentence at the top, and the sections beneath.

use std::time::UNIX_EPOCH;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::{
    charts, devices, figures, held_up, limits, nodes, parked, pass,
    report::{Report, State},
    sentence::{Sentence, Tone, sentences},
    sessions,
    style::STYLE,
    units::span,
};

/// A disc, so that the page is found among others.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cg fill='none' \
    stroke='%230b7285' stroke-width='2'%3E%3Ccircle cx='8' cy='8' r='6'/%3E%3Ccircle cx='8' cy='8' r='1.5'/%3E%3C/g%3E%3C/svg%3E";

/// Intervals that the page offers, in seconds.
const INTERVALS: [u32; 3] = [5, 15, 60];

/// The page.
#[must_use]
pub fn html(report: &Report) -> String {
    let said = sentences(report);
    let (first, rest) = said.split_first().map_or((None, &[][..]), |(first, rest)| (Some(first), rest));
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(report, first))
            body {
                header {
                    (who(report))
                    (refresh(report))
                }
                main {
                    (headline(first, rest))
                    (figures::figures(report))
                    @if let Some(status) = &report.replicates {
                        (charts::charts(status))
                        (held_up::table(status))
                        (nodes::table(status))
                    }
                    (devices::table(report))
                    @if let Some(receives) = &report.receives { (sessions::table(receives)) }
                    @if let Some(status) = &report.replicates {
                        (parked::table(status))
                        (pass::section(status))
                    }
                    @if let Some(receives) = &report.receives { (limits::table(receives)) }
                    (elsewhere(report))
                }
                (footer(report))
            }
        }
    }
    .into_string()
}

fn head(report: &Report, first: Option<&Sentence>) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="robots" content="noindex";
            @if let Some(seconds) = report.refresh { meta http-equiv="refresh" content=(seconds); }
            title { (report.who.host) ": " @if let Some(first) = first { (first.text) } }
            link rel="icon" href=(ICON);
            // Escaped, it would be none; it holds nothing from outside.
            style { (PreEscaped(STYLE)) }
        }
    }
}

fn who(report: &Report) -> Markup {
    let (class, state) = match report.state {
        State::Ready => ("good", "ready"),
        State::NotReady => ("bad", "not ready"),
        State::Draining => ("warning", "draining"),
    };
    html! {
        div.who {
            p.host { (report.who.host) " " span.state.(class) data-state=(state) { (state) } }
            p.about {
                (report.who.address) " · " (report.who.parts) " · ssync " (report.who.version) " · up "
                (span(report.who.uptime_seconds))
            }
        }
    }
}

fn refresh(report: &Report) -> Markup {
    html! {
        nav.refresh aria-label="How often this page is loaded again" {
            p { "As of " time datetime={ (date(report)) "T" (time(report)) "Z" } { (time(report)) " UTC" } }
            ul {
                li.name { "Refresh" }
                li { (interval("/", "off", report.refresh.is_none())) }
                @for seconds in INTERVALS {
                    li { (interval(&format!("/?refresh={seconds}"), &format!("{seconds} s"), report.refresh == Some(seconds))) }
                }
            }
        }
    }
}

fn interval(link: &str, name: &str, current: bool) -> Markup {
    html! {
        @if current { a href=(link) aria-current="true" { (name) } } @else { a href=(link) { (name) } }
    }
}

fn headline(first: Option<&Sentence>, rest: &[Sentence]) -> Markup {
    html! {
        div.headline {
            @if let Some(first) = first {
                h1 data-tone=(first.tone.name()) { (mark(first.tone)) span { (first.text) } }
            }
            @if !rest.is_empty() {
                ul.besides {
                    @for sentence in rest {
                        li data-tone=(sentence.tone.name()) { (mark(sentence.tone)) span { (sentence.text) } }
                    }
                }
            }
        }
    }
}

/// A shape for each tone: colours alone tell nothing to many.
fn mark(tone: Tone) -> Markup {
    html! {
        svg.mark.(tone.name()) viewBox="0 0 16 16" role="img" aria-label=(tone.name()) {
            @match tone {
                Tone::Good => { circle cx="8" cy="8" r="7" {} path d="M4.8 8.3l2.2 2.2 4.2-4.6" {} }
                Tone::Busy => { circle cx="8" cy="8" r="7" {} path d="M8 4.4v4l2.6 1.6" {} }
                Tone::Warning => { path.shape d="M8 1.5L15 14.5H1z" {} path d="M8 6.2v4M8 12.1v.6" {} }
                Tone::Bad => { rect.shape x="1.5" y="1.5" width="13" height="13" rx="2" {} path d="M5.2 5.2l5.6 5.6M10.8 5.2l-5.6 5.6" {} }
            }
        }
    }
}

fn elsewhere(report: &Report) -> Markup {
    html! {
        @if !report.elsewhere.is_empty() {
            section #elsewhere aria-labelledby="elsewhere-title" {
                h2 #elsewhere-title { "Told by other processes of this node" }
                dl.elsewhere {
                    @for part in &report.elsewhere { dt { (part.what) } dd { code { (part.at) } } }
                }
            }
        }
    }
}

fn footer(report: &Report) -> Markup {
    html! {
        footer {
            p {
                "The same by command: " code { "ssync status" } ". Besides: "
                a href="/metrics" { "metrics" } ", " a href="/config" { "configuration" } ", " a href="/ready" { "readiness" } "."
            }
            p { "Objects are live ones, each counted once for every device that is to get it. Times are UTC, " (date(report)) "." }
        }
    }
}

fn seconds(report: &Report) -> u64 {
    report.at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn date(report: &Report) -> String {
    let (year, month, day) = ssync_types::civil(seconds(report) / 86_400);
    format!("{year:04}-{month:02}-{day:02}")
}

fn time(report: &Report) -> String {
    let of_day = seconds(report) % 86_400;
    format!("{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60)
}
